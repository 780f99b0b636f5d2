"""A number without its unit."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.kinds import UNITS
from policylang.check.walk import Walk
from policylang.diagnostics import Edit, Fix

MEASURED = frozenset(UNITS)
"""Types whose values have a unit."""
_UNIT_HELP = {
    "duration": "a duration ends in `ms`, `s`, `m`, `h` or `d`",
    "size": "a size ends in `B`, `KB`, `MB`, `KiB` or `MiB`",
    "rate": "a rate ends in `/s`, `/min`, `/hour` or `/day`",
}


def missing_unit(walk: Walk, number: p.Const, kind: str, why: str) -> None:
    """Report a bare number where a duration, size or rate is meant; `why` is a clause."""
    written = number.span.text
    meant = written + UNITS[kind]
    walk.error(
        "missing-unit", number.span, f"`{written}` has no unit: {why}", help=_UNIT_HELP[kind],
        fix=Fix(f"write `{meant}`", (Edit(number.span, meant),)),
    )  # fmt: skip
