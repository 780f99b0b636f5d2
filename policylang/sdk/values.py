"""Value types of the language that Python has no ready word for.

A `.pol` value is one of: str, int or float, bool, None, list, dict (the JSON values), or one of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from policylang.sdk.exchange import Exchange

T_co = TypeVar("T_co", covariant=True)

Json: TypeAlias = Any
"""None, bool, int, float, str, list or dict: what is known only when the message is here."""

SECONDS = {
    "s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "hour": 3600, "h": 3600, "day": 86400, "d": 86400,
}  # fmt: skip

_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (10**9, "GB"), (10**6, "MB"), (1000, "KB"))


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    seconds: float

    @property
    def ns(self) -> int:
        return round(self.seconds * 1_000_000_000)

    def __str__(self) -> str:
        for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
            if self.seconds and self.seconds % size == 0:
                return f"{int(self.seconds // size)}{unit}"
        return f"{self.seconds * 1000:g}ms" if self.seconds else "0s"


@dataclass(frozen=True, slots=True, order=True)
class Size:
    bytes: int

    def __str__(self) -> str:
        for size, unit in _SIZES:
            if self.bytes and self.bytes % size == 0:
                return f"{self.bytes // size}{unit}"
        return f"{self.bytes}B"


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` in each `unit`: s, min, hour, day or month."""

    count: int
    unit: str

    @property
    def window(self) -> int:
        """The unit in seconds; a month has no fixed length and raises KeyError."""
        return SECONDS[self.unit]

    def __str__(self) -> str:
        return f"{self.count}/{self.unit}"


EARLIEST, LATEST = -62_135_596_800, 253_402_300_799
"""The first and the last second that a calendar of the years 1 to 9999 has."""


@dataclass(frozen=True, slots=True, order=True)
class Time:
    """A moment, in seconds since 1970-01-01T00:00:00Z."""

    epoch: float

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.epoch, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ip(str):
    """An address as text (lower case, compressed). A str of its own, so that keys and logs pay nothing."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who an authenticating assertion has found: `user` in a policy."""

    id: str
    roles: tuple[str, ...] = ()
    claims: Json = None


class Expr(Protocol[T_co]):
    """A parameter that is worked out for every message: call it with the exchange.

    Raises `Failed` when the value is missing (`none`) or of a wrong type.
    """

    def __call__(self, exchange: Exchange, /) -> T_co: ...


class Known:
    """An `Expr` that gives every message the same value: what is made of it can be made once."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self, exchange: Exchange, /) -> Any:
        return self.value


def reads(expr: Expr[Any]) -> frozenset[str]:
    """What a key reads that may tell callers apart: `user`, `authorization` (the bearer token in it), other fields.

    Only what the expression itself reads, without the names in it.
    """
    found: frozenset[str] = getattr(expr, "reads", frozenset())
    return found


class Key(bytes):
    """A counter's or entry's key: any value or list of them, encoded without collisions, hashed when private."""

    __slots__ = ()


class Target(bytes):
    """A request target built by a template: each interpolated string is one encoded segment, `request.path` a path."""

    __slots__ = ()


class Query(bytes):
    """A request's query without its `?`: of a map (lists repeat the name, `none` leaves it out) or of text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UpstreamName:
    """A parameter that takes the bare name of a declared upstream."""

    name: str
