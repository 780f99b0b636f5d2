"""Periods of the calendar: where they begin and end, in zones that put their clocks forward and back."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.periods import LONGEST, UNITS, Calendar, NoSuchZone, time_zone

ZONES = [
    "UTC", "Europe/Istanbul", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
    "America/Sao_Paulo", "Asia/Beirut", "Pacific/Apia", "America/Havana", "Africa/Cairo", "America/Toronto",
]  # fmt: skip
MOMENTS = st.floats(0, 2.2e9, allow_nan=False)


def at(zone: str, *parts: int, fold: int = 0) -> int:
    return int(datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).timestamp())  # type: ignore[misc, arg-type]


def hours(zone: str, *day: int) -> float:
    period = Calendar("day", zone).at(at(zone, *day, 12))
    return (period.end - period.start) / 3600


def test_days_of_23_and_25_hours() -> None:
    assert hours("Europe/Berlin", 2026, 3, 29) == 23
    assert hours("Europe/Berlin", 2026, 10, 25) == 25
    assert hours("Europe/Berlin", 2026, 7, 1) == 24
    assert hours("America/New_York", 2026, 3, 8) == 23
    assert hours("Australia/Lord_Howe", 2026, 4, 5) == 24.5
    assert hours("Europe/Istanbul", 2026, 3, 29) == 24, "Turkey has kept its clocks since 2016"


def test_midnights_that_there_are_not_and_that_come_twice() -> None:
    assert hours("America/Sao_Paulo", 2018, 11, 4) == 23, "from 0:00 to 1:00"
    start = Calendar("day", "America/Sao_Paulo").at(at("America/Sao_Paulo", 2018, 11, 4, 12)).start
    assert datetime.fromtimestamp(start, ZoneInfo("America/Sao_Paulo")).hour == 1
    assert hours("America/Havana", 2026, 11, 1) == 25, "0:00 to 1:00 comes twice: one day has both"
    assert hours("America/Sao_Paulo", 2018, 2, 17) == 25, "23:00 to 24:00 comes twice"
    # 30 minutes before midnight the clock was put to 0:30: the evening's rest belongs to the day before.
    day = Calendar("day", "America/Toronto").at(at("America/Toronto", 1919, 3, 31, 12))
    assert (day.end - day.start) / 3600 in (23.0, 23.5)


def test_a_date_that_a_zone_has_left_out() -> None:
    """Samoa went from 29 to 31 December 2011."""
    zone = "Pacific/Apia"
    last = Calendar("day", zone).at(at(zone, 2011, 12, 29, 12))
    next_ = Calendar("day", zone).at(last.end)
    assert datetime.fromtimestamp(next_.start, ZoneInfo(zone)).day == 31
    assert last.end - last.start == next_.end - next_.start == 86400


@pytest.mark.parametrize(
    "zone, moment, start, end",
    [
        ("UTC", (2026, 2, 28, 23, 59, 59), (2026, 2, 1), (2026, 3, 1)),
        ("UTC", (2028, 2, 29, 23, 59, 59), (2028, 2, 1), (2028, 3, 1)),
        ("UTC", (2026, 12, 31, 23, 59, 59), (2026, 12, 1), (2027, 1, 1)),
        ("Europe/Istanbul", (2026, 1, 1), (2026, 1, 1), (2026, 2, 1)),
        ("America/New_York", (2026, 11, 30, 23, 59, 59), (2026, 11, 1), (2026, 12, 1)),
    ],
)
def test_months_end_where_the_zone_says(
    zone: str, moment: tuple[int, ...], start: tuple[int, ...], end: tuple[int, ...]
) -> None:
    assert Calendar("month", zone).at(at(zone, *moment)) == ("month", at(zone, *start), at(zone, *end))


def test_the_end_of_a_month_is_not_everywhere_at_once() -> None:
    moment = at("UTC", 2026, 3, 31, 22)
    assert datetime.fromtimestamp(Calendar("month", "Europe/Istanbul").at(moment).start, UTC).month == 3
    assert Calendar("month", "Europe/Istanbul").at(moment).start == moment - 3600
    assert Calendar("month", "UTC").at(moment).end == moment + 2 * 3600


def test_hours_begin_where_the_zone_s_clock_shows_a_whole_one() -> None:
    assert Calendar("hour", "Asia/Kolkata").at(at("UTC", 2026, 1, 1, 0, 45)).start == at("UTC", 2026, 1, 1, 0, 30)
    assert Calendar("min").at(119.9) == ("min", 60, 120)
    assert Calendar("s").at(119.9) == ("s", 119, 120)


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(["day", "month"]), MOMENTS)
def test_periods_of_dates_follow_each_other_without_a_gap(zone: str, unit: str, wall: float) -> None:
    calendar = Calendar(unit, zone)
    period = calendar.at(wall)
    assert period.start <= wall < period.end and period.end - period.start <= LONGEST[unit]
    assert calendar.at(period.start) == calendar.at(period.end - 0.001) == period
    assert calendar.at(period.end).start == period.end
    assert Calendar(unit, zone).at(wall) == period, "it depends on what was asked before"


@settings(deadline=None)
@given(st.sampled_from(ZONES), st.sampled_from(UNITS), MOMENTS, MOMENTS)
def test_a_calendar_gives_the_same_whatever_was_asked_before(zone: str, unit: str, before: float, wall: float) -> None:
    calendar = Calendar(unit, zone)
    calendar.at(before)
    found = calendar.at(wall)
    assert found.start <= wall < found.end
    if unit in ("day", "month", "s", "min"):
        assert found == Calendar(unit, zone).at(wall)


@pytest.mark.parametrize("name", ["Mars/Olympus", "America", "../etc/passwd", "/etc/passwd", "", "Europe/Istanbul\0"])
def test_a_zone_that_there_is_not_is_named(name: str) -> None:
    with pytest.raises(NoSuchZone, match="no time zone"):
        time_zone(name)


def test_another_unit_is_none() -> None:
    with pytest.raises(ValueError, match="`week` is no unit"):
        Calendar("week")
