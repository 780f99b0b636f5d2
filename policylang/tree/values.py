"""What operators do with values that are known only when the message is here.

Compiled expressions call these where the static types leave something to check. A mismatch raises Failed with the
status 400; an expression that reads the response turns it into 502.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from typing import Any

from policylang.sdk.networks import Networks
from policylang.sdk.outcome import Failure, missing_value, wrong_type
from policylang.sdk.patterns import compile_pattern
from policylang.sdk.values import Duration, Ip, Principal, Rate, Size, Time

PRIVATE = "[private]"
"""What stands where a private text would be shown."""

_WORDS: dict[type, str] = {
    type(None): "none", bool: "boolean", int: "number", float: "number", str: "string", Ip: "ip", list: "list",
    tuple: "list", dict: "map", Duration: "duration", Size: "size", Rate: "rate", Time: "time", bytes: "bytes",
    range: "range", Principal: "principal", Failure: "failure", Networks: "networks",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """The language's word for what a value is."""
    return _WORDS.get(value.__class__) or value.__class__.__name__.lower()


def phrase(kind: str) -> str:
    if kind in ("none", "bytes", "networks"):
        return kind
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


# --- presence and types ---


def present(value: Any, word: str) -> Any:
    if value is None:
        raise missing_value(f"{word} is `none`")
    return value


def truth(value: Any) -> bool:
    """A condition."""
    if value is True or value is False:
        return bool(value)
    raise wrong_type(f"a condition is {phrase(kind_of(value))}, not a boolean")


def taker(kinds: frozenset[str], accepts_none: bool, word: str) -> Callable[[Any], Any]:
    """A check that a value is of one of these kinds, for a parameter whose argument is JSON."""
    if "string" in kinds:
        kinds = kinds | {"ip"}

    def take(value: Any) -> Any:
        if value is None and not accepts_none:
            raise missing_value(f"{word} is `none`")
        kind = _WORDS.get(value.__class__)
        if kind not in kinds and value is not None:
            wanted = " or ".join(sorted(phrase(each) for each in kinds))
            raise wrong_type(f"{word} is {phrase(kind_of(value))}, not {wanted}")
        return value

    return take


# --- text ---


def text_of(value: Any) -> str:
    """A value as it is interpolated."""
    kind = value.__class__
    if kind is str or kind is Ip:
        text: str = value
        return text
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float or kind in (Duration, Size, Rate, Time):
        return str(value)
    if value is None:
        raise missing_value("`none` cannot stand in a text")
    raise wrong_type(f"{phrase(kind_of(value))} cannot stand in a text; use `json(…)`")


def string_of(value: Any) -> str:
    """A value that has to be text already."""
    if value.__class__ is str or value.__class__ is Ip:
        text: str = value
        return text
    if value is None:
        raise missing_value("a text is `none`")
    raise wrong_type(f"{phrase(kind_of(value))} stands where a text is needed")


# --- members ---


def member(base: Any, key: Any) -> Any:
    """`base[key]`, None where it is not there."""
    kind = base.__class__
    if kind is dict:
        return base.get(key) if key.__class__ is str else None
    if kind is list or kind is tuple:
        if key.__class__ is float and key.is_integer():
            key = int(key)
        return base[key] if key.__class__ is int and 0 <= key < len(base) else None
    if kind is Principal:
        return principal_member(base, key)
    if kind is Failure:
        return failure_member(base, key)
    return None


def principal_member(user: Principal | None, key: str) -> Any:
    if user is None:
        return None
    if key == "id":
        return user.id
    if key == "roles":
        return list(user.roles)
    return user.claims if key == "claims" else None


def failure_member(failure: Failure | None, key: str) -> Any:
    if failure is None:
        return None
    if key == "line":
        return 0 if failure.span is None else failure.span.line
    if key == "kind":
        return failure.kind.value
    return getattr(failure, key) if key in ("name", "status", "title", "detail", "assertion") else None


def attribute(record: Any, key: str) -> Any:
    """A field of a record that is no JSON, such as a client's certificate."""
    return None if record is None else getattr(record, key, None)


# --- comparing ---


def same(left: Any, right: Any) -> bool:
    """Deep equality by value: 1 is 1.0, true is not 1."""
    if left is right:
        return True
    a, b = left.__class__, right.__class__
    if a is bool or b is bool:
        return False
    if (a is list or a is tuple) and (b is list or b is tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if a is dict and b is dict:
        if left.keys() != right.keys():
            return False
        return all(same(value, right[key]) for key, value in left.items())
    return bool(left == right)


def equal(left: Any, right: Any) -> bool:
    """`==`. Raises Failed where the two are of different types, unless one is `none`."""
    a, b = left.__class__, right.__class__
    if a is str and b is str:
        return bool(left == right)
    if left is None or right is None:
        return left is right
    if a is Ip or b is Ip:
        return right in _networks((left,)) if b is Ip else left in _networks((right,))
    if a is Networks or b is Networks:
        return right in left if a is Networks else left in right
    kind, other = kind_of(left), kind_of(right)
    if kind != other:
        raise wrong_type(f"{phrase(kind)} cannot be compared with {phrase(other)}")
    return same(left, right)


def same_secret(left: Any, right: Any) -> bool:
    """`==` where one side is private: the time it takes does not tell how much of a text was right."""
    if left.__class__ is str and right.__class__ is str:
        return compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))
    return equal(left, right)


