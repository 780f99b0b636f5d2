"""Messages to bytes. Every head is written anew from its fields; nothing that was received goes out as it came."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from http import HTTPStatus
from typing import Final

from policylang.sdk.hop_by_hop import HOP_BY_HOP
from runtime.wire.fields import NO_NAMES, Field

HOST_AND_HOPS: Final = HOP_BY_HOP | {b"host"}
"""What a request never takes from the received fields: `request_head_bytes` writes Host itself."""

CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
CLOSE: Final = b"Connection: close\r\n"
NO_BODY: Final = b"Content-Length: 0\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_START_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
REASONS: Final = frozenset(status.phrase.encode() for status in HTTPStatus)
"""The reason phrases that are in use."""

_LF, _CR, _SPACE = b"\n\r "
# RFC 9110 5.5: CR, LF and NUL are dangerous, the other control characters invalid; 5.6.2 for names.
_NOT_IN_VALUES: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NAME: Final = re.compile(rb"[!#$%&'*+.^`|~0-9A-Za-z_-]+")
_TARGET: Final = re.compile(rb"[!\"$-~]+")


def request_head_bytes(
    method: str,
    target: bytes,
    host: bytes,
    headers: Iterable[Field],
    extra: bytes = b"",
    connection: frozenset[bytes] = NO_NAMES,
    drop: Set[bytes] = HOST_AND_HOPS,
) -> bytes:
    """A request's head, empty line included.

    Of `headers`, fields whose lower-case name is in `drop` or in `connection` stay away; `extra` are complete lines,
    each with its CRLF. Content-Length is a field like others: where the body changes, `drop` names it and `extra`
    has the new framing. Fields are not checked here: those of a reader are clean, what a policy sets has to pass
    `new_field` or `field_line` first. ValueError for a target or host that would end its line; `check_target` says
    more.
    """
    if _LF in target or _CR in target or _SPACE in target or _LF in host or _CR in host:
        raise ValueError("a request target or host would end its line")
    if connection:
        drop = connection.union(drop)
    parts = [method.encode("ascii"), b" ", target, b" HTTP/1.1\r\nHost: ", host, b"\r\n"]
    for lower, name, value in headers:
        if lower not in drop:
            parts += (name, b": ", value, b"\r\n")
    parts += (extra, b"\r\n")
    return b"".join(parts)


def response_head_bytes(
    status: int,
    headers: Iterable[Field],
    extra: bytes = b"",
    connection: frozenset[bytes] = NO_NAMES,
    drop: Set[bytes] = HOP_BY_HOP,
) -> bytes:
    """An answer's head, empty line included, with our own reason phrase; otherwise like `request_head_bytes`."""
    if connection:
        drop = connection.union(drop)
    parts = [_START_LINES.get(status) or b"HTTP/1.1 %03d \r\n" % status]
    for lower, name, value in headers:
        if lower not in drop:
            parts += (name, b": ", value, b"\r\n")
    parts += (extra, b"\r\n")
    return b"".join(parts)


def content_length(size: int) -> bytes:
    """The line that says how long the body is."""
    return b"Content-Length: %d\r\n" % size


def chunk(data: bytes) -> bytes:
    """One chunk. Empty data gives nothing, as a chunk of no size would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def field_line(name: bytes, value: bytes) -> bytes:
    """A complete line for `extra`, checked."""
    return b"%b: %b\r\n" % (check_field_name(name), check_field_value(value))


def check_target(target: bytes) -> bytes:
    """The target itself. ValueError if it is empty or holds anything but visible ASCII, or a fragment."""
    if not _TARGET.fullmatch(target):
        raise ValueError("a request target has a character that must be encoded")
    return target


def check_field_value(value: bytes) -> bytes:
    """The value without white space around it. ValueError if it holds CR, LF, NUL or another control character."""
    if _NOT_IN_VALUES.search(value):
        raise ValueError("a field value has a control character")
    return value.strip(b" \t")


def check_field_name(name: bytes) -> bytes:
    """The name itself. ValueError if it is no token."""
    if not _NAME.fullmatch(name):
        raise ValueError("a field name is not a token")
    return name


def new_field(name: bytes, value: bytes) -> Field:
    """A field that a policy sets, checked, as the readers give theirs."""
    return check_field_name(name).lower(), name, check_field_value(value)
