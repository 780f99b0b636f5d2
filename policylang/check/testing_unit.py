"""What all walks of the tests of one file share, and the one error that most of them make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from policylang.check.unit import Unit
from policylang.check.walk import Walk
from policylang.source import Span


@dataclass(slots=True)
class TestingUnit(Unit):
    """`policy`: the unit of the policy that is tested. `together`: in how many blocks of that word; `sent`: whether a
    request was, in the outermost. `rows`: of the test's table, by the name that stands for each. `called`: the names
    that some `given` gives to callers and certificates, None where one of them is not written out."""

    policy: Unit = field(kw_only=True)
    together: int = 0
    sent: bool = False
    rows: dict[str, Sequence[Any]] = field(default_factory=dict)
    called: Mapping[str, frozenset[str] | None] = field(default_factory=dict)


def unit_of(walk: Walk) -> TestingUnit:
    return cast(TestingUnit, walk.unit)


def of_policy(walk: Walk, span: Span, word: str, cure: str) -> None:
    walk.error("not-in-tests", span, f"`{word}` belongs to policies: it cannot stand in a test", help=cure)
