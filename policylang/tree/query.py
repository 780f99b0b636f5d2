"""Queries that a policy writes: `query:` of `route`, from a map or as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote_plus

from policylang.check import program as p
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, wrong_type
from policylang.tree.edits import query_text
from policylang.tree.emit import Function, compiled, fixed, guarded
from policylang.tree.values import kind_of, phrase, text_of


def query_function(expr: p.Expr) -> Function:
    """A QUERY parameter: gives bytes without `?`, empty where nothing is left.

    Raises Failed when it is called and a value has no place in a query.
    """
    if isinstance(expr, p.Const):
        value = expr.value
        return fixed(lambda: _query(value))
    if isinstance(expr, p.MapOf):
        return guarded(expr, _of_entries(expr))
    function = compiled(expr)
    return guarded(expr, lambda exchange: _query(function(exchange)))


def _of_entries(expr: p.MapOf) -> Function:
    """The names, and the values that are known, are written beforehand."""
    pieces: list[tuple[str, Callable[[Exchange], Any] | None]] = []
    for name, value in expr.entries:
        start = _written(name) + "="
        if isinstance(value, p.Const):
            try:
                pieces.append((_pairs(start, value.value), None))
                continue
            except Failed:  # so it fails for every message, when its turn comes
                pass
        pieces.append((start, compiled(value)))

    def compose(exchange: Exchange) -> bytes:
        found = [text if value is None else _pairs(text, value(exchange)) for text, value in pieces]
        return "&".join([text for text in found if text]).encode()

    return compose


def _query(value: Any) -> bytes:
    if isinstance(value, Mapping):
        found = [_pairs(_written(str(name)) + "=", each) for name, each in value.items()]
        return "&".join([text for text in found if text]).encode()
    return query_text(value).removeprefix(b"?")


def _pairs(start: str, value: Any) -> str:
    """`name=value`, one for each element of a list, nothing for none."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "&".join([start + _text(each) for each in value if each is not None])
    return start + _text(value)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        raise wrong_type(f"{phrase(kind_of(value))} cannot stand in a query")
    return _written(text_of(value))


def _written(text: str) -> str:
    return quote_plus(text, errors="surrogateescape")
