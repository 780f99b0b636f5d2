"""Numbers and conversions. A conversion that cannot be done gives `none`."""

from __future__ import annotations

import math
import re

from policylang.sdk import Duration, Json, Rate, Size, Time, function, wrong_type
from policylang.sdk.values import SECONDS

_V = {"value": "Any value."}
_N = {"number": "A number."}
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def whole(number: float) -> int:
    """A number that counts or stands for a place. Raises Failed on one with a fraction."""
    if not math.isfinite(number) or number != math.floor(number):
        raise wrong_type(f"{number} is no whole number")
    return int(number)


@function(name="int", docs=_V)
def to_int(value: Json) -> int | None:
    """A whole number: of text in digits, of a number without its fraction, of a boolean 1 or 0.

        int("42") == 42
    """
    if isinstance(value, str):
        text = value.strip()
        return int(text) if _INTEGER.fullmatch(text) else None
    if isinstance(value, (bool, int, float)):
        return int(value) if math.isfinite(value) else None
    if isinstance(value, Size):
        return value.bytes
    return None


@function(name="float", docs=_V)
def to_float(value: Json) -> float | None:
    """A number of text or of a number; of a duration its seconds.

        float("2.5") == 2.5
    """
    if isinstance(value, str):
        text = value.strip()
        number = float(text) if _FLOAT.fullmatch(text) else math.inf
        return number if math.isfinite(number) else None
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, Duration):
        return value.seconds
    return None


@function(name="string", docs=_V)
def to_string(value: Json) -> str | None:
    """Text, as it would be interpolated; `none` for lists, maps and `none`.

        string(1.5) == "1.5"
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, Duration, Size, Rate, Time)):
        return str(value)
    return None


@function(name="bool", docs=_V)
def to_bool(value: Json) -> bool | None:
    """A boolean of `true` or `false` as text, of itself, of 1 or 0.

        bool("true")
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and value in (0, 1):
        return value == 1
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


@function(docs={"value": "Seconds, or text such as `250ms`."})
def duration(value: str | float) -> Duration | None:
    """A duration worked out from seconds or text.

        duration(90) == 90s
    """
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", value.strip())
        if found is None:
            return None
        return Duration(float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]])
    return Duration(value) if math.isfinite(value) and value >= 0 else None


@function(docs={"value": "Bytes, or text such as `64KiB`."})
def size(value: str | int) -> Size | None:
    """A size worked out from bytes or text.

        size("64KiB") == 64KiB
    """
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,18})(B|KB|MB|GB|KiB|MiB|GiB)", value.strip())
        if found is None:
            return None
        base, unit = (1024 if "i" in found[2] else 1000), found[2][0]
        return Size(int(found[1]) * (1 if unit == "B" else base ** ("KMG".index(unit) + 1)))
    return Size(int(value)) if math.isfinite(value) and value >= 0 else None


@function(docs={"count": "How many.", "unit": "`s`, `min`, `hour`, `day` or `month`."})
def rate(count: int, unit: str) -> Rate | None:
    """A rate worked out from a count and a unit.

        rate(10, "s") == 10/s
    """
    return Rate(int(count), unit) if count >= 0 and (unit in SECONDS or unit == "month") else None


@function(name="abs", docs=_N)
def absolute(number: float) -> float:
    """A number without its sign.

        abs(0 - 3) == 3
    """
    return abs(number)


@function(name="min", docs={"left": "A number.", "right": "Another."})
def least(left: float, right: float) -> float:
    """The smaller of two numbers.

        min(2, 3) == 2
    """
    return min(left, right)


@function(name="max", docs={"left": "A number.", "right": "Another."})
def most(left: float, right: float) -> float:
    """The larger of two numbers.

        max(2, 3) == 3
    """
    return max(left, right)


@function(name="round", docs=_N | {"digits": "Digits after the point."}, defaults={"digits": "0"})
def rounded(number: float, digits: int) -> float:
    """The nearest number with so many digits after the point; a half goes away from zero.

        round(2.5) == 3
    """
    scale: float = 10 ** max(-12, min(int(digits), 12))
    value = math.floor(abs(number) * scale + 0.5) / scale * (1 if number >= 0 else -1)
    return int(value) if digits <= 0 else value


@function(name="floor", docs=_N)
def lower_whole(number: float) -> float:
    """The next whole number below.

        floor(2.7) == 2
    """
    return math.floor(number)


@function(name="ceil", docs=_N)
def upper_whole(number: float) -> float:
    """The next whole number above.

        ceil(2.1) == 3
    """
    return math.ceil(number)


FUNCTIONS = (
    absolute, duration, least, lower_whole, most, rate, rounded, size, to_bool, to_float, to_int, to_string,
    upper_whole,
)  # fmt: skip
