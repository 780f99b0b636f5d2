"""A strict reader of Structured Field Values, by the algorithms of RFC 9651 4.2, for tests of what we write.

Values are str, int, Decimal, bool, bytes, and Token, Date and Text; an item is (value, parameters), an inner list is
([items], parameters), a list holds these, a dictionary has them by key. Raises ValueError on what is not one.
"""

from __future__ import annotations

import base64
import re
from decimal import Decimal
from typing import Any, NamedTuple

_NUMBER = re.compile(r"-?(\d+)(?:\.(\d*))?", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*")
_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_HEX = re.compile("[0-9a-f]{2}")


class Token(NamedTuple):
    text: str


class Date(NamedTuple):
    seconds: int


class Text(NamedTuple):
    """A Display String."""

    text: str


def parse(kind: str, lines: list[str]) -> Any:
    """`kind`: list, dictionary or item. `lines`: of one field, in order (4.2: joined by a comma)."""
    text = ", ".join(lines)
    if not text.isascii():
        raise ValueError("not ASCII")
    reader = _Reader(text)
    reader.skip(" ")
    found = {"list": reader.list, "dictionary": reader.dictionary, "item": reader.item}[kind]()
    reader.skip(" ")
    if reader.rest:
        raise ValueError(f"more behind the value: {reader.rest!r}")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.rest = text

    def skip(self, characters: str) -> None:
        self.rest = self.rest.lstrip(characters)

    def take(self, text: str) -> bool:
        if self.rest.startswith(text):
            self.rest = self.rest[len(text):]
            return True
        return False

    def match(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        found = pattern.match(self.rest)
        if found is None or not found[0]:
            raise ValueError(f"no {what}: {self.rest!r}")
        self.rest = self.rest[found.end():]
        return found

    def comma(self) -> bool:
        """Whether another member follows (4.2.1, 4.2.2)."""
        self.skip(" \t")
        if not self.rest:
            return False
        if not self.take(","):
            raise ValueError(f"no comma: {self.rest!r}")
        self.skip(" \t")
        if not self.rest:
            raise ValueError("a comma at the end")
        return True

    def list(self) -> list[Any]:
        members: list[Any] = []
        more = bool(self.rest)
        while more:
            members.append(self.member())
            more = self.comma()
        return members

    def dictionary(self) -> dict[str, Any]:
        members: dict[str, Any] = {}
        more = bool(self.rest)
        while more:
            key = self.match(_KEY, "key")[0]
            value = self.member() if self.take("=") else (True, self.parameters())
            members[key] = value  # of several the last one counts, at the place of the first
            more = self.comma()
        return members

    def member(self) -> Any:
        return self.inner_list() if self.rest.startswith("(") else self.item()

    def inner_list(self) -> Any:
        self.take("(")
        items: list[Any] = []
        while True:
            self.skip(" ")
            if self.take(")"):
                return items, self.parameters()
            items.append(self.item())
            if self.rest[:1] not in (" ", ")"):
                raise ValueError(f"no blank between items: {self.rest!r}")

    def item(self) -> Any:
        return self.bare(), self.parameters()

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self.take(";"):
            self.skip(" ")
            key = self.match(_KEY, "key")[0]
            value = self.bare() if self.take("=") else True
            found[key] = value  # the same
        return found

    def bare(self) -> Any:
        first = self.rest[:1]
        if first == '"':
            return self.string()
        if first == "-" or first.isdigit():
            return self.number()
        if first == ":":
            return self.binary()
        if first == "?":
            if self.rest[1:2] not in ("0", "1"):
                raise ValueError("no boolean")
            value = self.rest[1] == "1"
            self.rest = self.rest[2:]
            return value
        if first == "@":
            self.take("@")
            seconds = self.number()
            if not isinstance(seconds, int):
                raise ValueError("a date with a fraction")
            return Date(seconds)
        if first == "%":
            return self.display()
        return Token(self.match(_TOKEN, "item")[0])

    def number(self) -> int | Decimal:
        found = self.match(_NUMBER, "number")
        whole, fraction = found[1], found[2]
        if fraction is None:
            if len(whole) > 15:
                raise ValueError("an integer of more than 15 digits")
            return int(found[0])
        if len(whole) > 12 or not 1 <= len(fraction) <= 3:
            raise ValueError("a decimal of too many digits, or none behind the point")
        return Decimal(found[0])

    def string(self) -> str:
        self.take('"')
        found: list[str] = []
        while self.rest:
            one, self.rest = self.rest[0], self.rest[1:]
            if one == '"':
                return "".join(found)
            if one == "\\":
                one, self.rest = self.rest[:1], self.rest[1:]
                if one not in ('"', "\\"):
                    raise ValueError("an escape of something else")
            elif not " " <= one <= "~":
                raise ValueError("a character that no string has")
            found.append(one)
        raise ValueError("no end of a string")

    def binary(self) -> bytes:
        self.take(":")
        text, end, self.rest = self.rest.partition(":")
        if not end or not _BASE64.fullmatch(text):
            raise ValueError("no byte sequence")
        # 4.2.7: padding may be missing, and its bits may be anything.
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))

    def display(self) -> Text:
        if not self.take('%"'):
            raise ValueError("no display string")
        found = bytearray()
        while self.rest:
            one, self.rest = self.rest[0], self.rest[1:]
            if one == '"':
                return Text(found.decode())
            if one == "%":
                found += bytes.fromhex(self.match(_HEX, "two small hexadecimal digits")[0])
            elif not " " <= one <= "~":
                raise ValueError("a character that no display string has")
            else:
                found += one.encode()
        raise ValueError("no end of a display string")
