"""Hours and days of a calendar that nobody has named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.limits import unit_of
from policylang.lint.look import argument, calls, constant, expressions, given
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import meaning
from policylang.source import Span
from policylang.syntax import nodes as n

_ASKED = ("hour", "weekday")


class CalendarWithoutZone(Rule):
    """Without `zone:` an hour, a weekday, a day and a month are those of UTC.

    Opening hours are those of a place, and so are the days of a plan that is sold there: in Istanbul the day of UTC
    begins at three in the morning. Of quotas it is said where the policy names another zone elsewhere. Who means UTC
    writes `zone: "UTC"`.

        require hour(now) in 9..17
        route orders
    ==
        require hour(now, zone: "Europe/Istanbul") in 9..17
        route orders
    """

    name: ClassVar[str] = "calendar-without-zone"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            if isinstance(node, n.CallExpr) and node.name in _ASKED and all(arg.name != "zone" for arg in node.args):
                yield Finding(
                    node.span, f"this is the {node.name.replace('weekday', 'day of the week')} in UTC",
                    help='name the place whose clock is meant, as in `zone: "Europe/Berlin"`',
                )  # fmt: skip
        named = _zone(policy)
        if named is not None:
            for visit in policy.visits:
                statement = visit.statement
                if not calls(statement, "quota", "quota_status") or given(statement, "zone") is not None:
                    continue
                limit = argument(statement, "limit")
                if limit is not None and unit_of(meaning(policy, visit.service, limit)) in (None, "day", "month"):
                    yield Finding(
                        statement.span, "this quota begins anew at midnight in UTC",
                        labels=[Label(named, "another zone is named here")],
                        help="give it a `zone:`, be it `\"UTC\"`",
                    )  # fmt: skip


def _zone(policy: Policy) -> Span | None:
    """Where the policy names a zone other than UTC."""
    for visit in policy.visits:
        zones = [given(visit.statement, "zone")]
        for expr in expressions(visit.statement):
            if isinstance(expr, p.FunctionCall):
                zones += [arg for param, arg in zip(expr.card.params, expr.args, strict=True) if param.name == "zone"]
        for zone in zones:
            if zone is not None and constant(zone) != "UTC":
                return zone.span
    return None
