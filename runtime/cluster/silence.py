"""Who has not answered of late, so that not every request waits for them: a decision over time, without I/O.

A member that hangs keeps its connections; the client and the other members give it up after some seconds only. Until
then its part of the keys is away, and so are changes of keys whose copy it holds, which the members that do answer
cannot acknowledge. So both are watched, members and partitions, and their reads apart from their changes.
"""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

PROBE = 0.25
"""Seconds between two calls that look whether a silent one answers again."""
PROBE_GAP = 0.05
"""Seconds between two such calls of all: whoever makes one waits for the whole deadline."""
FORGOTTEN = 1.0
"""Seconds after which two misses have nothing to do with each other: nobody has asked in between."""
MOST_WATCHED = 5_000
"""Members and partitions that have missed something; beyond, all is forgotten and seen anew."""

Who: TypeAlias = tuple[UUID | int | None, bool]


class _Misses:
    __slots__ = ("first", "last", "probe", "silent")

    def __init__(self, first: float) -> None:
        self.first = self.last = first
        self.probe = first
        self.silent = False


class Silence:
    """`spell`: seconds over which calls must have been missed, and none answered, for a silence; a shorter one is a
    collector of garbage at work. `owner`: the member that has the partition, None while nobody knows. Times in seconds.
    """

    __slots__ = ("_misses", "_next", "_spell")

    def __init__(self, spell: float) -> None:
        self._spell = spell
        self._next = 0.0
        self._misses: dict[Who, _Misses] = {}

    def __len__(self) -> int:
        return len(self._misses)

    def may_ask(self, owner: UUID | None, partition: int, write: bool, now: float) -> bool:
        """Whether to ask at all; who is told so for a silent one is its probe."""
        if not self._misses:
            return True
        silent = []
        for who in ((owner, write), (partition, write)):
            misses = self._misses.get(who)
            if misses is not None and misses.silent:
                if now < misses.probe or now < self._next:
                    return False
                silent.append(misses)
        for misses in silent:
            misses.probe = now + PROBE
            self._next = now + PROBE_GAP
        return True

    def missed(self, owner: UUID | None, partition: int, write: bool, now: float) -> None:
        """A call was not answered in time."""
        if len(self._misses) > MOST_WATCHED:
            self._misses.clear()
        for who in ((owner, write), (partition, write)):
            misses = self._misses.get(who)
            if misses is None:
                self._misses[who] = _Misses(now)
                continue
            if not misses.silent:
                if now - misses.last > FORGOTTEN:
                    misses.first = now
                elif now - misses.first >= self._spell:
                    misses.silent = True
                    misses.probe = now + PROBE
            misses.last = now

    def answered(self, owner: UUID | None, partition: int, write: bool) -> None:
        """A call was answered in time."""
        if self._misses:
            ended = self._misses.pop((owner, write), None), self._misses.pop((partition, write), None)
            if any(misses is not None and misses.silent for misses in ended):
                # Others were silent because of the same member: all are asked, and found silent anew if they are.
                self._misses.clear()

    def clear(self) -> None:
        """All is new: the members are others."""
        self._misses.clear()
