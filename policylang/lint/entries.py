"""What is known of callers when the policy is read: the entries of maps that are files."""

from __future__ import annotations

from typing import Any

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.ways import meaning
from policylang.record import record


@record
class Members:
    """`entries`: how many there are. `values`: by the member's name, each with how many entries have it."""

    entries: int
    values: dict[str, list[tuple[Any, int]]]

    def of(self, name: str) -> list[tuple[Any, int]]:
        """The values of a member; where it is not there, it is `none`."""
        values = self.values.get(name, [])
        missing = self.entries - sum(count for _, count in values)
        return [*values, (None, missing)] if missing else values


def members_of(policy: Policy, service: p.Service | None, expr: p.Expr) -> Members | None:
    """Of the entries that it may be one of: an output of `api_key`, or `map("…")[key]`. None where they are not known,
    or not all are objects. Each map is looked through once."""
    found = _map_of(policy, service, meaning(policy, service, expr))
    if not isinstance(found, dict) or not found:
        return None
    if id(found) not in policy.members:
        objects = all(isinstance(each, dict) for each in found.values())
        policy.members[id(found)] = _members(list(found.values())) if objects else None
    known: Members | None = policy.members[id(found)]
    return known


def _members(entries: list[dict[str, Any]]) -> Members:
    counted: dict[str, dict[str, tuple[Any, int]]] = {}
    for entry in entries:
        for name, value in entry.items():
            known = counted.setdefault(name, {})
            known[repr(value)] = (value, known.get(repr(value), (value, 0))[1] + 1)
    return Members(len(entries), {name: list(known.values()) for name, known in counted.items()})


def _map_of(policy: Policy, service: p.Service | None, expr: p.Expr) -> Any:
    if isinstance(expr, p.MemberOf):
        return constant(expr.base)
    if not isinstance(expr, p.SlotRef):
        return None
    frame = service.name if service is not None else ""
    slot: Any = expr.slot
    for _ in range(16):  # through the outputs of a policy's own assertions
        given = policy.bindings.get((frame, slot), [])
        if len(given) != 1:
            return None
        slot = given[0]
        if not isinstance(slot, int):
            break
    return constant(argument(slot, "in")) if isinstance(slot, p.Invoke) and calls(slot, "api_key") else None
