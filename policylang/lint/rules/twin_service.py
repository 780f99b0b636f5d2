"""Two services that do the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.lint.likeness import written
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.syntax import nodes as n

_FEWEST = 3


class TwinService(Rule):
    """Services with the same block are changed in one place and forgotten in the other.

    A service may have several paths; what differs besides stays apart, and calls an `assertion` for what does not.
    Limits without a name count for each service, and for both together once they are one.

        service items "/items/{id}" {
            require path.id != "0"
            remove request.header["X-Debug"]
            route orders
        }

        service goods "/goods/{id}" {
            require path.id != "0"
            remove request.header["X-Debug"]
            route orders
        }
    ==
        service items "/items/{id}", "/goods/{id}" {
            require path.id != "0"
            remove request.header["X-Debug"]
            route orders
        }
    """

    name: ClassVar[str] = "twin-service"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        known: dict[Hashable, n.Service] = {}
        for each in policy.declarations:
            if isinstance(each, n.Service) and len(each.body.statements) >= _FEWEST:
                named = tuple(arg for arg in each.args if arg.name is not None)
                said = written((each.body, each.on_failure or (), named))
                first = known.setdefault(said, each)
                if first is not each:
                    yield Finding(
                        each.name_span, f"`{each.name}` does what `{first.name}` does",
                        labels=[Label(first.name_span, "the same")],
                        help=f"give `{first.name}` the paths of both",
                    )  # fmt: skip
