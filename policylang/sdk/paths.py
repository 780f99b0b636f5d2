"""Paths: one spelling for each, so that what is matched is what the upstream sees."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
# RFC 3986 3.3: what a path may hold unencoded, the slash with it.
_PLAIN: Final = UNRESERVED + b"!$&'()*+,;=:@/"
_DOT, _PERCENT = b".%"
_TO_REWRITE: Final = re.compile(rb"%([0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/-]")
# Bytes that an encoded octet must not stand for: a slash or backslash would be a boundary for one program and a part
# of a name for the next, NUL the end of a string.
_FORBIDDEN: Final = frozenset(b"/\\\0")


class BadPath(ValueError):
    """A path without a normal form; the text says why."""


def normal_path(path: bytes) -> bytes:
    """The path of a target with unreserved characters decoded and dot segments resolved (RFC 3986 6.2.2).

    What has to be encoded is, with upper-case digits. A path that is normal already comes back as the same object.
    `..` above the root stays at the root (RFC 3986 5.2.4). BadPath for a path that does not begin with a slash, for
    empty inner segments, `%2F`, `%5C`, `%00`, broken percent-encoding, encoded bytes that are no UTF-8, raw
    backslashes, control characters and bytes beyond ASCII.
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
        raise BadPath("it does not begin with a slash")
    path = _TO_REWRITE.sub(_rewrite, path)
    if _PERCENT in path:
        # Overlong forms are another spelling of a character that was looked for and not found.
        try:
            unquote_to_bytes(path).decode("utf-8")
        except UnicodeDecodeError:
            raise BadPath("its encoded bytes are not UTF-8") from None
    segments = path.split(b"/")[1:]
    if b"" in segments[:-1]:
        raise BadPath("it has an empty segment")
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
            raise BadPath("a `%` is not followed by two hexadecimal digits")
        if not 0x20 < octet < 0x7F or octet in b"\\?#":
            raise BadPath("it has a character that must be encoded")
    elif octet in _FORBIDDEN:
        raise BadPath("it has an encoded slash, backslash or NUL")
    elif octet in UNRESERVED:
        return bytes((octet,))
    return b"%%%02X" % octet
