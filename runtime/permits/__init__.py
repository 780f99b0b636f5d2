"""Permits: what limits how much happens at a time."""
