"""What a worker does for the operator with the maps that live in the store; `runtime.admin.maps` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from policylang.sdk import Changed, Clock, Entries, Failed, SharedMap, settled
from policylang.sdk.parse import parse_json
from policylang.sdk.shared_map import packed, unpacked
from policylang.tree.map_keys import map_key, spelled
from runtime.admin.messages import Refused
from runtime.workers.answers import Answers

MOST = 1000
"""Entries of one answer."""
LARGEST = 1 << 20
"""Bytes of values in one answer; the first is given whatever it has."""


class MapAnswers:
    """`log` hears of changes."""

    def __init__(self, entries: Entries, clock: Clock, log: Callable[[str], None]) -> None:
        self._entries = entries
        self._clock = clock
        self._log = log
        self._maps: dict[str, SharedMap] = {}

    def serve(self, maps: Iterable[SharedMap]) -> None:
        """Those of the policy that is served from now on."""
        self._maps = {one.name: one for one in maps}

    def give(self, answers: Answers) -> None:
        for what, answerer in (
            ("list", self._list), ("page", self._page), ("show", self._show), ("set", self._set),
            ("remove", self._remove),
        ):  # fmt: skip
            answers.give(f"map.{what}", answerer)

    async def _list(self, arguments: dict[str, Any]) -> Any:
        return {
            "maps": [
                {"name": one.name, "ttl": one.ttl, "max_entry": one.largest, "private": one.private}
                for one in self._maps.values()
            ]
        }

    async def _page(self, arguments: dict[str, Any]) -> Any:
        where = self._where(arguments)
        try:
            after = bytes.fromhex(arguments.get("after", ""))
            count = min(int(arguments.get("count", MOST)), MOST)
        except ValueError:
            raise _bad("`after` is the `next` of the page before, `count` a number") from None
        if count < 1:
            raise _bad("`count` is a number from 1")
        found = await settled(self._entries.scan(where.space, after, count))
        told: list[dict[str, Any]] = []
        size = 0
        for key, entry in found:
            size += len(entry)
            if told and size > LARGEST:
                break
            told.append(_told(where, key, entry))
        more = len(told) < len(found) or len(found) == count
        return {"entries": told, "next": found[len(told) - 1][0].hex() if more and told else None}

    async def _show(self, arguments: dict[str, Any]) -> Any:
        where, key = self._place(arguments)
        entry = await settled(self._entries.read(where.space, key))
        if entry is None:
            raise Refused(404, "no-entry", f"the map `{where.name}` has no such entry")
        return _told(where, key, entry)

    async def _set(self, arguments: dict[str, Any]) -> Any:
        where, key = self._place(arguments)
        try:
            value = parse_json(arguments["value"].encode(), 422)
        except Failed as failed:
            raise Refused(422, "no-json", f"the value is {failed.failure.detail}") from None
        data = orjson.dumps(value) if not _long(value) else arguments["value"].strip().encode()
        if value is None:
            raise Refused(422, "no-value", "`null` is no value of an entry: remove it")
        if len(data) > where.largest:
            detail = f"an entry of the map `{where.name}` has at most {where.largest} bytes"
            raise Refused(413, "entry-too-large", detail)
        try:
            seconds = min(float(arguments.get("ttl", where.ttl)), where.ttl)
        except ValueError:
            seconds = 0.0
        if not seconds > 0:
            raise _bad("`ttl` is a number of seconds above 0")
        entry = packed(data, self._clock.wall() + seconds)
        await settled(self._entries.update(where.space, key, lambda before: Changed(None, entry, seconds)))
        self._log(f"the operator has set an entry of the map `{where.name}`")
        return {}

    async def _remove(self, arguments: dict[str, Any]) -> Any:
        where, key = self._place(arguments)
        there = await settled(
            self._entries.update(where.space, key, lambda before: Changed(before is not None, None))
        )
        self._log(f"the operator has removed an entry of the map `{where.name}`")
        return {"removed": there}

    def _where(self, arguments: dict[str, Any]) -> SharedMap:
        found = self._maps.get(arguments["name"])
        if found is None:
            raise Refused(404, "no-map", f"no map `{arguments['name']}` of this policy lives in the store")
        return found

    def _place(self, arguments: dict[str, Any]) -> tuple[SharedMap, bytes]:
        where, text, kind = self._where(arguments), arguments["key"], arguments["kind"]
        try:
            if kind == "hash":
                return where, bytes.fromhex(text)
            return where, map_key(where, parse_json(text.encode(), 400) if kind == "json" else text)
        except (Failed, ValueError):
            raise _bad(f"the key is no {'digits of a hash' if kind == 'hash' else 'JSON that can be a key'}") from None


def _told(where: SharedMap, key: bytes, entry: bytes) -> dict[str, Any]:
    """`value` as JSON text, as not all of its numbers survive every reader; left out where it is private."""
    shown, readable = spelled(key)
    data, until = unpacked(entry)
    told: dict[str, Any] = {"key" if readable else "hash": shown, "until": until}
    if not where.private:
        told["value"] = data.decode()
    return told


def _long(value: Any) -> bool:
    """Whether it holds a number that orjson does not write."""
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def _bad(detail: str) -> Refused:
    return Refused(400, "bad-request", detail)
