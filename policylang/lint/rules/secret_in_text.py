"""A secret that stands in the policy's text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written
from policylang.lint.look import expressions, nodes
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
_TELLING = re.compile(r"(?:^|_)(?:secret|password|passwd|passphrase|private_key|api_?key|signing_key|token)$")
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
            written = each.value.literal if isinstance(each.value, n.Text) else None
            if written and (each.private or (_TELLING.search(each.name) and _random(written))):
                yield _found(each.value.span)
        for declaration in policy.declarations:
            if isinstance(declaration, n.Test):
                continue  # a test's callers have keys that open nothing
            for node in nodes(declaration):
                texts = [part for part in node.parts if isinstance(part, str)] if isinstance(node, n.Text) else []
                if any(_CREDENTIAL.search(text) for text in texts):
                    yield _found(node.span)
        for setting in policy.program.gateway:
            if setting.name == "admin":
                yield from _token(policy, setting)
        for visit in policy.visits:
            for expr in _meant(visit.statement):
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


def _meant(statement: p.Statement) -> Iterator[p.Expr]:
    """What can only be a secret."""
    for field in fields_written(statement):
        value = field.value
        if isinstance(value, p.Const) and field.message == "request" and field.name in _FIELDS:
            bare = not field.name.endswith("authorization") and _random(str(value.value))
            if bare or _SCHEME.fullmatch(str(value.value)):
                yield value
    for expr in expressions(statement):
        if isinstance(expr, p.FunctionCall):
            if expr.card.name in ("hmac_sha256", "hmac_sha512"):
                yield expr.args[1]
            elif expr.card.name == "same_secret":
                yield from expr.args
        elif isinstance(expr, p.BinaryOp) and expr.op == "==":
            for side, other in ((expr.left, expr.right), (expr.right, expr.left)):
                if isinstance(other, p.Named) and other.kind == "header" and isinstance(other.key, p.Const):
                    known = isinstance(side, p.Const) and _random(str(side.value))
                    if known and str(other.key.value).lower() in _FIELDS:
                        yield side


def _written(expr: p.Expr, constants: dict[str, n.Constant]) -> Span | None:
    """The literal, here or under a name; what `env` or `secret` gave is none."""
    if not isinstance(expr, p.Const) or not isinstance(expr.value, str) or not expr.value:
        return None
    text = expr.span.text
    if text.startswith(('"', 'r"')):
        return expr.span if text.startswith("r") or "${" not in text else None
    declared = constants.get(text)
    return declared.value.span if declared is not None and isinstance(declared.value, n.Text) else None


def _token(policy: Policy, setting: p.Setting) -> Iterator[Finding]:
    for node in policy.declarations:
        if isinstance(node, n.Gateway):
            for each in node.settings:
                if each.span == setting.span:
                    for argument in each.args:
                        if argument.name == "token" and isinstance(argument.value, n.Text) and argument.value.literal:
                            yield _found(argument.value.span)

