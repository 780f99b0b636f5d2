"""Weighted turns: who is next, so that at every moment each has had its share as nearly as whole turns allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush


def fair_turns(weights: Sequence[int]) -> Iterator[int]:
    """One round: sum(weights) indices, each as often as its weight says. O(log n) a turn.

    Of those who are not ahead of their share the one whose next turn is due first gets it: 5:1:1 gives a b a a c a a.
    After any number of turns nobody has had a turn or more above its share (Tijdeman, "The chairman assignment
    problem", 1980, has the same rule with a slightly narrower choice).
    """
    total = sum(weights)
    given = [0] * len(weights)
    due = [(total / weight, index) for index, weight in enumerate(weights)]
    heapify(due)
    ahead: list[tuple[int, int]] = []  # from which turn on it is not ahead any more, and who
    for turn in range(total):
        while ahead and ahead[0][0] <= turn:
            index = heappop(ahead)[1]
            heappush(due, ((given[index] + 1) * total / weights[index], index))
        index = heappop(due)[1]  # the shares are exact on average: never are all ahead of theirs
        yield index
        given[index] += 1
        heappush(ahead, (-(-given[index] * total // weights[index]), index))
