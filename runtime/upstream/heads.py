"""The parts of a request's head that the policy may have had a hand in: checked, and written anew."""

from __future__ import annotations

import re
from typing import Final

from policylang.sdk import Failed, Failure, Field, Kind, UpstreamCall
from policylang.sdk.departure import WRITTEN_ANEW
from runtime.edge.request import ReceivedRequest
from runtime.wire.write import check_field_name, check_field_value

METHODS: Final = {
    method: method.encode() + b" " for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}

_NOT_IN_TARGETS: Final = re.compile(rb"[^!-~]")


def target_of(request: ReceivedRequest, call: UpstreamCall) -> bytes:
    """The target that the policy has chosen. It comes from a template, or from what the policy wrote into the path."""
    target = call.target
    if target is None:
        target = request.path.encode()
        if request.query_string is not None:
            target += b"?" + request.query_string
    if _NOT_IN_TARGETS.search(target):
        raise _unsendable("the path or query has white space or a control character")
    return target


def opening_for(request: ReceivedRequest, host: str) -> bytes:
    """The opening for another Host than the one that was asked for."""
    before, _, rest = request.opening.partition(b"\r\nVia: ")
    line, _, _ = before.partition(b"\r\n")
    try:
        value = check_field_value(host.encode("ascii"))
    except ValueError:
        raise _unsendable("the host has a character that none can have") from None
    return b"%b\r\nHost: %b\r\nVia: %b" % (line, value, rest)


def method_start(method: str) -> bytes:
    try:
        return check_field_name(method.encode("ascii")) + b" "  # both are tokens
    except ValueError:
        raise _unsendable("the method is not a token") from None


def _unsendable(detail: str) -> Failed:
    return Failed(Failure("unsendable-request", 400, detail, kind=Kind.ERROR))


def lines_of(request: ReceivedRequest) -> bytes:
    """The end of the id's line, and the fields that go on; what is left of a known head was put together before."""
    headers, known, edits = request.headers, request.known, request.edits
    if known is not None and headers is known.headers:
        rest = known.rests[()]
        added: tuple[Field, ...] = ()
    elif edits is not None and headers is edits[0]:
        rest, added = edits[3], edits[2]
    else:
        return _field_lines(headers)
    lines = rest.lines
    if lines is None:
        lines = rest.lines = _field_lines(rest.headers)
    for lower, name, value in added:
        if lower not in WRITTEN_ANEW:
            lines = b"%b%b: %b\r\n" % (lines, name, value)
    return lines


def _field_lines(headers: list[Field]) -> bytes:
    """The end of the id's line, and the fields that go on as they came."""
    parts = [b"\r\n"]
    for lower, name, value in headers:
        if lower not in WRITTEN_ANEW:
            parts += (name, b": ", value, b"\r\n")
    return b"".join(parts)
