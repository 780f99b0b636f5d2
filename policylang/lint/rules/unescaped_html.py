"""A page that shows what a link says, as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.guards import fields_written
from policylang.lint.look import Visit, constant, text_of
from policylang.lint.origins import SENT, children
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import meaning

_KINDS = SENT | {"path"}


class UnescapedHtml(Rule):
    """A parameter, field or body of the request is put into HTML as it is.

    Whoever makes the link writes the page: a script in it runs with the cookies of whoever follows it. `html_escape`
    makes text of it.

        respond 404, body: "<p>nothing is called ${request.query.name}</p>", content_type: "text/html"
    ==
        let name = html_escape(request.query.name)
        respond 404, body: "<p>nothing is called ${name}</p>", content_type: "text/html"
    """

    name: ClassVar[str] = "unescaped-html"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            body = statement.body if isinstance(statement, p.Respond) and _html(statement) else None
            for part in () if body is None else _raw(policy, visit, body):
                yield Finding(
                    part.span, f"whoever makes the link writes `{text_of(part)}` into the page",
                    help="write `html_escape(…)` around it",
                    fix=Fix("write `html_escape(…)`", (Edit(part.span, f"html_escape({part.span.text})"),)),
                )  # fmt: skip


def _raw(policy: Policy, visit: Visit, body: p.Expr) -> Iterator[p.Expr]:
    """The smallest parts of it that are as the client wants them."""
    way = policy.origins.of(visit.service)
    waiting = [body] if way.chosen(body, visit, _KINDS, formed=True) else []
    seen: set[int] = set()
    while waiting:
        text = waiting.pop()
        meant = meaning(policy, visit.service, text)
        if id(meant) in seen:
            continue
        seen.add(id(meant))
        joined = isinstance(meant, p.Template) or (isinstance(meant, p.BinaryOp) and meant.op == "+")
        joined = joined or (isinstance(meant, p.FunctionCall) and meant.card.name == "replace")
        inner = [each for each in children(meant) if joined and way.chosen(each, visit, _KINDS, formed=True)]
        waiting += inner
        if not inner:
            yield text


def _html(statement: p.Respond) -> bool:
    kinds = [statement.content_type, *(each.value for each in fields_written(statement) if each.name == "content-type")]
    return any("html" in str(constant(kind)) for kind in kinds if kind is not None)
