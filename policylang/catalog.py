"""Every assertion and function there is, found by entry point, as Cards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from policylang.sdk.assertion import Assertion, card_of
from policylang.sdk.card import Card, FunctionCard

GROUP = "polgate.assertions"


@dataclass(frozen=True, slots=True)
class Catalog:
    assertions: dict[str, Card]
    functions: dict[str, FunctionCard]


def catalog_of(entries: Iterable[Any]) -> Catalog:
    """Cards of assertion classes and functions. Raises ValueError when two have one name."""
    assertions: dict[str, Card] = {}
    functions: dict[str, FunctionCard] = {}
    for entry in entries:
        if isinstance(entry, FunctionCard):
            if entry.name in functions:
                raise ValueError(f"two functions are named {entry.name}")
            functions[entry.name] = entry
        elif isinstance(entry, type) and issubclass(entry, Assertion):
            if entry.name in assertions:
                raise ValueError(f"two assertions are named {entry.name}")
            assertions[entry.name] = card_of(entry)
        else:
            raise ValueError(f"{entry!r} is neither an assertion nor a function")
    return Catalog(assertions, functions)


@cache
def load_catalog() -> Catalog:
    """The built-in assertions and those of installed plug-ins."""
    entries: list[Any] = list(import_module("assertions").CATALOG)
    for point in entry_points(group=GROUP):
        if point.name != "builtin":
            entries.extend(point.load())
    return catalog_of(entries)
