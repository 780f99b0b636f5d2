"""What assertions may ask of the cache: answers under names, and values under keys."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

from policylang.sdk.flights import Flights
from policylang.sdk.store import Space

if TYPE_CHECKING:
    from policylang.sdk.exchange import Exchange, Request, Response
    from policylang.sdk.message import Field

LONGEST = 30 * 86400
"""Seconds that anything may be kept: longer ones of authors are an error."""
ANSWERS = Space("answers", "cache", LONGEST)
VALUES = Space("values", "cache", LONGEST)
LARGEST_VALUE = 1 << 20
"""Bytes of a value as JSON."""

Name: TypeAlias = tuple[Any, ...]
"""What an answer is kept under: texts, bytes and None, and two names are one only where all of them are equal."""
Asked: TypeAlias = "tuple[list[Field], list[Field]]"
"""The fields of a request as the policy has made them, and as they came."""
Missing: TypeAlias = Literal["uri-miss", "vary-miss", "bypass"]
"""Why there is no answer, as RFC 9211 2.2 calls it; `bypass`: the store is away."""
CacheOutcome: TypeAlias = Literal["hit", "miss", "stored", "collapsed", "bypass", "method"]
"""What became of a request that came to a `cache`, for log and metrics."""


class Life(NamedTuple):
    """How an answer may be kept: for so many `seconds` from now. `age`: seconds that it has lived elsewhere already.

    `varies`: lower-case names of the request's fields that it was chosen by, sorted.
    """

    seconds: float
    age: float
    varies: tuple[bytes, ...] = ()


class Caches(Protocol):
    """One for a process. Answers and values may be lost at any time; none outlives its time, and none is cut.

    What is at hand is given at once, else by a coroutine; nothing raises where the store is away.
    """

    flights: Flights

    def answer(
        self, exchange: Exchange, name: Name, longest: int, outcome: CacheOutcome = "hit"
    ) -> Response | Missing | Coroutine[Any, Any, Response | Missing]:
        """The answer of that name for this request, with Age and Cache-Status, unless it is older than `longest` ns.

        It is a new one each time, whose `headers` may be set anew; its body is held. It is noted as that
        `outcome`.
        """
        ...

    def varies(self, name: Name) -> tuple[bytes, ...]:
        """The fields that answers of this name are known to vary on."""
        ...

    def keep(
        self, exchange: Exchange, name: Name, request: Asked, life: Life, limit: int, since: float,
        ended: Callable[[bool | None], None],
    ) -> bool:  # fmt: skip
        """Keep the exchange's response, if its body has at most `limit` bytes.

        `request`: what was asked, as it was looked for. `since`: the wall time at which it was asked for; what was
        dropped since then is not kept. A body that streams is copied as it passes, and nothing is kept of one that is
        cut. `ended` is called once, maybe at once: with True when the answer can be found, with False when it cannot be
        kept, with None when its taker has left. Gives False where it is known already that it cannot be kept.
        """
        ...

    def drop(self, name: Name) -> None:
        """Forget what is kept under a name, in all variants, and what was asked for before now."""
        ...

    def note(self, exchange: Exchange, outcome: CacheOutcome) -> None: ...

    def value(self, key: bytes) -> bytes | Coroutine[Any, Any, bytes | None] | None: ...

    def keep_value(self, key: bytes, data: bytes, seconds: float) -> None:
        """Others find it when the store has it; nobody waits for that."""
        ...

    def drop_value(self, key: bytes) -> Coroutine[Any, Any, None] | None:
        """Raises Unavailable where the store is away: who drops must know."""
        ...


def storable(headers: list[Field]) -> list[Field]:
    """Without what is not stored (RFC 9111 3.1), and what each answer of a cache has anew."""
    return [field for field in headers if field[0] not in _NOT_STORED]


def asked(request: Request) -> Asked:
    return request.headers, request.received_headers


def selecting(request: Asked, names: tuple[bytes, ...]) -> tuple[bytes | None, ...]:
    """What a request says in the fields that an answer varies on (RFC 9111 4.1).

    Where the policy has edited them, what came counts as well: both the upstream and later statements may choose by it.
    """
    headers, received = request
    found = _said(headers, names)
    if headers is not received:
        as_it_came = _said(received, names)
        if as_it_came != found:
            found += as_it_came
    return found


def _said(headers: list[Field], names: tuple[bytes, ...]) -> tuple[bytes | None, ...]:
    said: list[bytes | None] = []
    for name in names:
        values = [value.strip(b" \t") for lower, _, value in headers if lower == name]
        said.append(b", ".join(values) if values else None)
    return tuple(said)


_NOT_STORED = frozenset({
    b"age", b"connection", b"content-length", b"keep-alive", b"proxy-authenticate", b"proxy-authentication-info",
    b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
