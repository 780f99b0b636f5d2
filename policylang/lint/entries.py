"""What is known of callers when the policy is read: the entries of maps that are files."""

from __future__ import annotations

from typing import Any

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.ways import meaning

Entries = list[dict[str, Any]]


def entries_of(policy: Policy, service: p.Service | None, expr: p.Expr) -> Entries | None:
    """The entries that it may be one of: an output of `api_key`, or `map("…")[key]`. None where that is not known, or
    not all are objects."""
    found = _map_of(policy, service, meaning(policy, service, expr))
    if not isinstance(found, dict) or not found or not all(isinstance(each, dict) for each in found.values()):
        return None
    return list(found.values())


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
