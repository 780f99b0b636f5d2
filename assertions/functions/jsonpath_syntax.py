"""JSONPath text to a tree (RFC 9535, 2): everything its grammar and its typing rules call invalid is refused."""

from __future__ import annotations

import re
from typing import Any

from policylang.sdk import record

_BLANK = re.compile(r"[ \t\n\r]*")
_INT = re.compile(r"-?[1-9][0-9]*|0")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SHORTHAND = re.compile(r"[A-Za-z_\u0080-\ud7ff\ue000-\U0010ffff][0-9A-Za-z_\u0080-\ud7ff\ue000-\U0010ffff]*")
_FUNCTION = re.compile(r"[a-z][a-z_0-9]*(?=\()")
_COMPARE = re.compile(r"==|!=|<=|>=|<|>")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\"}
_MOST = 2**53 - 1
_DEPTH = 64
FUNCTIONS = {
    "length": (("value",), "value"), "count": (("nodes",), "value"), "value": (("nodes",), "value"),
    "match": (("value", "value"), "logical"), "search": (("value", "value"), "logical"),
}  # fmt: skip


@record
class Name:
    name: str


@record
class Wildcard:
    pass


@record
class Element:
    index: int


@record
class Slice:
    start: int | None
    end: int | None
    step: int


@record
class Filter:
    condition: Any


@record
class Segment:
    selectors: tuple[Any, ...]
    descendant: bool


@record
class Query:
    """`relative`: starts at `@`. `singular`: can give one node at most (RFC 9535, 2.3.5.1)."""

    relative: bool
    segments: tuple[Segment, ...]

    @property
    def singular(self) -> bool:
        return all(
            not s.descendant and len(s.selectors) == 1 and isinstance(s.selectors[0], (Name, Element))
            for s in self.segments
        )


@record
class Literal:
    value: Any


@record
class Compare:
    op: str
    left: Any
    right: Any


@record
class Logical:
    """op: `and`, `or` or `not`"""

    op: str
    parts: tuple[Any, ...]


@record
class Call:
    name: str
    args: tuple[Any, ...]


def parse_jsonpath(text: str) -> Query:
    """Raises ValueError, in words for the author, on what RFC 9535 calls invalid."""
    reader = _Reader(text)
    if not text.startswith("$"):
        raise ValueError("a JSONPath begins with `$`")
    query = reader.query()
    if reader.at != len(text):
        raise reader.wrong("a segment such as `.name` or `[0]`")
    return query


