"""Values worked out when the policy is checked: what constants make of each other."""

from __future__ import annotations

import math
from typing import Any

from policylang.sdk.values import Duration, Rate, Size, Time

NOT_FOLDED: Any = object()


def text_of(value: Any) -> str | None:
    """A constant as it is interpolated; None for what does not interpolate."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, float, Duration, Size, Rate, Time)):
        return str(value)
    return None


def same(left: Any, right: Any) -> bool:
    """`==` of two values of one type, or of JSON: true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def arithmetic(op: str, left: Any, right: Any) -> Any:
    """A number, or NOT_FOLDED where there is none (a division by zero stays a failure of the message)."""
    try:
        if op == "+":
            value = left + right
        elif op == "-":
            value = left - right
        elif op == "*":
            value = left * right
        elif op == "/":
            value = left / right
        else:
            value = left % right
    except (ArithmeticError, TypeError):
        return NOT_FOLDED
    if isinstance(value, float) and not math.isfinite(value):
        return NOT_FOLDED
    return value


def ordered(op: str, left: Any, right: Any) -> Any:
    try:
        if op == "<":
            return left < right
        if op == "<=":
            return left <= right
        if op == ">":
            return left > right
        return left >= right
    except TypeError:
        return NOT_FOLDED
