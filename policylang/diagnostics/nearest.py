"""The known word that an unknown one was most likely meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate with the fewest slips (a letter too many, too few, wrong, or two swapped), when they
    are few enough for the word's length; the first of equals. None when nothing is near."""
    best: str | None = None
    limit = max(1, len(word) // 3) + 1
    plain = word.lower()
    for candidate in candidates:
        if candidate == word:
            return candidate
        distance = _distance(plain, candidate.lower(), limit)
        if distance < limit:
            best, limit = candidate, distance
    return best


def _distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance; `limit` or more is reported as `limit`."""
    if abs(len(a) - len(b)) >= limit:
        return limit
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        earlier, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) >= limit:
            return limit
    return min(row[-1], limit)
