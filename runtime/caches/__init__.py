"""Caches of answers and values: what a policy keeps so as not to ask again."""
