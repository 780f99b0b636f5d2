"""A copy for the servers that get the request as well."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.look import argument, calls, constant, given, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import earlier, later
from policylang.sdk.values import UpstreamName

_ELSEWHERE = ("path", "method", "host", "query")


class MirroredToItself(Rule):
    """A request is copied to the very servers that it is sent to: they carry it out twice.

        mirror orders
        route orders
    ==
        mirror orders, path: "/shadow"
        route orders
    """

    name: ClassVar[str] = "mirrored-to-itself"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        servers = {
            upstream.name: frozenset(each.values["url"] for each in upstream.settings if each.name == "server")
            for upstream in policy.program.upstreams
        }
        for visit in policy.visits:
            copy = visit.statement
            if not calls(copy, "mirror"):
                continue
            around = [*later(policy, visit), *earlier(policy, visit)]
            for route in (each for statement in around for each in within(statement)):
                if calls(route, "route") and _servers(route, servers) & _servers(copy, servers) and all(
                    shape(given(route, name)) == shape(given(copy, name)) for name in _ELSEWHERE
                ):  # fmt: skip
                    yield Finding(
                        copy.span, "the copy goes to the servers that get the request",
                        labels=[Label(route.span, "sent here")],
                        help="copy it to another upstream, or to a path of its own",
                    )  # fmt: skip
                    break


def _servers(statement: p.Statement, servers: dict[str, frozenset[str]]) -> frozenset[str]:
    name = constant(argument(statement, "upstream"))
    return servers.get(name.name, frozenset()) if isinstance(name, UpstreamName) else frozenset()
