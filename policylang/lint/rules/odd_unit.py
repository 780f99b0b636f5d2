"""A duration or size in a unit that is too small for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.edits import fix
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.syntax import nodes as n

_TIMES = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))
_SIZES = (
    ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
    ("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 1000),
)  # fmt: skip
_LARGE = 100
"""From here on nobody sees how much it is: `90s` is as clear as a minute and a half, `3600s` is not."""


class OddUnit(Rule):
    """A large number of a small unit has to be worked out by everybody who reads it.

    From 100 on, what is a whole number of a larger unit is written in that: `3600s` is `1h`, and `1024KiB` is `1MiB`.

        limit_size request, 1024KiB
        route orders, timeout: 3000ms
    ==
        limit_size request, 1MiB
        route orders, timeout: 3s
    """

    name: ClassVar[str] = "odd-unit"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            if isinstance(node, (n.DurationValue, n.SizeValue)):
                better = in_larger_unit(node)
                if better is not None:
                    yield Finding(
                        node.span, f"`{node.span.text}` is `{better}`", help=f"write `{better}`",
                        fix=fix(f"write `{better}`", Edit(node.span, better), safe=True),
                    )  # fmt: skip


def in_larger_unit(node: n.DurationValue | n.SizeValue) -> str | None:
    """The same in the largest unit of which it is a whole number; of its own kind, 1024 or 1000, where it has one."""
    amount, unit = node.amount, node.unit
    if amount < _LARGE:
        return None
    units: tuple[tuple[str, int], ...] = _TIMES if isinstance(node, n.DurationValue) else _SIZES
    factors = dict(units)
    whole = amount * factors[unit]
    if whole != int(whole):
        return None
    kin = "i" in unit or unit == "B"
    for name, factor in units:
        same = units is _TIMES or unit == "B" or ("i" in name) == kin
        if factor > factors[unit] and same and whole % factor == 0:
            return f"{int(whole) // factor:_}{name}"
    return None
