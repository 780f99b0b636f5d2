"""What `set`, `remove`, `respond` and `fail` do, and how the branches of `parallel` come together."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from reference import names
from reference.message import Message, Request, Response
from reference.target import written_path
from reference.values import Failing, Known, kind_of, missing_value, wrong_type

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation, State

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
TOKEN = LETTERS + "!#$%&'*+-.^_`|~"
"""RFC 9110, 5.6.2"""
COOKIE = "".join(chr(i) for i in range(0x21, 0x7F) if chr(i) not in '",;\\')
"""RFC 6265, 4.1.1"""


def write(target: n.Expr, known: Known, at: Evaluation, source: n.Expr) -> None:
    try:
        _write(target, known, at, source)
    except Failing as failing:
        raise at._blame(failing, source) from None


def _write(target: n.Expr, known: Known, at: Evaluation, source: n.Expr) -> None:
    if isinstance(target, n.Name):
        at.variables[target.name] = Known(known.value, known.private)
        return
    message, table, name = _place(target, at)
    value = known.value
    if table == "header":
        values = header_values(value, source)
        message.remove_header(name)
        message.headers += [(name, each) for each in values]
    elif table == "query":
        assert isinstance(message, Request)
        message.set_query(name, text_only(value))
    elif table == "cookie":
        assert isinstance(message, Request)
        text = text_only(value)
        if not all(c in COOKIE for c in text):
            raise unsafe_value()
        message.set_cookie(name, text)
    else:
        _write_field(message, name, value)


def _write_field(message: Message, name: str, value: Any) -> None:
    if name in ("body", "text"):
        message.write_body(value if isinstance(value, bytes) else text_only(value).encode())
    elif name == "json":
        message.write_body(dump(value))
    elif name == "status":
        if kind_of(value) != "number" or value != int(value) or not 200 <= value <= 599:
            raise wrong_type("a status is a number from 200 to 599")
        assert isinstance(message, Response)
        message.status = int(value)
    else:
        text = text_only(value)
        if name == "path":
            text = written_path(text)
        if name == "method" and not (text and all(c in TOKEN for c in text)):
            raise unsafe_value()
        if name == "query" and any(not "!" <= c <= "~" or c == "#" for c in text):
            raise unsafe_value()
        setattr(message, "query_string" if name == "query" else name, text)


def remove(target: n.Expr, at: Evaluation) -> None:
    if isinstance(target, n.Name):
        at.variables[target.name] = Known(None)
        return
    message, table, name = _place(target, at)
    if table == "header":
        message.remove_header(name)
    elif table == "query":
        assert isinstance(message, Request)
        message.set_query(name, None)
    elif table == "cookie":
        assert isinstance(message, Request)
        message.set_cookie(name, None)
    elif name == "query":
        assert isinstance(message, Request)
        message.query_string = None
    else:
        message.write_body(b"")


def _place(target: n.Expr, at: Evaluation) -> tuple[Message, str, str]:
    """The message, `header`, `query`, `cookie` or nothing, and the name."""
    assert isinstance(target, (n.Member, n.Index))
    name = target.name if isinstance(target, n.Member) else text_only(at.value(target.key).value)
    base = target.base
    if isinstance(base, n.Member):
        message = at.value(base.base).value
        return message, base.name, name
    return at.value(base).value, "", name


def unsafe_value() -> Failing:
    failing = Failing("unsafe-value", 400, kind="error")
    failing.blames_expression = True
    return failing


def text_only(value: Any) -> str:
    if value is None:
        raise missing_value("none where text is needed")
    if not isinstance(value, str):
        raise wrong_type(f"{kind_of(value)} where text is needed")
    return value


def header_value(value: Any) -> str:
    text = text_only(value)
    if any(c in text for c in "\r\n\0"):
        failing = Failing(names.HEADER, 400, kind="error")
        failing.blames_expression = True
        raise failing
    return str(text)


def header_values(value: Any, source: n.Expr) -> list[str]:
    """What is known to be a list gives a field for each of its elements."""
    known = isinstance(source, n.ListValue) or (isinstance(source, n.CallExpr) and source.name in ("all", "split"))
    return [header_value(each) for each in value] if known else [header_value(value)]


def dump(value: Any) -> bytes:
    def other(odd: Any) -> Any:
        return str(odd)

    return json.dumps(value, default=other, ensure_ascii=False, separators=(",", ":")).encode()


def respond(statement: n.Respond, at: Evaluation) -> None:
    status, body, content_type = 200, b"", None
    headers: list[tuple[str, str]] = []
    for i, argument in enumerate(statement.args):
        name = argument.name or ("status", "body")[i]
        if name == "header":
            assert isinstance(argument.value, n.MapValue)
            for entry in argument.value.entries:
                known = at.value(entry.value)
                try:
                    headers.append((entry.key, header_value(known.value)))
                except Failing as failing:
                    raise at._blame(failing, entry.value) from None
            continue
        known = at.value(argument.value)
        try:
            if name == "status":
                if kind_of(known.value) != "number" or not 200 <= known.value <= 599:
                    raise wrong_type("a status is a number from 200 to 599")
                status = int(known.value)
            elif name == "json":
                body, content_type = dump(known.value), content_type or "application/json"
            elif name == "body":
                body = text_only(known.value).encode()
                content_type = content_type or "text/plain; charset=utf-8"
            elif name == "content_type":
                content_type = header_value(known.value)
        except Failing as failing:
            raise at._blame(failing, argument.value) from None
    if content_type is not None:
        headers.append(("Content-Type", content_type))
    at.state.response = Response(status=status, headers=headers, body=body)


def failure_of(statement: n.Fail, at: Evaluation) -> Failing:
    status, detail, name, title, private = 403, "", names.FAIL, "", False
    for i, argument in enumerate(statement.args):
        known = at.value(argument.value)
        what = argument.name or ("status", "detail")[i]
        try:
            if what == "status":
                if kind_of(known.value) != "number" or not 400 <= known.value <= 599:
                    raise wrong_type("a failure's status is a number from 400 to 599")
                status = int(known.value)
            elif what == "name":
                name = text_only(known.value)
            elif what == "title":
                title = text_only(known.value)
            else:
                detail, private = text_only(known.value), known.private
        except Failing as failing:
            raise at._blame(failing, argument.value) from None
    return Failing(name, status, detail, title=title, private=private)


# --- parallel ---


def merge(entry: State, branch: State, into: State) -> None:
    """What a branch has changed goes into the whole; no two branches may change one thing."""
    _merge_message(entry.request, branch.request, into.request)
    if branch.response is not None and entry.response is not None and into.response is not None:
        _merge_message(entry.response, branch.response, into.response)
    if branch.user != entry.user:
        into.user = branch.user


def _merge_message(entry: Message, branch: Message, into: Message) -> None:
    for name in {known.lower() for known, _ in (*entry.headers, *branch.headers)}:
        if entry.header_values(name) != branch.header_values(name):
            into.remove_header(name)
            into.headers += [pair for pair in branch.headers if pair[0].lower() == name]
    for name in vars(entry):
        if name != "headers" and getattr(entry, name) != getattr(branch, name):
            setattr(into, name, copy.copy(getattr(branch, name)))


__all__ = ["failure_of", "merge", "remove", "respond", "write"]
