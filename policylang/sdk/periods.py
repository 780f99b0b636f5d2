"""Periods of the calendar: which second, hour, day or month of a time zone a moment lies in.

Seconds, minutes and hours have a fixed length and begin where the zone's clock shows a whole one. Days
and months begin at the first moment of their first date, so that a day may have 23 or 25 hours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

UNITS: Final = ("s", "min", "hour", "day", "month")
FIXED: Final = {"s": 1, "min": 60, "hour": 3600}
LONGEST: Final = {"s": 1, "min": 60, "hour": 3600, "day": 26 * 3600, "month": 32 * 86400}
"""Seconds that no period of the unit outlasts."""


class Period(NamedTuple):
    """From `start` up to `end`, without it: whole seconds since the epoch. `unit`: one of UNITS."""

    unit: str
    start: int
    end: int


class NoSuchZone(ValueError):
    """The text is a sentence for the author."""


def time_zone(name: str) -> ZoneInfo:
    """A zone of the IANA time zone database, such as `Europe/Istanbul`. Raises NoSuchZone."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a folder of the database, a path out of it, a name it does not have
        raise NoSuchZone(f"there is no time zone `{name}`; write one such as \"Europe/Istanbul\" or \"UTC\"") from None


def _month(index: int) -> date:
    return date(index // 12, index % 12 + 1, 1)


_DATES: Final[dict[str, tuple[Callable[[date], int], Callable[[int], date]]]] = {
    "day": (date.toordinal, date.fromordinal),
    "month": (lambda day: day.year * 12 + day.month - 1, _month),
}  # fmt: skip
"""For a unit of dates: the number of the one that a date lies in, and the first date of one."""


class Calendar:
    """The periods of one unit in one zone. Asked again within the same period, it costs a comparison."""

    def __init__(self, unit: str, zone: str = "UTC") -> None:
        """Raises NoSuchZone, and ValueError for another unit."""
        if unit not in UNITS:
            raise ValueError(f"`{unit}` is no unit of the calendar")
        self.unit = unit
        self.zone = time_zone(zone)
        self._last = Period(unit, 0, 0)

    def at(self, wall: float) -> Period:
        """The period of a moment, in seconds since the epoch."""
        last = self._last
        if last.start <= wall < last.end:
            return last
        size = FIXED.get(self.unit)
        if size is None:
            found = self._of_dates(wall)
        else:
            shift = self._shift(int(wall // 1))
            start = int(wall // 1 + shift) // size * size - shift
            found = Period(self.unit, start, start + size)
        self._last = found
        return found

    def _shift(self, moment: int) -> int:
        """Seconds by which the zone's clock is ahead of UTC."""
        offset = datetime.fromtimestamp(moment, UTC).astimezone(self.zone).utcoffset()
        assert offset is not None
        return int(offset.total_seconds() // 1)

    def _of_dates(self, wall: float) -> Period:
        number, first = _DATES[self.unit]
        index = number(datetime.fromtimestamp(wall // 1, UTC).astimezone(self.zone).date())
        # A clock that is put forward over midnight shows a date before its first moment as counted here, and a date
        # that the zone has left out has no moment at all.
        while self._begin(first(index)) > wall:
            index -= 1
        while (end := self._begin(first(index + 1))) <= wall:
            index += 1
        return Period(self.unit, self._begin(first(index)), end)

    def _begin(self, day: date) -> int:
        """When a date begins: where its midnight comes twice the first one, where it is skipped when that happens."""
        return int(datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp() // 1)
