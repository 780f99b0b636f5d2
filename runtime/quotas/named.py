"""The quotas of a policy by the names that operators know them by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from policylang.check.program import Block, Case, Const, Expr, Invoke, Program, Service, Statement
from policylang.sdk import Rate
from policylang.sdk.periods import UNITS
from policylang.tree.keys import prefix_of


@dataclass(frozen=True, slots=True)
class NamedQuota:
    """`name`: that of `name:`, else made of the service, the text of `per:` and its ordinal among equals.

    `prefix`: what its keys begin with; `zones`, `units`: those that its statements may count by; `private`: its keys
    are hashed; `here`: counted by each machine alone.
    """

    name: str
    prefix: bytes
    zones: tuple[str, ...]
    units: tuple[str, ...]
    private: bool
    here: bool


def named_quotas(program: Program) -> tuple[NamedQuota, ...]:
    """In the order of their names."""
    found: dict[tuple[str, bool], NamedQuota] = {}
    for invoke in _invokes([*program.before, *program.services, *program.after]):
        if invoke.card.name != "quota":
            continue
        values = {bound.param.name: bound.value for bound in invoke.args}
        here = _constant(values.get("scope"), "cluster") == "node"
        limit = _constant(values.get("limit"), None)
        units = (limit.unit,) if isinstance(limit, Rate) else UNITS
        zone = str(_constant(values.get("zone"), "UTC"))
        name = _name(invoke.counter)
        known = found.get((name, here))
        found[name, here] = NamedQuota(
            name, prefix_of(invoke.counter),
            tuple(sorted({zone, *(known.zones if known else ())})),
            tuple(unit for unit in UNITS if unit in units or (known and unit in known.units)),
            values["per"].private if "per" in values else False, here,
        )  # fmt: skip
    return tuple(found[place] for place in sorted(found))


def _name(counter: str) -> str:
    kind, _, rest = counter.partition("|")
    if kind == "name":
        return rest
    _, text, ordinal = rest.rsplit("|", 2) if rest.count("|") > 1 else ("", rest, "0")
    return f"{kind} {text}" + ("" if ordinal == "0" else f" #{ordinal}")


def _constant(value: Expr | None, usual: Any) -> Any:
    if value is None:
        return usual
    return value.value if isinstance(value, Const) else None


def _invokes(value: Any) -> Iterator[Invoke]:
    """Every call of an assertion in it, whatever it stands in."""
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _invokes(each)
        return
    if isinstance(value, Invoke):
        yield value
    if isinstance(value, (Statement, Block, Case, Service)):
        for one in fields(value):
            yield from _invokes(getattr(value, one.name))
