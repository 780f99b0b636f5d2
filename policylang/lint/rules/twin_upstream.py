"""Two upstreams that are one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.lint.likeness import written
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.syntax import nodes as n


class TwinUpstream(Rule):
    """Two upstreams with the same servers and settings are two of everything: connections, health checks, circuits.

    What one of them has found out of a server the other does not know, and a limit of connections is twice as large as
    it says. Where just that is meant, so that one kind of request leaves room for the other, say so in a comment.

        upstream first {
            server "http://127.0.0.1:9001"
        }

        upstream second {
            server "http://127.0.0.1:9001"
        }

        service old "/old" {
            route first
        }

        service new "/new" {
            route second
        }
    ==
        upstream first {
            server "http://127.0.0.1:9001"
        }

        service old "/old" {
            route first
        }

        service new "/new" {
            route first
        }
    """

    name: ClassVar[str] = "twin-upstream"
    category: ClassVar[Category] = "performance"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        # A copy for the servers that have the request already is another rule's.
        mirrored = {
            node.args[0].value.span.text for node in policy.nodes
            if isinstance(node, n.Call) and node.name == "mirror" and node.args
        }  # fmt: skip
        known: dict[Hashable, n.Upstream] = {}
        for each in policy.declarations:
            if isinstance(each, n.Upstream) and each.name not in mirrored:
                settings = frozenset(written(setting) for setting in each.settings)
                first = known.setdefault(settings, each)
                if first is not each:
                    yield Finding(
                        each.name_span, f"`{each.name}` has the servers and settings of `{first.name}`",
                        labels=[Label(first.name_span, "declared here")], help=f"send to `{first.name}`",
                    )  # fmt: skip
