"""Where a request goes, as its sender likes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import leading_text, sends
from policylang.lint.look import Visit, given, text_of
from policylang.lint.origins import SENT, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class ClientChosenTarget(Rule):
    """The host, path or method that an upstream is asked for comes from a field that the client chooses.

    The service was chosen, and its checks were made, by the path and method of the request; a field such as
    `X-Original-URL` or `X-HTTP-Method-Override` leads past them, and a chosen host to whatever else the servers hold.
    Hold it against what is allowed. What is interpolated into `path:` is encoded as one segment, and is not meant.

        route orders, host: request.header["X-Tenant-Host"]
    ==
        let tenant = request.header["X-Tenant"]
        require tenant in ["north", "south"]
        route orders, host: "${tenant}.internal"
    """

    name: ClassVar[str] = "client-chosen-target"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            if visit.place in ("before", "service"):
                way = policy.origins.of(visit.service)
                for what, value in _targets(way, visit):
                    yield Finding(
                        value.span, f"the client chooses the {what} with `{text_of(value)}`",
                        help=f"hold it against the {what}s that are allowed: `require … in [\"…\"]`",
                    )  # fmt: skip


def _targets(way: Way, visit: Visit) -> Iterator[tuple[str, p.Expr]]:
    statement = visit.statement
    if sends(statement):
        host, path, method = (given(statement, name) for name in ("host", "path", "method"))
        if host is not None and way.chosen(host, visit, SENT, formed=True):
            yield "host", host
        if path is not None and not isinstance(path, p.Template) and way.chosen(path, visit, SENT, formed=True):
            yield "path", path
        if method is not None and way.chosen(method, visit, SENT, formed=True):
            yield "method", method
    elif isinstance(statement, p.SetPlace) and isinstance(statement.place, p.FieldPlace):
        place, value = statement.place, statement.value
        free = place.field == "method" or (place.field == "path" and len(leading_text(value)) < 2)
        if place.message == "request" and free and way.chosen(value, visit, SENT, formed=True):
            yield place.field, value
