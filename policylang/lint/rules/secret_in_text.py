"""A secret that stands in the policy's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import Visit, argument, calls, constant, expressions, nodes
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span
from policylang.syntax import nodes as n

_CREDENTIAL = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bglpat-[A-Za-z0-9_-]{20}"
    r"|\bsk_live_[A-Za-z0-9]{16}|\bxox[abprs]-[A-Za-z0-9-]{10}|\bAIza[A-Za-z0-9_-]{35}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
)
_SCHEME = re.compile(r"(?:Basic|Bearer|Token|ApiKey) \S{8,}", re.I)
_TELLING = re.compile(
    r"(?:^|_)(?:secret|password|passwd|passphrase|api_?key|(?:private|signing|auth|access)_key|token)$"
)
_WORDS = re.compile(r"[A-Za-z]+(?:[-_ ./:][A-Za-z]+)*")
_FIELDS = frozenset({"authorization", "proxy-authorization", "x-api-key", "x-auth-token", "api-key", "apikey"})


class SecretInText(Rule):
    """A key, password or token is written in the policy.

    Everybody who can read the policy, its history or a copy of it has the secret, and changing it takes a new policy.
    `secret("NAME")` is read when the policy is loaded, from the service manager's credentials or the environment, and
    what is made of it is `private`.

        set request.header["Authorization"] = "Bearer 8f14e45fceea167a"
        route orders
    ==
        set request.header["Authorization"] = "Bearer ${secret("ORDERS_TOKEN")}"
        route orders
    """

    name: ClassVar[str] = "secret-in-text"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        constants = {each.name: each for each in policy.declarations if isinstance(each, n.Constant)}
        for each in constants.values():
            written = _literal(each.value)
            if written and (each.private or (_tells(each.name) and _random(written))):
                yield _found(each.value.span)
        for declaration in policy.declarations:
            if isinstance(declaration, n.Test):
                continue  # a test's callers have keys that open nothing
            for node in nodes(declaration):
                texts = [part for part in node.parts if isinstance(part, str)] if isinstance(node, n.Text) else []
                if any(_CREDENTIAL.search(text) for text in texts):
                    yield _found(node.span)
                if isinstance(node, n.Let) and node.private and _random(_literal(node.value)):
                    yield _found(node.value.span)
                for entry in node.entries if isinstance(node, n.MapValue) else ():
                    text = _literal(entry.value)
                    if _tells(entry.key) and _random(text) and " " not in text:  # else it says something of one
                        yield _found(entry.value.span)
        for setting in policy.program.gateway:
            if setting.name == "admin":
                yield from _token(policy, setting)
        for visit in policy.visits:
            for expr in _meant(policy.origins.of(visit.service), visit):
                span = _written(expr, constants)
                if span is not None:
                    yield _found(span)


def _found(span: Span) -> Finding:
    return Finding(
        span, "this secret stands in the text of the policy",
        help='keep it elsewhere, and read it with `secret("NAME")`',
    )  # fmt: skip


def _random(text: str) -> bool:
    """Whether it may be a secret: no word or name, and no address."""
    return len(text) >= 8 and "://" not in text and not _WORDS.fullmatch(text)


def _literal(node: n.Expr) -> str:
    return node.literal or "" if isinstance(node, n.Text) else ""


def _tells(name: str) -> bool:
    """Whether what is called so can only be a secret."""
    name = name.lower()
    return name in _FIELDS or bool(_TELLING.search(name.replace("-", "_")))


def _meant(way: Way, visit: Visit) -> Iterator[p.Expr]:
    """What can only be a secret."""
    statement = visit.statement
    place = statement.place if isinstance(statement, p.SetPlace) else None
    if isinstance(statement, p.SetPlace) and isinstance(place, p.NamedPlace) and place.message == "request":
        name, value = str(constant(place.key) or ""), str(constant(statement.value) or "")
        bare = not name.lower().endswith("authorization") and _random(value)
        if _tells(name) and (bare or _SCHEME.fullmatch(value)):
            yield statement.value
    if isinstance(statement, p.Match) and not isinstance(statement, p.Split) and _asked(way, visit, statement.subject):
        yield from (pattern for case in statement.cases for pattern in case.patterns if _hides(pattern))
    known = argument(statement, "in") if calls(statement, "api_key") else None
    if known is not None and _hides(known):
        yield known
    for expr in expressions(statement):
        if isinstance(expr, p.FunctionCall):
            if expr.card.name in ("hmac_sha256", "hmac_sha512"):
                yield expr.args[1]
            elif expr.card.name == "same_secret":
                yield from expr.args
        elif isinstance(expr, p.BinaryOp) and expr.op in ("==", "!=", "in"):
            for side, other in ((expr.left, expr.right), (expr.right, expr.left)):
                if _hides(side) and _asked(way, visit, other):
                    yield side


def _hides(expr: p.Expr) -> bool:
    """Whether it may be a secret, or several."""
    value = constant(expr)
    return any(_random(str(each)) for each in (value if isinstance(value, (list, tuple, dict)) else [value or ""]))


def _asked(way: Way, visit: Visit, expr: p.Expr) -> bool:
    """Whether a client shows a secret there; the hash of one is none."""
    return any(name == "authorization" or _tells(name) for _, name in way.chosen(expr, visit, formed=True))


def _written(expr: p.Expr, constants: dict[str, n.Constant]) -> Span | None:
    """The literal, here or under a name; what `env`, `secret` or a file gave is none."""
    if not isinstance(expr, p.Const) or not expr.value:
        return None
    text = expr.span.text
    if text.startswith(('"', 'r"')):
        return expr.span if text.startswith("r") or "${" not in text else None
    if text.startswith(("[", "{")):
        return expr.span
    declared = constants.get(text)
    literal = declared is not None and isinstance(declared.value, (n.Text, n.ListValue, n.MapValue))
    return declared.value.span if declared is not None and literal else None


def _token(policy: Policy, setting: p.Setting) -> Iterator[Finding]:
    for node in policy.declarations:
        if isinstance(node, n.Gateway):
            for each in node.settings:
                if each.span == setting.span:
                    for argument in each.args:
                        if argument.name == "token" and isinstance(argument.value, n.Text) and argument.value.literal:
                            yield _found(argument.value.span)

