"""Tests of policies: `test` in `*_test.pol`, run on the very tree that serves, in surroundings of their own."""
