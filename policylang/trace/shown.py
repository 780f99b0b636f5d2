"""Values of an exchange as short texts, near to what a policy would write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policylang.sdk.outcome import Failure
from policylang.sdk.values import Principal
from policylang.tree.describe import show_value
from policylang.tree.values import PRIVATE, Between

LONGEST = 120
"""Characters of one value's text; a text in it is cut at 60."""
_DEEPEST = 6


def shown(value: Any, hides: Callable[[str], bool]) -> str:
    """One line of at most LONGEST characters, whatever the value is. `hides`: whether a text must not be seen."""
    text = _shown(value, hides, LONGEST, 0)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _shown(value: Any, hides: Callable[[str], bool], room: int, depth: int) -> str:
    """`room`: about as many characters are made, so that a large value costs no more than a small one."""
    if isinstance(value, str):
        return PRIVATE if hides(value) else show_value(value)
    if isinstance(value, (list, tuple)):

        def element(each: Any, left: int) -> str:
            return _shown(each, hides, left, depth + 1)

        return _listed("[", "]", value, len(value), element, room, depth)
    if isinstance(value, dict):

        def entry(pair: tuple[Any, Any], left: int) -> str:
            key = str(pair[0])
            name = PRIVATE if hides(key) else key if key.isidentifier() else show_value(key)
            return f"{name}: {_shown(pair[1], hides, left - len(name), depth + 1)}"

        return _listed("{ ", " }", value.items(), len(value), entry, room, depth)
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} byte{'s' * (len(value) != 1)}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 512:
        return "a long number"  # the text of one costs the square of its length
    if isinstance(value, Principal):
        return f"user {_shown(value.id, hides, room, depth)}"
    if isinstance(value, Failure):
        return f"failure {value.name}"
    if isinstance(value, Between):
        return f"{value.low}..{value.high}"
    if value.__class__.__module__.startswith("lxml"):
        return "xml"
    return show_value(value)


def _listed(
    opening: str, closing: str, items: Any, count: int, each: Callable[[Any, int], str], room: int, depth: int
) -> str:
    if not count:
        return opening.strip() + closing.strip()
    if depth >= _DEEPEST:
        return f"{opening}…{closing}"
    parts: list[str] = []
    for item in items:
        if room <= 0:
            parts.append("…")
            break
        parts.append(each(item, room))
        room -= len(parts[-1]) + 2
    return opening + ", ".join(parts) + closing
