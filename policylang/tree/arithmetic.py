"""`+ - * / %` of numbers, one of which is known only when the message is here. Raises Failed, as `values` does."""

from __future__ import annotations

import math
from typing import Any

from policylang.sdk.outcome import Failed, wrong_type
from policylang.tree.values import is_number, kind_of, phrase

_LARGEST = 1 << 1023


def add(left: Any, right: Any) -> Any:
    _numbers("+", left, right)
    return _finite(left + right)


def subtract(left: Any, right: Any) -> Any:
    _numbers("-", left, right)
    return _finite(left - right)


def multiply(left: Any, right: Any) -> Any:
    _numbers("*", left, right)
    return _finite(left * right)


def divide(left: Any, right: Any) -> Any:
    _numbers("/", left, right)
    try:
        return _finite(left / right)
    except (ZeroDivisionError, OverflowError):
        raise _not_finite() from None


def modulo(left: Any, right: Any) -> Any:
    _numbers("%", left, right)
    try:
        return _finite(left % right)
    except (ZeroDivisionError, OverflowError):
        raise _not_finite() from None


def negate(value: Any) -> Any:
    if is_number(value):
        return -value
    raise wrong_type(f"`-` stands before {phrase(kind_of(value))}")


def _numbers(op: str, left: Any, right: Any) -> None:
    if not (is_number(left) and is_number(right)):
        raise wrong_type(f"`{op}` stands between {phrase(kind_of(left))} and {phrase(kind_of(right))}")


def _finite(value: Any) -> Any:
    if value.__class__ is float:
        if not math.isfinite(value):
            raise _not_finite()
    elif not -_LARGEST < value < _LARGEST:
        # What a float cannot hold would raise somewhere else, and grow with every round of a loop.
        raise _not_finite()
    return value


def _not_finite() -> Failed:
    return wrong_type("a division by zero, or a result too large, is no number")