class _Reader:
    __slots__ = ("at", "depth", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def wrong(self, expected: str) -> ValueError:
        rest = self.text[self.at : self.at + 12]
        found = f"found `{rest}`" if rest else "it ends"
        return ValueError(f"expected {expected} at character {self.at + 1}, but {found}")

    def peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def need(self, text: str) -> None:
        if not self.take(text):
            raise self.wrong(f"`{text}`")

    def blank(self) -> None:
        found = _BLANK.match(self.text, self.at)
        assert found is not None
        self.at = found.end()

    def pattern(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found.group()

    def query(self) -> Query:
        relative = self.text[self.at] == "@"
        self.at += 1
        segments = []
        while True:
            before = self.at
            self.blank()
            if self.take(".."):
                segments.append(Segment(self.dotted() or self.bracketed(), True))
            elif self.take("."):
                selectors = self.dotted()
                if selectors is None:
                    raise self.wrong("a name or `*` after `.`")
                segments.append(Segment(selectors, False))
            elif self.peek("["):
                segments.append(Segment(self.bracketed(), False))
            else:
                self.at = before
                return Query(relative, tuple(segments))

    def dotted(self) -> tuple[Any, ...] | None:
        if self.take("*"):
            return (Wildcard(),)
        name = self.pattern(_SHORTHAND)
        return None if name is None else (Name(name),)

    def bracketed(self) -> tuple[Any, ...]:
        self.need("[")
        selectors = []
        while True:
            self.blank()
            selectors.append(self.selector())
            self.blank()
            if self.take("]"):
                return tuple(selectors)
            self.need(",")

    def selector(self) -> Any:
        if self.peek("'") or self.peek('"'):
            return Name(self.string())
        if self.take("*"):
            return Wildcard()
        if self.take("?"):
            self.blank()
            return Filter(self.disjunction())
        first = self.integer()
        after = self.at
        self.blank()
        if not self.take(":"):
            self.at = after
            if first is None:
                raise self.wrong("a quoted name, an index, a slice, `*` or `?`")
            return Element(first)
        self.blank()
        end = self.integer()
        after = self.at
        self.blank()
        step = None
        if self.take(":"):
            self.blank()
            step = self.integer()
        else:
            self.at = after
        return Slice(first, end, 1 if step is None else step)

    def integer(self) -> int | None:
        digits = self.pattern(_INT)
        if digits is None:
            return None
        number = int(digits)
        if abs(number) > _MOST:
            raise ValueError(f"`{digits}` is beyond the exact integers of JSON")
        return number

    def string(self) -> str:
        quote = self.text[self.at]
        self.at += 1
        out: list[str] = []
        while True:
            if self.at >= len(self.text):
                raise ValueError(f"a string is not closed with {quote}")
            char = self.text[self.at]
            self.at += 1
            if char == quote:
                return "".join(out)
            if char == "\\":
                out.append(self.escape(quote))
            elif char < " " or "\ud800" <= char <= "\udfff":
                raise ValueError(f"a string holds the character U+{ord(char):04X}; escape it")
            else:
                out.append(char)

    def escape(self, quote: str) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char == quote:
            return char
        if char in _ESCAPES and char:
            return _ESCAPES[char]
        if char != "u":
            raise ValueError(f"`\\{char}` is no escape")
        code = self.hex4()
        if 0xD800 <= code < 0xDC00 and self.take("\\u"):
            low = self.hex4()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        if 0xD800 <= code < 0xE000:
            raise ValueError("an escape holds half of a surrogate pair")
        return chr(code)

    def hex4(self) -> int:
        digits = self.text[self.at : self.at + 4]
        if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
            raise ValueError(f"`\\u{digits}` is no escape")
        self.at += 4
        return int(digits, 16)

    # --- filters ---

    def disjunction(self) -> Any:
        parts = [self.conjunction()]
        while self.operator("||"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Logical("or", tuple(parts))

    def conjunction(self) -> Any:
        parts = [self.basic()]
        while self.operator("&&"):
            parts.append(self.basic())
        return parts[0] if len(parts) == 1 else Logical("and", tuple(parts))

    def operator(self, text: str) -> bool:
        before = self.at
        self.blank()
        if self.take(text):
            self.blank()
            return True
        self.at = before
        return False

    def basic(self) -> Any:
        self.depth += 1
        if self.depth > _DEPTH:
            raise ValueError(f"a filter is nested deeper than {_DEPTH}")
        try:
            if self.take("!"):
                self.blank()
                return Logical("not", (self.parenthesis() if self.peek("(") else self.test(self.comparable()),))
            if self.peek("("):
                return self.parenthesis()
            left = self.comparable()
            before = self.at
            self.blank()
            op = self.pattern(_COMPARE)
            if op is None:
                self.at = before
                return self.test(left)
            self.blank()
            return Compare(op, self.value(left), self.value(self.comparable()))
        finally:
            self.depth -= 1

    def parenthesis(self) -> Any:
        self.need("(")
        self.blank()
        inner = self.disjunction()
        self.blank()
        self.need(")")
        return inner

    def test(self, found: Any) -> Any:
        if isinstance(found, Query) or (isinstance(found, Call) and FUNCTIONS[found.name][1] == "logical"):
            return found
        raise ValueError("a literal or a value stands where a test is needed; compare it with something")

    def value(self, found: Any) -> Any:
        if isinstance(found, Query) and not found.singular:
            raise ValueError("a comparison takes a path that gives one value at most")
        if isinstance(found, Call) and FUNCTIONS[found.name][1] != "value":
            raise ValueError(f"`{found.name}()` is a test and cannot be compared")
        return found

    def comparable(self) -> Any:
        char = self.text[self.at : self.at + 1]
        if char in ("'", '"') and char:
            return Literal(self.string())
        if char in ("$", "@") and char:
            return self.query()
        name = self.pattern(_FUNCTION)
        if name is not None:
            return self.call(name)
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.take(word):
                return Literal(value)
        digits = self.pattern(_NUMBER)
        if digits is not None:
            return Literal(float(digits) if re.search(r"[.eE]", digits) else int(digits))
        raise self.wrong("a path, a literal or a function")

    def call(self, name: str) -> Call:
        if name not in FUNCTIONS:
            raise ValueError(f"JSONPath has no function `{name}`")
        self.need("(")
        args: list[Any] = []
        self.blank()
        while not self.take(")"):
            if args:
                self.need(",")
                self.blank()
            args.append(self.comparable())
            self.blank()
        kinds = FUNCTIONS[name][0]
        if len(args) != len(kinds):
            raise ValueError(f"`{name}()` takes {len(kinds)} argument{'s' * (len(kinds) > 1)}, not {len(args)}")
        for argument, kind in zip(args, kinds, strict=True):
            if kind == "value":
                self.value(argument)
            elif not isinstance(argument, Query):
                raise ValueError(f"`{name}()` takes a path")
        return Call(name, tuple(args))
