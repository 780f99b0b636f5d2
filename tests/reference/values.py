"""What a value is, and the operators on values, as language.md section 4 says it: slow and obvious."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from policylang.sdk.values import Duration, Ip, Rate, Size, Time


class Failing(Exception):
    """A failure on its way up. kind: `refusal`, `error`, `away` or `defect`."""

    def __init__(
        self, name: str, status: int, detail: str = "", *, kind: str = "refusal",
        headers: tuple[tuple[str, str], ...] = (), title: str = "", assertion: str = "", line: int = 0,
        private: bool = False,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = headers
        self.title = title
        self.assertion = assertion
        self.line = line
        self.private = private
        self.blames_expression = False
        """Its status is 400, or 502 where the statement's expression reads `response`."""


def wrong_type(detail: str) -> Failing:
    failing = Failing("wrong-type", 400, detail, kind="error")
    failing.blames_expression = True
    return failing


def missing_value(detail: str) -> Failing:
    failing = Failing("missing-value", 400, detail, kind="error")
    failing.blames_expression = True
    return failing


@dataclass(frozen=True)
class Known:
    """A value, and whether it is or was computed from a private one."""

    value: Any
    private: bool = False


@dataclass(frozen=True)
class Interval:
    """`low..high`, both ends included."""

    low: float
    high: float


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case Ip():
            return "ip"
        case str():
            return "string"
        case list() | tuple():
            return "list"
        case dict():
            return "map"
        case Duration():
            return "duration"
        case Size():
            return "size"
        case Rate():
            return "rate"
        case Time():
            return "time"
        case bytes():
            return "bytes"
        case Interval():
            return "range"
    return type(value).__name__.lower()


def same(left: Any, right: Any) -> bool:
    """By value, deeply; what differs in type is not the same (`[1]` is not `[true]`)."""
    if kind_of(left) != kind_of(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return set(left) == set(right) and all(same(left[name], right[name]) for name in left)
    return bool(left == right)


def equal(left: Any, right: Any) -> bool:
    """`==`: across types a failure, except against `none`."""
    if left is None or right is None:
        return left is None and right is None
    if {kind_of(left), kind_of(right)} == {"ip", "string"}:
        return ipaddress.ip_address(left) == ipaddress.ip_address(right)
    if kind_of(left) != kind_of(right):
        raise wrong_type(f"{kind_of(left)} beside {kind_of(right)}")
    return same(left, right)


def ordered(op: str, left: Any, right: Any) -> bool:
    if kind_of(left) != kind_of(right) or kind_of(left) not in ("number", "string", "duration", "size", "time"):
        raise wrong_type(f"{kind_of(left)} {op} {kind_of(right)}")
    if op == "<":
        return bool(left < right)
    if op == "<=":
        return bool(left <= right)
    if op == ">":
        return bool(left > right)
    return bool(left >= right)


def calculate(op: str, left: Any, right: Any) -> Any:
    if kind_of(left) != "number" or kind_of(right) != "number":
        raise wrong_type(f"{kind_of(left)} {op} {kind_of(right)}")
    if op == "+":
        return left + right
    if op == "-":
        return left - right
    if op == "*":
        return left * right
    if right == 0:
        raise wrong_type("division by zero")
    return left / right if op == "/" else left % right


def within(value: Any, interval: Interval) -> bool:
    return kind_of(value) == "number" and interval.low <= value <= interval.high


def is_in(left: Any, right: Any) -> bool:
    """`in` takes lists, ranges and map keys."""
    kind = kind_of(right)
    if kind == "list":
        if kind_of(left) == "ip":
            return any(ipaddress.ip_address(left) in ipaddress.ip_network(text) for text in right)
        return any(same(left, each) for each in right)
    if kind == "range":
        if kind_of(left) != "number":
            raise wrong_type("only a number is in a range")
        return within(left, right)
    if kind == "map":
        if kind_of(left) != "string":
            raise wrong_type("the keys of a map are strings")
        return left in right
    raise wrong_type(f"in {kind}")


def member(base: Any, key: Any) -> Any:
    """Reading a member that is not there gives `none`."""
    if isinstance(base, dict):
        return base.get(key) if isinstance(key, str) else None
    if isinstance(base, (list, tuple)) and kind_of(key) == "number" and key == int(key) and 0 <= key < len(base):
        return base[int(key)]
    return None


def boolean(value: Any) -> bool:
    """Conditions are booleans; nothing else is true or false."""
    if not isinstance(value, bool):
        raise wrong_type(f"a {kind_of(value)} is no boolean")
    return value


def as_text(value: Any) -> str:
    """How a value stands in a string: none never, lists and maps need `json(x)`."""
    kind = kind_of(value)
    if kind == "none":
        raise missing_value("none in a string")
    if kind == "boolean":
        return "true" if value else "false"
    if kind in ("string", "ip", "number", "duration", "size", "rate", "time"):
        return str(value)
    raise wrong_type(f"a {kind} in a string")


FITS = {
    "string": ("string", "ip"), "number": ("number",), "boolean": ("boolean",), "duration": ("duration",),
    "size": ("size",), "rate": ("rate",), "ip": ("ip",), "time": ("time",), "list": ("list",), "map": ("map",),
    "bytes": ("bytes",), "range": ("range",), "principal": ("principal",),
    "request": ("message",), "response": ("message",),
}  # fmt: skip


def check_fit(value: Any, types: tuple[str, ...], optional: bool, what: str) -> Any:
    """A value on its way into a parameter."""
    if value is None:
        if optional:
            return None
        raise missing_value(f"{what} is none")
    if "json" in types or "any" in types or any(kind_of(value) in FITS.get(name, ()) for name in types):
        return value
    raise wrong_type(f"{what} takes {' or '.join(types)}, not {kind_of(value)}")
