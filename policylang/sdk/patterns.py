"""Regular expressions that cannot block the loop.

The syntax is RE2's, whose search is linear in the text. Where a pattern provably cannot backtrack far, Python's `re`
finds the same in a twentieth of the time and is used instead: the pattern has no alternation, group repeat or
reference, every unbounded repeat is of one character class, starts disjoint from what follows it, and none can be
retried from another starting point (it is anchored, or nothing unbounded stands in it).
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from typing import Any, Protocol

_PLAIN_REPEAT = 256
"""The longest bounded repeat that `re` is trusted with."""


class Found(Protocol):
    def group(self, index: int = 0, /) -> str | None: ...
    def groups(self) -> tuple[str | None, ...]: ...
    def groupdict(self) -> dict[str, str | None]: ...


class Pattern:
    """`search(text)` gives a match or None. `names`: its named groups. `engine`: `re` or `re2`."""

    __slots__ = ("engine", "groups", "names", "search", "text")

    def __init__(self, text: str) -> None:
        """Raises ValueError, in words for the author, on what RE2 does not take."""
        import re2

        options = re2.Options()
        options.log_errors = False
        options.max_mem = 8 << 20
        try:
            compiled: Any = re2.compile(text, options)
        except re2.error as error:
            raise ValueError(_words(error, text)) from None
        self.text = text
        self.engine = "re2"
        self.groups: int = compiled.groups
        self.names: tuple[str, ...] = tuple(compiled.groupindex)
        plain = _plain(text)
        if plain is not None:
            compiled, self.engine = plain, "re"
        self.search = compiled.search


@lru_cache(maxsize=4096)
def compile_pattern(text: str) -> Pattern:
    return Pattern(text)


def _words(error: Exception, text: str) -> str:
    reason = error.args[0] if error.args else "is wrong"
    if isinstance(reason, bytes):
        reason = reason.decode("utf-8", "replace")
    if any(mark in text for mark in ("(?=", "(?!", "(?<=", "(?<!")):
        return "look-ahead and look-behind are not taken: they cannot be searched for in linear time"
    if re.search(r"\\[1-9]|\(\?P=", text):
        return "references to a group are not taken: they cannot be searched for in linear time"
    return str(reason)[:1].lower() + str(reason)[1:]


def _plain(text: str) -> re.Pattern[str] | None:
    """The pattern for `re`, or None where it might backtrack or mean something else there."""
    if not text.isascii() or "(?" in text.replace("(?P<", "").replace("(?:", "") or "|" in text:
        return None
    source = text[:-1] + r"\Z" if text.endswith("$") and not text.endswith("\\$") else text
    if re.search(r"(?<!\\)\$|\\[bBAzZpPQECsSdDwWxuU0-9]|\[\^|\[\[", source.removesuffix(r"\Z").removeprefix(r"\A")):
        source = _classes(source)
        if source == "":
            return None
    try:
        compiled = re.compile(source, re.ASCII)
        parsed: Any = import_module("re._parser").parse(source, re.ASCII)
    except (re.error, RecursionError, OverflowError):
        return None
    return compiled if _cannot_backtrack(list(parsed)) else None


def _classes(source: str) -> str:
    """`\\d \\w` mean the same to both under ASCII; anything else here is left to RE2."""
    rest = source.removesuffix(r"\Z").removeprefix(r"\A")
    if re.search(r"(?<!\\)\$|\\[bBAzZpPQECsSDWxuU0-9]|\[\^|\[\[", rest):
        return ""
    return source


def _cannot_backtrack(items: list[Any]) -> bool:
    flat = _flatten(items)
    if flat is None:
        return False
    anchored = bool(flat) and flat[0][0] == "start"
    bound = 1
    for index, (kind, chars, low, high) in enumerate(flat):
        if kind != "repeat":
            continue
        following: set[int] = set()
        for later_kind, later_chars, later_low, _ in flat[index + 1 :]:
            if later_kind in ("one", "repeat"):
                following |= later_chars
                if later_low > 0:
                    break
        if high is None:
            if not anchored or chars & following:
                return False
        elif chars & following or not anchored:
            bound *= high - low + 1
            if high > _PLAIN_REPEAT or bound > _PLAIN_REPEAT:
                return False
    return True


def _flatten(items: list[Any]) -> list[tuple[str, set[int], int, int | None]] | None:
    """The pattern as a row of (kind, characters, least, most); None where it is more than a row."""
    row: list[tuple[str, set[int], int, int | None]] = []
    for code, value in items:
        name = str(code)
        if name == "AT":
            row.append(("start" if str(value) in ("AT_BEGINNING", "AT_BEGINNING_STRING") else "end", set(), 0, 0))
        elif name == "SUBPATTERN":
            inner = _flatten(list(value[3]))
            if inner is None:
                return None
            row.extend(inner)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, body = value
            chars = _characters(list(body))
            if chars is None:
                return None
            row.append(("repeat", chars, low, None if str(high) == "MAXREPEAT" else high))
        else:
            chars = _characters([(code, value)])
            if chars is None:
                return None
            row.append(("one", chars, 1, 1))
    return row


def _characters(items: list[Any]) -> set[int] | None:
    """What one item can match, as code points below 128 and one that stands for all others."""
    if len(items) != 1:
        return None
    code, value = items[0]
    name = str(code)
    if name == "LITERAL":
        return {value}
    if name == "ANY":
        return set(range(129)) - {10}
    if name == "IN":
        found: set[int] = set()
        for part, argument in value:
            word = str(part)
            if word == "LITERAL":
                found.add(argument)
            elif word == "RANGE":
                found |= set(range(argument[0], min(argument[1], 127) + 1))
            elif word == "CATEGORY" and str(argument) == "CATEGORY_DIGIT":
                found |= set(b"0123456789")
            elif word == "CATEGORY" and str(argument) == "CATEGORY_WORD":
                found |= set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
            else:
                return None
        return found
    return None
