"""A redirect that leads wherever its link says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written, leading_text
from policylang.lint.look import Visit, constant, text_of
from policylang.lint.origins import SENT, Source, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class OpenRedirect(Rule):
    """A redirect goes where a parameter or field of the request says.

    A link to a trusted name then leads to any other site, for whoever wants to pass one off. Hold the target against a
    list, or begin it with the host that is meant.

        respond 302, header: { Location: request.query.next ?? "/" }
    ==
        let next = request.query.next ?? "home"
        require next in ["home", "orders"]
        respond 302, header: { Location: "/${next}" }
    """

    name: ClassVar[str] = "open-redirect"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for field in fields_written(visit.statement):
                if (field.message, field.name) != ("response", "location"):
                    continue
                way = policy.origins.of(visit.service)
                first = _first(field.value)
                if (
                    not _held(leading_text(field.value)) and way.chosen(first, visit, SENT, formed=True)
                    and not _begins(way, visit, way.flows(first))
                ):  # fmt: skip
                    yield Finding(
                        field.value.span, f"whoever makes a link chooses where `{text_of(field.value)}` leads",
                        help="hold it against the targets that are allowed, or begin it with a host of yours",
                    )  # fmt: skip


def _held(start: str) -> bool:
    """Whether what follows can no longer change the host: `/x`, `https://host/`; but `/` alone may become `//host`."""
    if start.startswith("/"):
        return len(start) > 1 and start[1] not in "/\\"
    _, slashes, rest = start.partition("://")
    return bool(slashes) and any(mark in rest for mark in "/?#")


def _begins(way: Way, visit: Visit, sources: frozenset[Source]) -> bool:
    """Whether it was asked before that it begins with a host, or a path, that is known."""
    return any(
        _held(str(constant(asked.right) or "")) and sources & way.flows(asked.left)
        for asked in way.asked(visit, "starts_with")
    )


def _first(value: p.Expr) -> p.Expr:
    """Its first part that is worked out: what stands behind it is behind the host."""
    if isinstance(value, p.Template):
        return next((part for part in value.parts if not isinstance(part, str)), value)
    return value
