"""Paths and queries, encoded and decoded. `policylang.sdk.paths` has the one spelling of a path."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from runtime.wire.limits import WireError

_PERCENT: Final = b"%"[0]


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
