"""Which arm of a `split` is taken.

The shares lie side by side from 0 to 1 in the order of the text. A key is a point there, always the same; so a changed
share moves only the keys between the old edge and the new one, from one neighbour to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from hashlib import blake2b

from policylang.check import program as p
from policylang.sdk.exchange import Exchange
from policylang.tree.keys import key_function

_STEP = 2.0**-53
"""The distance of neighbouring points: as fine as a float below 1 can be."""


def edges_of(shares: Sequence[float]) -> tuple[float, ...]:
    """Where each arm but the last ends; shares are percent."""
    edges = []
    total = Fraction(0)
    for share in shares[:-1]:
        total += Fraction(str(share))
        edges.append(float(total / 100))
    return tuple(edges)


def drawing(subject: p.Expr, counter: str) -> Callable[[Exchange], float]:
    """The point of an exchange: drawn anew, or that of its key. Raises Failed when a key is none."""
    if isinstance(subject, p.Const) and subject.value is None:
        return lambda exchange: exchange.environment.draw()
    key = key_function(subject, counter)
    return lambda exchange: point_of(key(exchange))


def point_of(key: bytes) -> float:
    return (int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 11) * _STEP
