"""What a worker does for the operator with quotas; `runtime.admin.quotas` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from policylang.sdk import Clock, Failed, settled
from policylang.sdk.parse import parse_json
from policylang.sdk.periods import Calendar, Period
from policylang.tree.keys import PREFIX_BYTES, hashed, prefixed
from policylang.tree.map_keys import spelled
from runtime.admin.messages import Refused
from runtime.quotas.held import Held
from runtime.quotas.ledger import Ledger, named, used
from runtime.quotas.named import NamedQuota
from runtime.quotas.record import NOTHING, Record
from runtime.workers.answers import Answers

MOST = 500
"""Keys of one answer."""
START_BYTES = 8
MOST_UNITS = 10**18


class _Place(NamedTuple):
    quota: NamedQuota
    ledger: Ledger
    key: bytes
    period: Period

    @property
    def name(self) -> bytes:
        return named(self.key, self.period)


class QuotaAnswers:
    """`log` hears of changes."""

    def __init__(self, ledger: Ledger, clock: Clock, log: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._log = log
        self._quotas: dict[str, list[NamedQuota]] = {}

    def serve(self, quotas: Iterable[NamedQuota]) -> None:
        """Those of the policy that is served from now on."""
        self._quotas = {}
        for one in quotas:
            self._quotas.setdefault(one.name, []).append(one)

    def give(self, answers: Answers) -> None:
        for what, answerer in (
            ("list", self._list), ("page", self._page), ("show", self._show), ("set", self._set), ("add", self._add)
        ):  # fmt: skip
            answers.give(f"quota.{what}", answerer)

    async def _list(self, arguments: dict[str, Any]) -> Any:
        return {
            "quotas": [
                {
                    "name": one.name, "units": one.units, "zones": one.zones, "private": one.private,
                    "scope": "node" if one.here else "cluster",
                }
                for quotas in self._quotas.values()
                for one in quotas
            ]
        }  # fmt: skip

    async def _page(self, arguments: dict[str, Any]) -> Any:
        """Those of the periods that it is now, at most MOST a time."""
        spaces = [
            (quota, self._of(quota), unit) for quota in self._named(arguments["name"]) for unit in quota.units
        ]  # fmt: skip
        try:
            number, _, after = arguments.get("after", "0.").partition(".")
            place, start = int(number), bytes.fromhex(after)
        except ValueError:
            raise _bad("`after` is the `next` of the page before") from None
        told: list[dict[str, Any]] = []
        while place < len(spaces):
            quota, ledger, unit = spaces[place]
            page = await settled(ledger.entries.scan(ledger.records[unit], max(start, quota.prefix), MOST))
            own = [name for name, _ in page if name.startswith(quota.prefix)]
            for name in own:
                period = self._period(quota, unit, name)
                if period is not None:
                    told.append(await self._told(_Place(quota, ledger, name[:-START_BYTES], period)))
            if len(own) == len(page) == MOST:
                return {"entries": told, "next": f"{place}.{own[-1].hex()}"}
            place, start = place + 1, b""
        return {"entries": told, "next": None}

    async def _show(self, arguments: dict[str, Any]) -> Any:
        return {"entries": [await self._told(place) for place in await self._found(arguments)]}

    async def _set(self, arguments: dict[str, Any]) -> Any:
        units = _whole(arguments["units"])
        return await self._change(arguments, lambda record: record.begun_anew(units), f"set to {units} used")

    async def _add(self, arguments: dict[str, Any]) -> Any:
        units = _whole(arguments["units"])
        return await self._change(arguments, lambda record: record.moved(-units), f"given {units} more")

    async def _change(self, arguments: dict[str, Any], change: Callable[[Record], Record], what: str) -> Any:
        places = await self._found(arguments, also_unused=True)
        if len(places) > 1:
            units = " or ".join(dict.fromkeys(place.period.unit for place in places))
            raise Refused(409, "several", f"this key has several counts: say which by its unit, {units}")
        (place,) = places
        await place.ledger.change(place.period.unit, place.name, change)
        self._log(f"the operator has changed the quota `{place.quota.name}`: {what}")
        return {"entries": [await self._told(place)]}

    # --- finding ---

    def _named(self, name: str) -> list[NamedQuota]:
        found = self._quotas.get(name)
        if found is None:
            raise Refused(404, "no-quota", f"this policy has no quota `{name}`")
        return found

    def _of(self, quota: NamedQuota) -> Ledger:
        return self._ledger.machine if quota.here else self._ledger

    async def _found(self, arguments: dict[str, Any], also_unused: bool = False) -> list[_Place]:
        """What has been used of a key now. Raises Refused where there is nothing."""
        places: list[_Place] = []
        unused: list[_Place] = []
        for quota in self._named(arguments["name"]):
            for place in self._places(quota, self._key(quota, arguments), arguments.get("unit")):
                record, _ = await place.ledger.look(place.period.unit, place.name)
                (unused if record is NOTHING else places).append(place)
        if places or (also_unused and len(unused) == 1):
            return places or unused
        if also_unused and unused:
            raise Refused(404, "nothing-used", "nothing was used by this key yet: say by which unit to count")
        raise Refused(404, "nothing-used", f"nothing was used of the quota `{arguments['name']}` by this key")

    def _places(self, quota: NamedQuota, key: bytes, unit: str | None) -> Iterator[_Place]:
        now = self._clock.wall()
        for each in quota.units if unit is None else [unit]:
            try:
                periods = dict.fromkeys(Calendar(each, zone).at(now) for zone in quota.zones)
            except ValueError as error:
                raise _bad(str(error)) from None
            for period in periods:
                yield _Place(quota, self._of(quota), key, period)

    def _period(self, quota: NamedQuota, unit: str, name: bytes) -> Period | None:
        """The period that it is now, if the record is of it."""
        start = int.from_bytes(name[-START_BYTES:], "big", signed=True)
        now = self._clock.wall()
        periods = (Calendar(unit, zone).at(now) for zone in quota.zones)
        return next((period for period in periods if period.start == start), None)

    @staticmethod
    def _key(quota: NamedQuota, arguments: dict[str, Any]) -> bytes:
        text, kind = arguments["key"], arguments["kind"]
        try:
            if kind == "hash":
                return quota.prefix + bytes.fromhex(text)
            value = parse_json(text.encode(), 400) if kind == "json" else text
            return (hashed(quota.prefix) if quota.private else prefixed(quota.prefix))(value)
        except (Failed, ValueError):
            raise _bad(f"the key is no {'digits of a hash' if kind == 'hash' else 'JSON that can be a key'}") from None

    async def _told(self, place: _Place) -> dict[str, Any]:
        record, held = await place.ledger.look(place.period.unit, place.name)
        shown, readable = spelled(place.key[PREFIX_BYTES:])
        spent = used(record, held)
        return {
            "name": place.quota.name, "key" if readable else "hash": shown, "unit": place.period.unit,
            "start": place.period.start, "end": place.period.end, "used": spent,
            # The limit is that of the last request that leased: none has yet, where there is none.
            "limit": record.limit or None, "left": max(0, record.limit - spent) if record.limit else None,
            "gateways": {gateway.hex(): share.units for gateway, share in record.shares.items()},
            "held_here": _free(held, record),
        }  # fmt: skip


def _free(held: Held | None, record: Record) -> int:
    return max(0, held.free) if held is not None and held.epoch == record.epoch else 0


def _whole(text: str) -> int:
    try:
        units = int(text)
    except ValueError:
        raise _bad(f"`{text}` is no whole number") from None
    if abs(units) > MOST_UNITS:
        raise _bad(f"`{text}` is too many")
    return units


def _bad(detail: str) -> Refused:
    return Refused(400, "bad-request", detail)
