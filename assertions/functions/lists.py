"""Lists and maps."""

from __future__ import annotations

from typing import Any

from assertions.functions.arithmetic import whole
from policylang.sdk import Json, function, wrong_type

_L = {"list": "A list."}
_M = {"map": "A map."}


@function(docs={"value": "Text, a list or a map."})
def length(value: str | list[Any] | dict[str, Any]) -> int:
    """How many characters, elements or entries there are.

        length([1, 2]) == 2
    """
    return len(value)


@function(docs=_L)
def first(list: list[Any]) -> Json:
    """The first element, `none` of an empty list.

        first([1, 2]) == 1
    """
    return list[0] if list else None


@function(docs=_L)
def last(list: list[Any]) -> Json:
    """The last element, `none` of an empty list.

        last([1, 2]) == 2
    """
    return list[-1] if list else None


@function(docs=_L | {"start": "From 0.", "end": "Where to stop; left out: at the end."})
def slice(list: list[Any], start: int, end: int | None) -> list[Any]:
    """The elements from `start` up to, but not including, `end`.

        slice([1, 2, 3], 1) == [2, 3]
    """
    return list[whole(start) : None if end is None else whole(end)]


@function(docs=_L)
def sort(list: list[Any]) -> list[Any]:
    """A list of numbers or of text in ascending order.

        sort([2, 1]) == [1, 2]
    """
    try:
        return sorted(list)
    except TypeError:
        raise wrong_type("`sort` takes a list of numbers or a list of text") from None


@function(docs=_L)
def reverse(list: list[Any]) -> list[Any]:
    """A list from its end to its beginning.

        reverse([1, 2]) == [2, 1]
    """
    return list[::-1]


@function(docs=_L)
def unique(list: list[Any]) -> list[Any]:
    """A list with each element once, where it first stands.

        unique([1, 2, 1]) == [1, 2]
    """
    seen: set[str] = set()
    return [each for each in list if (mark := f"{type(each).__name__} {each!r}") not in seen and not seen.add(mark)]  # type: ignore[func-returns-value]


@function(docs=_L)
def sum(list: list[Any]) -> float:
    """The sum of a list of numbers.

        sum([1, 2]) == 3
    """
    total: float = 0
    for each in list:
        if isinstance(each, bool) or not isinstance(each, (int, float)):
            raise wrong_type("`sum` takes a list of numbers")
        total += each
    return total


@function(docs={"left": "A list.", "right": "Another."})
def concat(left: list[Any], right: list[Any]) -> list[Any]:
    """Two lists as one.

        concat([1], [2]) == [1, 2]
    """
    return [*left, *right]


@function(docs=_M)
def keys(map: dict[str, Any]) -> list[str]:
    """The keys of a map, in its order.

        keys({ a: 1 }) == ["a"]
    """
    return list(map)


@function(docs=_M)
def values(map: dict[str, Any]) -> list[Any]:
    """The values of a map, in its order.

        values({ a: 1 }) == [1]
    """
    return list(map.values())


@function(docs={"left": "A map.", "right": "A map whose entries win."})
def merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Two maps as one.

        merge({ a: 1 }, { a: 2 }) == { a: 2 }
    """
    return {**left, **right}


@function(docs=_M | {"names": "The keys that stay."})
def pick(map: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The entries of a map with these keys.

        pick({ a: 1, b: 2 }, ["a"]) == { a: 1 }
    """
    return {name: map[name] for name in names if isinstance(name, str) and name in map}


@function(docs=_M | {"names": "The keys that go."})
def without(map: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A map without the entries of these keys.

        without({ a: 1, b: 2 }, ["a"]) == { b: 2 }
    """
    return {name: value for name, value in map.items() if name not in names}


FUNCTIONS = (
    concat, first, keys, last, length, merge, pick, reverse, slice, sort, sum, unique, values, without,
)  # fmt: skip
