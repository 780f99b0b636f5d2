"""What all walks of the tests of one file share, and the one error that most of them make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from policylang.check.kinds import join, type_of
from policylang.check.program import Const
from policylang.check.unit import Unit
from policylang.check.walk import Walk
from policylang.sdk import static_types as t
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

    @property
    def constant_names(self) -> list[str]:
        return [*self.policy.constant_names, *self.constant_nodes]

    def constant(self, name: str) -> Const | None:
        return self._constants.get(name) or self.policy.constant(name)


def unit_of(walk: Walk) -> TestingUnit:
    return cast(TestingUnit, walk.unit)


def common(values: Iterable[Any]) -> t.Type:
    """The type that all of them have; JSON where there is none."""
    found: t.Type | None = None
    for value in values:
        kind = type_of(value)
        joined = kind if found is None else join(found, kind)
        if joined is None:
            return t.JSON
        found = joined
    return t.JSON if found is None or found.name == "none" else found


def of_policy(walk: Walk, span: Span, word: str, cure: str) -> None:
    walk.error("not-in-tests", span, f"`{word}` belongs to policies: it cannot stand in a test", help=cure)
