"""What the assertions on maps have in common: how a key and a value are written."""

from __future__ import annotations

from typing import Any

from assertions.functions.encoding import dump_json
from policylang.sdk import Duration, Exchange, Failed, Failure, Kind, SharedMap, missing_value, wrong_type
from policylang.sdk.parse import parse_json
from policylang.sdk.shared_map import packed, unpacked

TOO_LARGE = {"entry-too-large": 413}
_PREFIX = 8
"""Bytes of a key that name its counter: all keys of a map have the same, and a space of their own."""


def entry_key(key: bytes) -> bytes:
    return key[_PREFIX:]


def written(exchange: Exchange, where: SharedMap, value: Any, ttl: Duration | None) -> tuple[bytes, float]:
    """An entry as it is stored, and the seconds that it lives. Raises Failed."""
    if value is None:
        raise missing_value("`value` is `none`")
    data = dump_json(value)
    if len(data) > where.largest:
        detail = f"an entry of the map `{where.name}` has at most {where.largest} bytes"
        raise Failed(Failure("entry-too-large", 413, detail, kind=Kind.ERROR))
    seconds = lasts(where, ttl)
    return packed(data, exchange.environment.clock.wall() + seconds), seconds


def lasts(where: SharedMap, ttl: Duration | None) -> float:
    """The seconds that an entry lives. Raises Failed for a time that is none."""
    if ttl is None:
        return where.ttl
    if ttl.seconds <= 0:
        raise wrong_type("`ttl` is not longer than 0s")
    return min(ttl.seconds, where.ttl)


def value_of(entry: bytes) -> Any:
    return parse_json(unpacked(entry)[0], 500)


def too_long(ttl: Any, where: Any) -> str | None:
    """A sentence for the author of a `ttl` that the map cannot keep."""
    if not isinstance(ttl, Duration) or not isinstance(where, SharedMap):
        return None
    if ttl.seconds <= 0:
        return "`ttl` must be longer than `0s`"
    if ttl.seconds > where.ttl:
        return f"`ttl` is longer than the map's own, {Duration(where.ttl)}"
    return None
