"""Rates that a cluster shares: units of a limit are leased from one entry a key, and spent without asking."""
