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


LARGEST = 10**18
"""Folded numbers stay below it, so that no chain of constants takes long; larger ones are left to each message."""

RESULTS: dict[str, dict[tuple[str, str], str]] = {
    "+": {
        ("number", "number"): "number", ("string", "string"): "string", ("list", "list"): "list",
        ("duration", "duration"): "duration", ("size", "size"): "size", ("time", "duration"): "time",
        ("duration", "time"): "time",
    },
    "-": {
        ("number", "number"): "number", ("duration", "duration"): "duration", ("size", "size"): "size",
        ("time", "time"): "duration", ("time", "duration"): "time",
    },
    "*": {
        ("number", "number"): "number", ("duration", "number"): "duration", ("number", "duration"): "duration",
        ("size", "number"): "size", ("number", "size"): "size",
    },
    "/": {
        ("number", "number"): "number", ("duration", "number"): "duration", ("size", "number"): "size",
        ("duration", "duration"): "number", ("size", "size"): "number",
    },
    "%": {("number", "number"): "number"},
}  # fmt: skip
"""Which types an arithmetic operator takes, and what it gives."""


def arithmetic(op: str, left: Any, right: Any) -> Any:
    """A value, or NOT_FOLDED: durations, sizes and times beside numbers become what they measure, and back."""
    a, b = _measure(left), _measure(right)
    if a is NOT_FOLDED or b is NOT_FOLDED:
        return left + right if op == "+" and isinstance(left, (str, list)) and len(left) < LARGEST_TEXT else NOT_FOLDED
    try:
        if op == "+":
            value = a + b
        elif op == "-":
            value = a - b
        elif op == "*":
            value = a * b
        elif op == "/":
            value = a / b
        else:
            value = a % b
    except ArithmeticError:
        return NOT_FOLDED
    if not math.isfinite(value) or abs(value) > LARGEST:
        return NOT_FOLDED
    given = RESULTS[op][_word(left), _word(right)]
    if given == "duration":
        return Duration(value)
    if given == "size":
        return Size(int(value))
    return Time(value) if given == "time" else value


LARGEST_TEXT = 1 << 16


def _measure(value: Any) -> Any:
    if isinstance(value, Duration):
        return value.seconds
    if isinstance(value, Size):
        return value.bytes
    if isinstance(value, Time):
        return value.epoch
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else NOT_FOLDED


def _word(value: Any) -> str:
    return {Duration: "duration", Size: "size", Time: "time"}.get(type(value), "number")


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
