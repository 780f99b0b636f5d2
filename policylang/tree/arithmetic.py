"""`+ - * / %` where one side is known only when the message is here. Raises Failed, as `values` does.

Which types go together says `policylang.check.fold.RESULTS`; numbers, the usual ones, are looked at first.
"""

from __future__ import annotations

import math
from typing import Any

from policylang.sdk.outcome import Failed, Failure, Kind, wrong_type
from policylang.sdk.values import EARLIEST, LATEST, Duration, Size, Time
from policylang.tree.values import is_number, kind_of, phrase

LARGEST_TEXT = 1 << 20
"""Characters that `+` may make of a message's texts."""
LONGEST_LIST = 1 << 16
"""Elements that `+` may make of lists."""
_LARGEST = 1 << 1023


def add(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _finite(left + right)
    a, b = left.__class__, right.__class__
    if a is b:
        if a is str:
            if len(left) + len(right) > LARGEST_TEXT:
                raise Failed(Failure("text-too-long", 400, f"over {LARGEST_TEXT} characters", kind=Kind.ERROR))
            return left + right
        if a is list:
            if len(left) + len(right) > LONGEST_LIST:
                raise Failed(Failure("list-too-long", 400, f"over {LONGEST_LIST} elements", kind=Kind.ERROR))
            return left + right
        if a is Duration:
            return Duration(_finite(left.seconds + right.seconds))
        if a is Size:
            return Size(left.bytes + right.bytes)
    if a is Time and b is Duration:
        return _moment(left.epoch + right.seconds)
    if a is Duration and b is Time:
        return _moment(left.seconds + right.epoch)
    raise _unfit("+", left, right)


def subtract(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _finite(left - right)
    a, b = left.__class__, right.__class__
    if a is b:
        if a is Time:
            return Duration(left.epoch - right.epoch)
        if a is Duration:
            return Duration(_finite(left.seconds - right.seconds))
        if a is Size:
            return Size(left.bytes - right.bytes)
    if a is Time and b is Duration:
        return _moment(left.epoch - right.seconds)
    raise _unfit("-", left, right)


def multiply(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return _finite(left * right)
    measured, number = (right, left) if is_number(left) else (left, right)
    if is_number(number):
        if measured.__class__ is Duration:
            return Duration(_finite(measured.seconds * number))
        if measured.__class__ is Size:
            return Size(int(_finite(measured.bytes * number)))
    raise _unfit("*", left, right)


def divide(left: Any, right: Any) -> Any:
    a, b = left.__class__, right.__class__
    try:
        if is_number(right):
            if is_number(left):
                return _finite(left / right)
            if a is Duration:
                return Duration(_finite(left.seconds / right))
            if a is Size:
                return Size(int(_finite(left.bytes / right)))
        if a is b:
            if a is Duration:
                return _finite(left.seconds / right.seconds)
            if a is Size:
                return _finite(left.bytes / right.bytes)
    except (ZeroDivisionError, OverflowError):
        raise _not_finite() from None
    raise _unfit("/", left, right)


def modulo(left: Any, right: Any) -> Any:
    if not (is_number(left) and is_number(right)):
        raise _unfit("%", left, right)
    try:
        return _finite(left % right)
    except (ZeroDivisionError, OverflowError):
        raise _not_finite() from None


def negate(value: Any) -> Any:
    if is_number(value):
        return -value
    raise wrong_type(f"`-` stands before {phrase(kind_of(value))}")


def _unfit(op: str, left: Any, right: Any) -> Failed:
    return wrong_type(f"`{op}` stands between {phrase(kind_of(left))} and {phrase(kind_of(right))}")


def _moment(epoch: float) -> Time:
    if not EARLIEST <= epoch <= LATEST:
        raise wrong_type("a time before the year 1 or after 9999 is none")
    return Time(epoch)


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