_ORDERED = frozenset({"number", "string", "duration", "size", "time"})


def ordered(left: Any, right: Any) -> None:
    """Raises Failed unless the two have an order."""
    kind, other = kind_of(left), kind_of(right)
    if kind != other or kind not in _ORDERED:
        raise wrong_type(f"{phrase(kind)} and {phrase(other)} have no order")


def less(left: Any, right: Any) -> bool:
    ordered(left, right)
    return bool(left < right)


def less_or_equal(left: Any, right: Any) -> bool:
    ordered(left, right)
    return bool(left <= right)


def greater(left: Any, right: Any) -> bool:
    ordered(left, right)
    return bool(left > right)


def greater_or_equal(left: Any, right: Any) -> bool:
    ordered(left, right)
    return bool(left >= right)


@lru_cache(maxsize=1024)
def _read_networks(texts: tuple[str, ...]) -> Networks:
    return Networks(texts)


def _networks(texts: Any) -> Networks:
    """Texts that came with a message or a map, beside an ip."""
    if not all(isinstance(text, str) for text in texts):
        raise wrong_type("an ip is compared with what is neither an address nor a network")
    try:
        return _read_networks(tuple(texts))
    except ValueError as error:
        raise wrong_type(str(error)) from None


def within(item: Any, container: Any) -> bool:
    """`item in container`: a list, a range, a map's keys or networks."""
    kind = container.__class__
    if kind is list or kind is tuple:
        if item.__class__ is Ip:
            return item in _networks(container)
        return any(same(item, each) for each in container)
    if kind is dict:
        if item.__class__ is str or item.__class__ is Ip:
            return item in container
        raise wrong_type(f"{phrase(kind_of(item))} is no key of a map")
    if kind is range or kind is Between:
        return in_range(item, container)
    if kind is Networks:
        return item in container
    raise wrong_type(f"`in` stands before {phrase(kind_of(container))}")


def contains(container: Any, item: Any) -> bool:
    """`container contains item`: a list. Text is told apart when the policy is compiled."""
    kind = container.__class__
    if kind is list or kind is tuple:
        return within(item, container)
    cure = ": of JSON it takes a list, and a text as `string(…)`" if kind is str else ""
    raise wrong_type(f"`contains` stands after {phrase(kind_of(container))}{cure}")


def operand(value: Any) -> str:
    """One side of an operator on texts."""
    if value.__class__ is str or value.__class__ is Ip:
        text: str = value
        return text
    if value is None:
        raise wrong_type("a text that is looked at is `none`: it is missing")
    raise wrong_type(f"{phrase(kind_of(value))} stands beside an operator on text")


def text_contains(text: Any, part: Any) -> bool:
    return operand(part) in operand(text)


def starts_with(text: Any, part: Any) -> bool:
    return operand(text).startswith(operand(part))


def ends_with(text: Any, part: Any) -> bool:
    return operand(text).endswith(operand(part))


def matches(text: Any, pattern: Any) -> bool:
    """`matches` with a pattern that is not a literal."""
    try:
        compiled = compile_pattern(operand(pattern))
    except ValueError as error:
        raise wrong_type(f"no regular expression: {error}") from None
    return searcher(compiled)(operand(text)) is not None


# --- ranges ---


class Between:
    """A range whose ends are not both whole: `0.5..2`."""

    __slots__ = ("high", "low")

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high


def range_of(low: Any, high: Any) -> range | Between:
    """`low..high`, both ends included."""
    if not (is_number(low) and is_number(high)):
        raise wrong_type(f"a range from {phrase(kind_of(low))} to {phrase(kind_of(high))}")
    if low.__class__ is int and high.__class__ is int:
        return range(low, high + 1)
    return Between(low, high)


def bounds(value: Any) -> tuple[float, float]:
    """First and last number of a range; a constant one of fractions is a pair."""
    if value.__class__ is range:
        return value.start, value.stop - 1
    if value.__class__ is Between:
        return value.low, value.high
    low, high = value
    return low, high


def in_range(item: Any, value: Any) -> bool:
    if not is_number(item):
        raise wrong_type(f"{phrase(kind_of(item))} is sought in a range")
    low, high = bounds(value)
    return bool(low <= item <= high)


def is_number(value: Any) -> bool:
    return value.__class__ is int or value.__class__ is float


# --- repeated values ---


def query_values(request: Any, name: str) -> list[str]:
    return [value for key, value in request.query if key == name]


def cookie_values(request: Any, name: str) -> list[str]:
    return [value for key, value in request.cookies if key == name]


def searcher(pattern: Any) -> Callable[[str], Any]:
    """A pattern's search that refuses, rather than raises on, text that is no Unicode (a header's stray bytes)."""
    search: Callable[[str], Any] = pattern.search
    if getattr(pattern, "engine", "") == "re":
        return search

    def look(text: str) -> Any:
        try:
            return search(text)
        except UnicodeError:
            raise wrong_type("a text that is not UTF-8 cannot be matched") from None

    return look
