"""Tests of policies: `test` in `*_test.pol`, run on the very tree that serves, in surroundings of their own."""

WORDS = frozenset({
    "advance", "delete", "expect", "get", "given", "head", "options", "patch", "post", "put", "repeat", "send",
    "store_away", "store_back", "store_slow", "stub", "together",
})  # fmt: skip
"""The words that only tests have: to know one elsewhere, without loading what they mean."""
