"""`polgate map`: what an operator reads and writes of the maps that live in the store.

Exit: 0 fine, 1 refused (no such map or entry, a value that is no JSON), 2 usage, or nobody answers.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from runtime.admin.address import AdminAddress
from runtime.admin.client import NoAnswer, add_usual, ask
from runtime.admin.printed import NotGranted, run_printed

COMMAND = "map"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_HELP = {
    "name": "the map's, as the policy declares it", "key": "the entry's key, as text",
    "value": "JSON; `-` reads it from standard input",
}  # fmt: skip


def add_command(commands: Any) -> None:
    """`commands`: what `add_subparsers` gave."""
    command = commands.add_parser(
        COMMAND, help="read and write the maps in the store",
        description="Read and write the maps of a running gateway that live in its store.",
        epilog="exit: 0 fine, 1 refused, 2 nobody answers",
    )  # fmt: skip
    which = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, about, takes in (
        ("list", "show which maps there are", ()),
        ("show", "show an entry, or all", ("name", "?key")),
        ("set", "put an entry there", ("name", "key", "value")),
        ("remove", "remove an entry", ("name", "key")),
    ):
        action = which.add_parser(name, help=about, description=about.capitalize() + ".")
        for each in takes:
            word = each.lstrip("?")
            action.add_argument(word, nargs="?" if each != word else None, metavar=word.upper(), help=_HELP[word])
        if "key" in takes or "?key" in takes:
            kind = action.add_mutually_exclusive_group()
            kind.add_argument("--json-key", dest="kind", action="store_const", const="json", default="text",
                              help="KEY is JSON: a list, a number")  # fmt: skip
            kind.add_argument("--hash", dest="kind", action="store_const", const="hash",
                              help="KEY is what `show` prints of a key that is stored as a hash")  # fmt: skip
        if name == "set":
            action.add_argument("--ttl", metavar="TIME", help="how long it lives, as in 10m; left out: as the map says")
        add_usual(action)


def run(found: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return run_printed(found, environ, _lines)


def _lines(found: argparse.Namespace, address: AdminAddress, token: str) -> Iterator[str]:
    def asked(method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        return _asked(address, token, method, path, body)

    plain = found.format == "text"
    if found.action == "list":
        for one in asked("GET", "/maps")["maps"]:
            yield _of_map(one) if plain else json.dumps(one, ensure_ascii=False)
        return
    place = f"/maps/{quote(found.name, safe='')}"
    if found.action == "show" and found.key is None:
        after: str | None = ""
        while after is not None:
            page = asked("GET", f"{place}?after={after}")
            for entry in page["entries"]:
                yield _of_entry(entry) if plain else json.dumps(entry, ensure_ascii=False)
            after = page["next"]
        return
    query = {"key": found.kind}
    if found.action == "set" and found.ttl is not None:
        query["ttl"] = f"{_seconds(found.ttl):g}"
    place += f"/{quote(found.key, safe='')}?{urlencode(query)}"
    if found.action == "show":
        entry = asked("GET", place)
        yield _of_entry(entry) if plain else json.dumps(entry, ensure_ascii=False)
    elif found.action == "set":
        value = sys.stdin.buffer.read() if found.value == "-" else found.value.encode("utf-8", "surrogateescape")
        asked("PUT", place, value)
        yield "set" if plain else "{}"
    else:
        there = asked("DELETE", place)["removed"]
        yield ("removed" if there else "there was none") if plain else json.dumps({"removed": there})


def _asked(address: AdminAddress, token: str, method: str, path: str, body: bytes | None) -> dict[str, Any]:
    status, kind, answer = ask(address, method, path, token, body=body)
    try:
        said = json.loads(answer) if kind.endswith("json") else None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise NoAnswer("what answers there is no admin listener of polgate")
    if status != 200:
        raise NotGranted(said.get("detail") or f"{address} answered {status}")
    return said


def _seconds(text: str) -> float:
    for unit, seconds in _UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.isdecimal():
            return float(number) * seconds
    raise NotGranted(f"`{text}` is no time: write one such as 90s, 10m or 2h")


def _of_map(one: Mapping[str, Any]) -> str:
    private = ", private" if one["private"] else ""
    return f"{one['name']}  ttl {one['ttl']:g}s, entries of at most {one['max_entry']} bytes{private}"


def _of_entry(entry: Mapping[str, Any]) -> str:
    key = json.dumps(entry["key"], ensure_ascii=False) if "key" in entry else f"hash {entry['hash']}"
    value = json.dumps(entry["value"], ensure_ascii=False) if "value" in entry else "[private]"
    ends = datetime.fromtimestamp(max(entry["until"], time.time()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{key}  {value}  until {ends}"
