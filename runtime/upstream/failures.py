"""How an upstream fails, as the policy sees it (language.md, section 7)."""

from __future__ import annotations

from policylang.sdk import Failed, Failure, Kind


class Stale(Exception):
    """A kept connection turned out to be dead before a byte of the answer came."""


def unreachable(detail: str) -> Failed:
    return Failed(Failure("upstream-unreachable", 502, detail, kind=Kind.ERROR))


def broken(detail: str) -> Failed:
    return Failed(Failure("upstream-broken", 502, detail, kind=Kind.ERROR))


def timeout(detail: str) -> Failed:
    return Failed(Failure("upstream-timeout", 504, detail, kind=Kind.ERROR))
