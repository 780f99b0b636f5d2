"""A comparison with what a value never is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint import look
from policylang.lint.look import Visit
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import agreed, meaning
from policylang.source import Span

_DAYS = frozenset({"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_KINDS = frozenset({"refusal", "error", "away", "defect"})
_OF_A_PIECE = ("starts_with", "ends_with", "contains")
_HEX = re.compile(r"[0-9a-f]*")
_HEXADECIMAL = frozenset({
    "md5", "sha1", "sha256", "sha512", "hmac_sha256", "hmac_sha512", "hex_encode", "random_hex", "fingerprint",
    "serial",
})  # fmt: skip

Problem = Callable[[Any], str]
"""Why a value of that kind is never this constant; empty where it may be."""
Written = frozenset[tuple[str, str]]
"""Messages and the fields of them that the policy sets."""


class NeverTrue(Rule):
    """A comparison with a constant that the value never is: in another case, with a part that is never in it.

    Methods are in capitals, hosts, days and digests in small letters; a path has no query, a content type no
    parameters. A service that takes some methods only never sees another.

        require weekday(now, zone: "Europe/Berlin") != "Sunday"
    ==
        require weekday(now, zone: "Europe/Berlin") != "sunday"
    """

    name: ClassVar[str] = "never-true"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return agreed(_compared(policy))


def _compared(policy: Policy) -> Iterator[tuple[Span, Finding | None]]:
    # What the policy itself writes may be anything afterwards.
    written = frozenset(
        (visit.statement.place.message, visit.statement.place.field) for visit in policy.visits
        if isinstance(visit.statement, p.SetPlace) and isinstance(visit.statement.place, p.FieldPlace)
    )  # fmt: skip
    for visit in policy.visits:
        for expr in look.expressions(visit.statement):
            if isinstance(expr, p.BinaryOp) and expr.op in ("==", "!=", "in", *_OF_A_PIECE):
                for value, constant in ((expr.left, expr.right), (expr.right, expr.left)):
                    if isinstance(constant, p.Const) and (constant is expr.right or expr.op in ("==", "!=")):
                        yield constant.span, _judged(policy, visit, value, constant, expr.op, written)
            elif isinstance(expr, p.FunctionCall) and expr.card.name == "same_secret":
                for value, constant in (expr.args, expr.args[::-1]):
                    if isinstance(constant, p.Const):
                        yield constant.span, _judged(policy, visit, value, constant, "==", written)
        if isinstance(visit.statement, p.Match) and not isinstance(visit.statement, p.Split):
            for case in visit.statement.cases:
                for pattern in case.patterns:
                    yield pattern.span, _judged(policy, visit, visit.statement.subject, pattern, "match", written)


def _judged(
    policy: Policy, visit: Visit, value: p.Expr, constant: p.Const, op: str, written: Written
) -> Finding | None:
    said, value = value, meaning(policy, visit.service, value)
    problem = _problem(value, visit.service.methods if visit.service is not None else ())
    if problem is None or any(_is(value, message, field) for message, field in written):
        return None
    what = "this case is never taken" if op == "match" else f"this is {'always' if op == '!=' else 'never'} true"
    if op in _OF_A_PIECE:
        problem = _of_a_piece(value, op)
        whys = [problem(constant.value)] if constant.value else []
    else:
        values = constant.value if op == "in" and isinstance(constant.value, (list, range)) else [constant.value]
        if isinstance(values, range) and len(values) > 1000:
            return None
        whys = [problem(each) for each in values]
        if op == "in" and not all(whys):  # what the service does not take may be asked for beside what it does
            whys = [(_problem(value, ()) or problem)(each) for each in values]
            place = next((at for at, why in enumerate(whys) if why and isinstance(values, list)), None)
            if place is None:
                return None
            what, whys = f"`{values[place]}` in it is never found", [whys[place]]
    if not whys or not all(whys):
        return None
    return Finding(
        constant.span, f"{what}: `{look.text_of(said)}` is never that", label=whys[0], help="write what it can be",
        fix=_mended(constant, problem),
    )  # fmt: skip


def _of_a_piece(value: p.Expr, op: str) -> Problem:
    """As `_problem`, of text that it begins or ends with, or has in it."""
    if _is(value, "request", "path"):
        return _path if op == "starts_with" else lambda text: _path(f"/{text}")
    if isinstance(value, p.MessageField) and value.field == "content_type":
        return _media_type
    if isinstance(value, p.FunctionCall) and value.card.name in ("lower", "upper"):
        return _problem(value, ()) or _anything
    return _anything


def _anything(_: Any) -> str:
    return ""


def _mended(constant: p.Const, problem: Problem) -> Fix | None:
    """The text in the way in which the value is written."""
    said = constant.value
    if not isinstance(said, str) or constant.span.text != f'"{said}"':
        return None
    low = said.lower()
    for text in (said.upper(), low, low.replace(":", ""), low.partition(";")[0].strip()):
        if text and not problem(text):
            return Fix(f"write `{text}`", (Edit(constant.span, f'"{text}"'),))
    return None


def _problem(value: p.Expr, methods: tuple[str, ...]) -> Problem | None:
    if _is(value, "request", "method"):
        return lambda method: _method(method, methods)
    if _is(value, "request", "scheme"):
        return lambda scheme: _one_of(scheme, frozenset({"http", "https"}))
    if _is(value, "request", "host"):
        return _small
    if _is(value, "request", "path"):
        return _path
    if _is(value, "request", "content_type") or _is(value, "response", "content_type"):
        return _media_type
    if _is(value, "response", "status"):
        return lambda status: "" if not isinstance(status, int) or 100 <= status <= 599 else "it is from 100 to 599"
    if isinstance(value, p.FunctionCall):
        name = value.card.name
        if name == "weekday":
            return lambda day: _one_of(day, _DAYS)
        if name == "hour":
            return lambda hour: "" if not isinstance(hour, int) or 0 <= hour <= 23 else "it is from 0 to 23"
        if name == "lower":
            return _small
        if name == "upper":
            return lambda text: "it is in capitals" if isinstance(text, str) and text != text.upper() else ""
        return _hexadecimal if name in _HEXADECIMAL else None
    member = _member(value)
    if member == "kind":
        return lambda kind: _one_of(kind, _KINDS)
    return _hexadecimal if member in _HEXADECIMAL else None


def _is(value: p.Expr, message: str, field: str) -> bool:
    return isinstance(value, p.MessageField) and value.message == message and value.field == field


def _member(value: p.Expr) -> str:
    """The member of a failure or a certificate that it reads."""
    if isinstance(value, p.ContextValue) and value.root == "failure":
        return value.field
    if isinstance(value, p.MemberOf) and value.base.type.name in ("failure", "certificate"):
        return str(look.constant(value.key))
    return ""


def _method(method: Any, methods: tuple[str, ...]) -> str:
    if not isinstance(method, str):
        return ""
    if method not in _METHODS and method.upper() in _METHODS:
        return "methods are in capitals"
    taken = {*methods, *(["HEAD"] if "GET" in methods else [])}
    return f"the service takes {' and '.join(sorted(methods))} only" if methods and method not in taken else ""


def _one_of(value: Any, known: frozenset[str]) -> str:
    if not isinstance(value, str) or value in known:
        return ""
    return f"it is {', '.join(f'`{each}`' for each in sorted(known)[:-1])} or `{max(known)}`"


def _small(text: Any) -> str:
    return "it is in small letters" if isinstance(text, str) and text != text.lower() else ""


def _path(path: Any) -> str:
    if not isinstance(path, str):
        return ""
    if not path.startswith("/"):
        return "it begins with `/`"
    return "a path has no query" if "?" in path else ""


def _media_type(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if ";" in value:
        return "it comes without parameters"
    return "it comes in small letters" if value != value.lower() else ""


def _hexadecimal(value: Any) -> str:
    if not isinstance(value, str) or _HEX.fullmatch(value):
        return ""
    return "it is hexadecimal in small letters, without separators"
