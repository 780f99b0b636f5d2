"""Time. Zones are names of the IANA database, `UTC` unless one is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from policylang.sdk import Failed, Failure, Kind, Time, function
from policylang.sdk.values import EARLIEST, LATEST

_Z = {"time": "A moment, such as `now`.", "zone": "A time zone, such as `Europe/Berlin`."}
_D = {"zone": '"UTC"'}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"`{name}` is no time zone; write one such as `Europe/Berlin`") from None


def _in(time: Time, zone: str) -> datetime:
    try:
        return datetime.fromtimestamp(time.epoch, _zone(zone))
    except ValueError as error:
        raise Failed(Failure("bad-zone", 400, str(error), kind=Kind.ERROR)) from None
    except (OverflowError, OSError):
        raise _out_of_range() from None


def _out_of_range() -> Failed:
    return Failed(Failure("wrong-type", 400, "a time is out of range", kind=Kind.ERROR))


def _known_zone(call: Callable[..., Any]) -> Callable[[Mapping[str, Any]], Callable[..., Any]]:
    def prepare(constants: Mapping[str, Any]) -> Callable[..., Any]:
        if isinstance(zone := constants.get("zone"), str):
            _zone(zone)
        return call

    return prepare


def _hour(time: Time, zone: str) -> int:
    return _in(time, zone).hour


def _weekday(time: Time, zone: str) -> str:
    return _DAYS[_in(time, zone).weekday()]


def _date(time: Time, zone: str) -> str:
    return _in(time, zone).date().isoformat()


def _format_time(time: Time, format: str, zone: str) -> str:
    return _in(time, zone).strftime(format)


@function(docs=_Z, defaults=_D, prepare=_known_zone(_hour))
def hour(time: Time, *, zone: str) -> int:
    """The hour of the day, 0 to 23.

        hour(now, zone: "Europe/Berlin") in 0..23
    """
    return _hour(time, zone)


@function(docs=_Z, defaults=_D, prepare=_known_zone(_weekday))
def weekday(time: Time, *, zone: str) -> str:
    """The day of the week in English, lower case.

        weekday(time(0)) == "thursday"
    """
    return _weekday(time, zone)


@function(docs=_Z, defaults=_D, prepare=_known_zone(_date))
def date(time: Time, *, zone: str) -> str:
    """The calendar date (RFC 3339).

        date(time(0)) == "1970-01-01"
    """
    return _date(time, zone)


@function(docs=_Z | {"format": "A pattern such as `%Y-%m-%d %H:%M`."}, defaults=_D, prepare=_known_zone(_format_time))
def format_time(time: Time, format: str, *, zone: str) -> str:
    """A moment as text, by the patterns of C's strftime.

        format_time(time(0), "%H:%M") == "00:00"
    """
    return _format_time(time, format, zone)


@function(docs={"text": "A time by RFC 3339, or an HTTP date."})
def parse_time(text: str) -> Time | None:
    """The moment that text names; `none` where it names none. Without a zone it is UTC.

        epoch(parse_time("1970-01-01T00:01:00Z") ?? now) == 60
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(text.strip())
        except (ValueError, TypeError, IndexError):
            return None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return Time(seconds) if EARLIEST <= seconds <= LATEST else None


@function(docs={"time": "A moment."})
def epoch(time: Time) -> int:
    """Whole seconds since 1970-01-01T00:00:00Z.

        epoch(time(60)) == 60
    """
    return int(time.epoch)


@function(name="time", docs={"seconds": "Seconds since 1970-01-01T00:00:00Z."})
def time_of(seconds: float) -> Time:
    """The moment of a number of seconds.

        epoch(time(60)) == 60
    """
    if not EARLIEST <= seconds <= LATEST:
        raise _out_of_range()
    return Time(seconds)


@function(docs={"time": "A moment."})
def http_date(time: Time) -> str:
    """A moment as HTTP writes it (RFC 9110, 5.6.7).

        http_date(time(0)) == "Thu, 01 Jan 1970 00:00:00 GMT"
    """
    from email.utils import format_datetime

    return format_datetime(_in(time, "UTC").replace(tzinfo=UTC), usegmt=True)


FUNCTIONS = (date, epoch, format_time, hour, http_date, parse_time, time_of, weekday)
