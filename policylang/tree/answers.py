"""`respond` and `fail`: what can be made of them beforehand is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policylang.check import program as p
from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.message import Field
from policylang.sdk.outcome import Failed, Failure
from policylang.tree.arguments import masked
from policylang.tree.edits import header_name, header_value, json_bytes, status_of
from policylang.tree.emit import compiled, fixed, guarded
from policylang.tree.outcome import copied
from policylang.tree.values import PRIVATE, string_of, text_of

_NO_BODY = (204, 304)
_EMPTY = Exchange.__new__(Exchange)
"""Constants are worked out with it: they read nothing."""


def answer(statement: p.Respond) -> Callable[[Exchange], None]:
    try:
        return _answer(statement)
    except Failed as failed:  # of constants: so it fails for every message
        failure = failed.failure

        def fail(exchange: Exchange) -> None:
            raise Failed(copied(failure))

        return fail


def _answer(statement: p.Respond) -> Callable[[Exchange], None]:
    status, headers, body = _status(statement.status, 200), _headers(statement), _body(statement)
    exprs = (statement.status, statement.body, statement.json, statement.content_type,
             *[value for _, value in statement.headers])  # fmt: skip
    if all(expr is None or isinstance(expr, p.Const) for expr in exprs):
        fixed_status, fixed_headers, fixed_body = status(_EMPTY), headers(_EMPTY), body(_EMPTY)
        if fixed_status in _NO_BODY:
            fixed_body, fixed_headers = b"", _without_type(fixed_headers)

        def respond_fixed(exchange: Exchange) -> None:
            # Lists of fields are never changed in place, so all answers may share one.
            exchange.response = Response(fixed_status, fixed_headers, fixed_body, made_here=True)

        return respond_fixed

    def respond(exchange: Exchange) -> None:
        number = status(exchange)
        data = body(exchange)
        fields = headers(exchange)
        if number in _NO_BODY:
            data, fields = b"", _without_type(fields)
        exchange.response = Response(number, fields, data, made_here=True)

    return respond


def _without_type(headers: list[Field]) -> list[Field]:
    return [field for field in headers if field[0] != b"content-type"]


def _status(expr: p.Expr, least: int) -> Callable[[Exchange], int]:
    value = compiled(expr)
    return guarded(expr, lambda exchange: status_of(value(exchange), least))


def _body(statement: p.Respond) -> Callable[[Exchange], bytes]:
    if statement.json is not None:
        value = compiled(statement.json)
        return guarded(statement.json, lambda exchange: json_bytes(value(exchange)))
    if statement.body is not None:
        text = compiled(statement.body)
        return guarded(statement.body, lambda exchange: _bytes(text(exchange)))
    return lambda exchange: b""


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else string_of(value).encode("utf-8", "surrogateescape")


def _headers(statement: p.Respond) -> Callable[[Exchange], list[Field]]:
    names = [header_name(name) for name, _ in statement.headers]
    values = [_header_value(value) for _, value in statement.headers]
    kind: Callable[[Exchange], Any] | None = None
    if statement.content_type is not None:
        kind = compiled(statement.content_type)
    elif b"content-type" not in [lower for lower, _ in names]:
        if statement.json is not None:
            kind = lambda exchange: "application/json"  # noqa: E731
        elif statement.body is not None:
            kind = lambda exchange: "text/plain; charset=utf-8"  # noqa: E731

    def headers(exchange: Exchange) -> list[Field]:
        fields: list[Field] = []
        if kind is not None:
            fields.append((b"content-type", b"Content-Type", header_value(kind(exchange))))
        for (lower, name), value in zip(names, values, strict=True):
            fields.append((lower, name, value(exchange)))
        return fields

    return headers


def _header_value(expr: p.Expr) -> Callable[[Exchange], bytes]:
    value = compiled(expr)
    return guarded(expr, lambda exchange: header_value(value(exchange)))


def failing(statement: p.Fail) -> Callable[[Exchange], Failure]:
    name = statement.name or "failed"
    status, detail, title = _status(statement.status, 400), _shown(statement.detail), _shown(statement.title)
    if all(expr is None or isinstance(expr, p.Const) for expr in (statement.status, statement.detail, statement.title)):
        return fixed(lambda: Failure(name, status(_EMPTY), detail(_EMPTY), title=title(_EMPTY)))
    return lambda exchange: Failure(name, status(exchange), detail(exchange), title=title(exchange))


def _shown(expr: p.Expr | None) -> Callable[[Exchange], str]:
    """A text that reaches an answer and a log: the whole of one that holds a private value is masked."""
    if expr is None:
        return lambda exchange: ""
    value = compiled(expr)
    if expr.private and not isinstance(expr, p.Const):
        return masked(lambda exchange: text_of(value(exchange)))
    if expr.private:
        return lambda exchange: PRIVATE
    return lambda exchange: text_of(value(exchange))
