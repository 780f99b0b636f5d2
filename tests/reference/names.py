"""The names of the failures that statements make."""

REQUIRE = "requirement-not-met"
NONE = "not-refused"
MATCH = "no-match"
ROUNDS = "too-many-rounds"
FAIL = "failed"
RESPOND = "wrong-type"
HEADER = "bad-header"
