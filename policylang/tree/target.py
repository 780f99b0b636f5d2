"""Request targets: the templates of `path:`, and paths that a policy writes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

from policylang.check import program as p
from policylang.check.literals import DOT_SEGMENT, HIDDEN
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.tree.emit import Function, compiled, fixed
from policylang.tree.values import string_of, text_of

_IN_PATH = "/:@!$&'()*+,;=%"
_IN_QUERY = _IN_PATH + "?"
_PLAIN = re.compile(r"[A-Za-z0-9_~-]+\Z")
"""Text that is one segment as it stands. A dot is missing: `..` would climb."""


def target_function(expr: p.Expr) -> Function:
    """A TARGET parameter: gives bytes. (The assertion adds the request's query unless it has a `?`.)

    Each interpolated string is one encoded segment, `request.path` a path. Raises Failed where one is empty or would be
    a dot segment (RFC 3986, 5.2.4), so that no value can lead to a path the author did not write.
    """
    if isinstance(expr, p.Const):
        text = str(expr.value)
        return fixed(lambda: written(text).encode())
    if not isinstance(expr, p.Template):
        whole = compiled(expr)
        if isinstance(expr, p.MessageField) and expr.field == "path":
            return lambda exchange: whole(exchange).encode()
        return lambda exchange: written(string_of(whole(exchange))).encode()
    has_query = False
    pieces: list[Piece] = []
    for part in expr.parts:
        if isinstance(part, str):
            before, mark, after = ("", "", part) if has_query else part.partition("?")
            pieces.append(Piece(quote(before, safe=_IN_PATH), None, has_query))
            has_query = has_query or bool(mark)
            pieces.append(Piece(mark + quote(after, safe=_IN_QUERY), None, has_query))
        else:
            is_path = isinstance(part, p.MessageField) and part.message == "request" and part.field == "path"
            pieces.append(Piece("path" if is_path and not has_query else "", compiled(part), has_query))
    compose = _composer(tuple(piece for piece in pieces if piece.text or piece.value is not None))
    return lambda exchange: compose(exchange).encode()


class Piece(NamedTuple):
    """One part of a template: fixed text, or a value that is encoded, or (`text` is `path`) one that is a path."""

    text: str
    value: Callable[[Exchange], Any] | None
    in_query: bool


def _composer(pieces: tuple[Piece, ...]) -> Callable[[Exchange], str]:
    def compose(exchange: Exchange) -> str:
        found: list[str] = []
        doubtful = False
        for text, value, in_query in pieces:
            if value is None:
                found.append(text)
            elif text:
                path = value(exchange)
                found.append(path[1:] if found and found[-1].endswith("/") else path)
            else:
                raw = text_of(value(exchange))
                if _PLAIN.match(raw):
                    found.append(raw)
                    continue
                if not in_query:
                    doubtful = True
                    if not raw:
                        raise _unsafe("a segment of the path is empty")
                found.append(quote(raw, safe="", errors="surrogateescape"))
        whole = "".join(found)
        if doubtful and DOT_SEGMENT.search(whole.partition("?")[0]):
            raise _unsafe("a segment of the path is `.` or `..`")
        return whole if whole.startswith("/") else "/" + whole

    return compose


def written(text: str) -> str:
    """A path, with or without a query, that the policy gives as a whole. Raises Failed on a dot segment."""
    path, mark, query = text.partition("?")
    return written_path(path) + (mark + quote(query, safe=_IN_QUERY, errors="surrogateescape") if mark else "")


def written_path(text: str) -> str:
    """A path, percent-encoded where it has to be. Raises Failed unless it begins with `/` and stays where it is."""
    if not text.startswith("/"):
        raise _unsafe("a path does not begin with `/`")
    path = quote(text, safe=_IN_PATH, errors="surrogateescape")
    if DOT_SEGMENT.search(path):
        raise _unsafe("a segment of the path is `.` or `..`")
    if HIDDEN.search(path):
        raise _unsafe("a path holds an encoded slash, backslash or NUL")
    return path


def _unsafe(detail: str) -> Failed:
    return Failed(Failure("unsafe-path", 400, detail, kind=Kind.ERROR))
