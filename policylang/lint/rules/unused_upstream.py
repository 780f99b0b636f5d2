"""An upstream that nothing is sent to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.edits import fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.unused import declared
from policylang.syntax import nodes as n


class UnusedUpstream(Rule):
    """No statement sends anything to this upstream.

    Its servers' names are looked up and their health is asked for, but no request goes there: a `route` was forgotten,
    or goes elsewhere.

        upstream archive {
            server "http://127.0.0.1:9001"
        }

        service items "/orders/**" {
            route orders
        }
    ==
        upstream archive {
            server "http://127.0.0.1:9001"
        }

        service items "/orders/**" {
            route orders
        }

        service old "/orders/before/{year}" {
            route archive
        }
    """

    name: ClassVar[str] = "unused-upstream"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterator[Finding]:
        # An upstream is named by a bare word; one that happens to be a variable's is taken for it.
        for each in declared(policy, n.Upstream):
            if ("name", each.name) not in policy.names:
                yield Finding(
                    each.name_span, f"nothing is sent to the upstream `{each.name}`",
                    help="send to it with `route` or `mirror`, or take it out",
                    fix=fix(f"take out `{each.name}`", without_declaration(each)),
                )  # fmt: skip
