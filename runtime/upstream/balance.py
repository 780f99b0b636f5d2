"""Which server is next: smooth weighted round robin, as a pure function over its state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

Turns: TypeAlias = tuple[int, ...]
"""What each server has saved up; their sum is always 0."""


def first_turns(weights: Sequence[int]) -> Turns:
    return (0,) * len(weights)


def next_turn(weights: Sequence[int], turns: Turns) -> tuple[int, Turns]:
    """The chosen server's index, and the state to go on with.

    Everybody saves up its weight, the richest is chosen and pays the sum of all weights. So of sum(weights) turns in a
    row each server gets exactly its weight, spread as evenly as that goes: 5:1:1 gives a a b a c a a.
    """
    saved = [turn + weight for turn, weight in zip(turns, weights, strict=True)]
    chosen = max(range(len(saved)), key=saved.__getitem__)
    saved[chosen] -= sum(weights)
    return chosen, tuple(saved)
