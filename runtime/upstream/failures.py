"""How an upstream fails, as the policy sees it (language.md, section 7)."""

from __future__ import annotations

from math import ceil
from typing import Final

from policylang.sdk import Failed, Failure, Kind
from runtime.wire.limits import WireError


def _failure(name: str, status: int, detail: str, error: str, reason: str = "") -> Failure:
    """`error`: its type in Proxy-Status (RFC 9209 2.3)."""
    told = (("Proxy-Status", f"polgate; error={error}"),)
    return Failure(name, status, detail, kind=Kind.ERROR, headers=told, reason=reason)


class Stale(Exception):
    """A kept connection turned out to be dead before a byte of the answer came, which was due by the tick `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit


class Unanswered(Failed):
    """The request was sent, or a part of it, and no byte of the answer has come that was due by the tick `limit`."""

    def __init__(self, failed: Failed, limit: int) -> None:
        super().__init__(failed.failure)
        self.limit = limit


class Busy(Failed):
    """No connection was to be had, which says nothing about any server: nothing was sent."""


def unreachable(detail: str, error: str = "destination_unavailable", reason: str = "") -> Failed:
    return Failed(_failure("upstream-unreachable", 502, detail, error, reason))


# What the reader says of an answer, in the words of RFC 9209 2.3.
_MALFORMED: Final = {
    "no-response": "connection_terminated",
    "response-cut": "http_response_incomplete",
    "response-head-too-large": "http_response_header_section_size",
}


def malformed(error: WireError) -> Failed:
    """The server has said something that is no answer."""
    return broken(error.detail, _MALFORMED.get(error.name, "http_protocol_error"))


def broken(detail: str, error: str = "connection_terminated") -> Failed:
    return Failed(_failure("upstream-broken", 502, detail, error))


def timeout(detail: str, error: str = "connection_read_timeout") -> Failed:
    return Failed(_failure("upstream-timeout", 504, detail, error))


def unavailable(detail: str, seconds: float = 1.0, error: str = "destination_unavailable") -> Failed:
    """Nobody is asked. `seconds`: when it may be worth another try (RFC 9110 10.2.3: whole seconds)."""
    failure = _failure("upstream-unavailable", 503, detail, error)
    failure.headers += (("Retry-After", str(max(1, ceil(seconds)))),)
    return Failed(failure)
