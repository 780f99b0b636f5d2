"""What a condition says about the presence of names: `if x != none` makes an `x?` present."""

from __future__ import annotations

from policylang.check.scope import State
from policylang.syntax import nodes as n

_LITERALS = (n.Text, n.Number, n.Bool, n.DurationValue, n.SizeValue, n.RateValue)


def present_names(condition: n.Expr, truth: bool) -> list[str]:
    """Names that are not `none` when the condition has come out as `truth`."""
    kind = type(condition)
    if kind is n.Binary:
        assert isinstance(condition, n.Binary)
        op = condition.op
        if op == "and" or op == "or":
            if truth is (op == "and"):
                return present_names(condition.left, truth) + present_names(condition.right, truth)
            return []
        if op == "!=" or op == "==":
            left, right = condition.left, condition.right
            if type(left) is not n.Name:
                left, right = right, left
            if type(left) is n.Name:
                if type(right) is n.NoneValue:
                    return [left.name] if truth is (op == "!=") else []
                if truth and op == "==" and isinstance(right, _LITERALS):
                    return [left.name]
    elif kind is n.Unary:
        assert isinstance(condition, n.Unary)
        if condition.op == "not":
            return present_names(condition.operand, not truth)
    return []


def narrow(state: State, names: list[str]) -> None:
    for name in names:
        var = state.names.get(name)
        if var is not None:
            if var.type.optional:
                state.names[name] = var.present()
        elif name == "response":
            if state.response == "maybe":
                state.response = "set"
        elif name == "user":
            state.user = True
