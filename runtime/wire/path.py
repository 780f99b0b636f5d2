"""Paths and queries: one spelling for each path, so that what is matched is what the upstream sees."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from runtime.wire.limits import WireError

_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
# RFC 3986 3.3: what a path may hold unencoded, the slash with it.
_PLAIN: Final = _UNRESERVED + b"!$&'()*+,;=:@/"
_DOT, _PERCENT = b".%"
_TO_REWRITE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/-]")
# Bytes that an encoded octet must not stand for: a slash or backslash would be a boundary for one program and a part
# of a name for the next, NUL the end of a string.
_FORBIDDEN: Final = frozenset(b"/\\\0")


def normal_path(path: bytes) -> bytes:
    """The path of a target with unreserved characters decoded and dot segments resolved (RFC 3986 6.2.2).

    What has to be encoded is, with upper-case digits. A path that is normal already comes back as the same object.
    `..` above the root stays at the root (RFC 3986 5.2.4). WireError 400 `bad-path` for a path that does not begin with
    a slash, for empty inner segments, `%2F`, `%5C`, `%00`, broken percent-encoding, encoded bytes that are no UTF-8,
    raw backslashes, control characters and bytes beyond ASCII.
    """
    # Letters, digits and a few marks, no two slashes in a row, no segment that begins with a dot.
    if (
        not path.translate(None, _PLAIN)
        and path.find(b"//") < 0
        and (_DOT not in path or path.find(b"/.") < 0)
        and path[:1] == b"/"
    ):
        return path
    return _normalise(path)


def _normalise(path: bytes) -> bytes:
    if not path.startswith(b"/"):
        raise _bad_path("it does not begin with a slash")
    path = _TO_REWRITE.sub(_rewrite, path)
    if _PERCENT in path:
        # Overlong forms are another spelling of a character that was looked for and not found.
        try:
            unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            raise _bad_path("its encoded bytes are not UTF-8") from None
    segments = path.split(b"/")[1:]
    if b"" in segments[:-1]:
        raise _bad_path("it has an empty segment")
    resolved: list[bytes] = []
    for segment in segments:
        if segment == b"..":
            del resolved[-1:]
        elif segment != b".":
            resolved.append(segment)
    if segments[-1] in (b".", b".."):
        resolved.append(b"")
    return b"/" + b"/".join(resolved)


def _rewrite(match: re.Match[bytes]) -> bytes:
    digits = match[1]
    octet = int(digits, 16) if digits is not None else match[0][0]
    if digits is None:
        if octet == _PERCENT:
            raise _bad_path("a `%` is not followed by two hexadecimal digits")
        if not 0x20 < octet < 0x7F or octet in b"\\?#":
            raise _bad_path("it has a character that must be encoded")
    elif octet in _FORBIDDEN:
        raise _bad_path("it has an encoded slash, backslash or NUL")
    elif octet in _UNRESERVED:
        return bytes((octet,))
    return b"%%%02X" % octet


def path_segments(path: bytes) -> tuple[str, ...]:
    """The decoded segments of a normal path; the last one is empty if the path ends with a slash."""
    if _PERCENT not in path:
        return tuple(path.decode("ascii").split("/")[1:])
    return tuple(unquote_to_bytes(segment).decode("utf-8") for segment in path.split(b"/")[1:])


def encode_segment(text: str) -> bytes:
    """One segment that decodes to `text`: all but unreserved characters is encoded.

    ValueError for `.` and `..`, which no encoding keeps from being resolved, for text without characters, which would
    be an empty segment, and for what is no Unicode. Segments that are put together of several texts have to be checked
    as a whole: `normal_path` must give back what it gets.
    """
    if text in ("", ".", ".."):
        raise ValueError(f"`{text}` cannot be a segment of a path")
    return quote(text, safe="").encode("ascii")


def encode_path(text: str) -> bytes:
    """A path of decoded segments. ValueError as for `encode_segment`, and if it does not begin with a slash."""
    first, *segments = text.split("/")
    if first or not segments:
        raise ValueError("a path begins with a slash")
    last = segments.pop()
    encoded = [encode_segment(segment) for segment in segments]
    encoded.append(encode_segment(last) if last else b"")
    return b"/" + b"/".join(encoded)


def query_pairs(query: bytes) -> list[tuple[str, str]]:
    """Names and values of a query in order, decoded, `+` as a space; empty parts are passed over.

    WireError 400 `bad-query` for broken percent-encoding and for what is no UTF-8.
    """
    pairs: list[tuple[str, str]] = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_decode_query(name), _decode_query(value)))
    return pairs


_BROKEN_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def _decode_query(text: bytes) -> str:
    if _PERCENT in text:
        if _BROKEN_PERCENT.search(text):
            raise WireError(400, "bad-query", "a `%` in the query is not followed by two hexadecimal digits")
        text = unquote_to_bytes(text.replace(b"+", b" "))
    else:
        text = text.replace(b"+", b" ")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise WireError(400, "bad-query", "the query is not UTF-8") from None


def _bad_path(why: str) -> WireError:
    return WireError(400, "bad-path", f"the path is refused: {why}")
