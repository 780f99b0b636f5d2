"""Header fields as a test writes them: `{ "X-A": "1", "X-B": ["2", "3"], "X-C": none }`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policylang.sdk.message import Field
from policylang.sdk.outcome import Failed
from policylang.tree.values import text_of

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2: what methods and names of fields are made of."""
_NOT_IN_VALUES = re.compile(r"[\0-\x08\x0a-\x1f\x7f]")


class Unsendable(ValueError):
    """What no message can hold; the text says why, for the author of the test."""


def fields_of(*headers: Mapping[str, Any] | None) -> list[Field]:
    """The fields of maps, of which a later one replaces what an earlier one says. Raises Unsendable.

    A list is a field for each of its values, and `none` is no field.
    """
    found: list[Field] = []
    for header in headers:
        if not header:
            continue
        for name in header:
            if not TOKEN.fullmatch(name):
                raise Unsendable(f"`{name}` is no name of a header field")
        named = {name.lower().encode() for name in header}
        found = [field for field in found if field[0] not in named]
        for name, value in header.items():
            for each in value if isinstance(value, (list, tuple)) else (value,):
                if each is not None:
                    found.append((name.lower().encode(), name.encode(), _value(name, each)))
    return found


def _value(name: str, value: Any) -> bytes:
    try:
        text = text_of(value)
    except Failed as failed:
        raise Unsendable(f"the field `{name}` cannot be written: {failed.failure.detail}") from None
    if _NOT_IN_VALUES.search(text):
        what = "a line's end" if any(mark in text for mark in "\r\n\0") else "a control character"
        raise Unsendable(f"the field `{name}` has {what} in it")
    return encoded(text.strip(" \t"))


def encoded(text: str) -> bytes:
    """As it is sent. Raises Unsendable."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Unsendable("a text has half of a character, which cannot be sent") from None
