"""What is said of two values that are not as an expectation wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from policylang.sdk.outcome import Failure
from policylang.testing.told import plain

LONGEST = 120
"""Marks of a value that are shown."""
MOST = 3
"""Places in which two values differ that are shown."""

VERBS = {
    "in": "is not in", "contains": "does not contain", "starts_with": "does not start with",
    "ends_with": "does not end with", "matches": "does not match",
}  # fmt: skip


def sentence(op: str, left_text: str, right_text: str, left: Any, right: Any, written: bool) -> str:
    """One line. `written`: the right side is a literal, so that its text says its value."""
    if op == "":
        return f"`{left_text}` is {shown(left)}"
    if op == "not":
        return f"`{left_text}` is {shown(left)}, which it shall not be"
    there = right_text if written and len(right_text) <= LONGEST and "\n" not in right_text else shown(right)
    if op == "==":
        places = list(differences(plain(left), plain(right)))
        if isinstance(plain(left), (dict, list)) and isinstance(plain(right), (dict, list)):
            more = f", and in {_count(len(places) - MOST, 'place')} more" if len(places) > MOST else ""
            return f"`{left_text}` differs: {'; '.join(places[:MOST])}{more}"
        also = "" if written else f", as `{right_text}` is"
        return f"`{left_text}` is {shown(left)}, not {there}{also}"
    if op == "!=":
        return f"`{left_text}` is {shown(left)}, which it shall not be"
    if op in VERBS and left_text == shown(left):
        return f"{left_text} {VERBS[op]} {there}"
    if op in VERBS:
        return f"`{left_text}` is {shown(left)}, which {VERBS[op]} {there}"
    return f"`{left_text}` is {shown(left)}, not {op} {there}"


def shown(value: Any) -> str:
    """A value as the language writes it, in one line."""
    text = _text(plain(value))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, (str, bool, int, float, list, dict)):
        try:
            return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except TypeError:
            return str(value)
    if isinstance(value, range):
        return f"{value.start}..{value.stop - 1}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"the failure `{value.name}`" if isinstance(value, Failure) else str(value)


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Each place in which they differ, as `.items[1].price is 12, not 10`."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            place = f"{path}.{key}" if str(key).isidentifier() else f'{path}["{key}"]'
            if key not in right:
                yield f"`{place}` is {shown(left[key])}, and should not be there"
            elif key not in left:
                yield f"`{place}` is missing, not {shown(right[key])}"
            else:
                yield from differences(left[key], right[key], place)
    elif isinstance(left, list) and isinstance(right, list):
        for number, (a, b) in enumerate(zip(left, right, strict=False)):
            yield from differences(a, b, f"{path}[{number}]")
        if len(left) != len(right):
            where, number = f"`{path}`" if path else "the list", min(len(left), len(right))
            more = f"is {shown(left[number])}, and should not be there" if left[number:] else "is missing"
            if right[number:]:
                more += f", not {shown(right[number])}"
            yield f"{where} has {_count(len(left), 'element')}, not {len(right)}: `{path}[{number}]` {more}"
    elif not (left == right and isinstance(left, bool) == isinstance(right, bool)):
        yield f"`{path}` is {shown(left)}, not {shown(right)}" if path else f"it is {shown(left)}, not {shown(right)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
