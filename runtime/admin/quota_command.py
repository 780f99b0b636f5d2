"""`polgate quota`: what an operator reads and changes of quotas.

Exit: 0 fine, 1 refused (no such quota, nothing used by a key), 2 usage, or nobody answers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from runtime.admin.address import AdminAddress
from runtime.admin.client import add_usual, ask, document_of
from runtime.admin.printed import NotGranted, run_printed

COMMAND = "quota"
_ACTIONS = (
    ("list", "show which quotas there are", ()),
    ("show", "show what one key has used, or all", ("name", "?key")),
    ("reset", "let a key begin its period anew", ("name", "key")),
    ("set", "say how much a key has used", ("name", "key", "units")),
    ("add", "let a key use so much more in this period", ("name", "key", "units")),
)


def add_command(commands: Any) -> None:
    """`commands`: what `add_subparsers` gave."""
    command = commands.add_parser(
        COMMAND, help="read and change what quotas have counted",
        description="Read and change what the quotas of a running gateway have counted.",
        epilog="exit: 0 fine, 1 refused, 2 nobody answers",
    )  # fmt: skip
    which = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, about, takes in _ACTIONS:
        action = which.add_parser(name, help=about, description=about.capitalize() + ".")
        for each in takes:
            word = each.lstrip("?")
            kind = int if word == "units" else str
            action.add_argument(word, nargs="?" if each != word else None, metavar=word.upper(), type=kind)
        if takes:
            how = action.add_mutually_exclusive_group()
            how.add_argument("--json-key", dest="kind", action="store_const", const="json", default="text",
                             help="KEY is JSON: a list, a number")  # fmt: skip
            how.add_argument("--hash", dest="kind", action="store_const", const="hash",
                             help="KEY is what `show` prints of a key that is kept as a hash")  # fmt: skip
            action.add_argument("--unit", help="which period, where a key counts by several: s, min, hour, day, month")
        add_usual(action)


def run(found: argparse.Namespace, environ: Mapping[str, str]) -> int:
    return run_printed(found, environ, _lines)


def _lines(found: argparse.Namespace, address: AdminAddress, token: str) -> Iterator[str]:
    plain = found.format == "text"
    for one in _entries(found, address, token):
        yield (_of_quota(one) if found.action == "list" else _of_entry(one)) if plain else json.dumps(
            one, ensure_ascii=False
        )


def _entries(found: argparse.Namespace, address: AdminAddress, token: str) -> Iterator[dict[str, Any]]:
    if found.action == "list":
        yield from _asked(address, token, "GET", "/quotas")["quotas"]
        return
    place = f"/quotas/{quote(found.name, safe='')}"
    if found.action == "show" and found.key is None:
        after: str | None = "0."
        while after is not None:
            page = _asked(address, token, "GET", f"{place}?after={after}")
            yield from page["entries"]
            after = page["next"]
        return
    query = {"key": found.kind, **({"unit": found.unit} if found.unit else {})}
    if found.action != "show":
        query["add" if found.action == "add" else "used"] = "0" if found.action == "reset" else str(found.units)
    method = "GET" if found.action == "show" else "POST"
    yield from _asked(address, token, method, f"{place}/{quote(found.key, safe='')}?{urlencode(query)}")["entries"]


def _asked(address: AdminAddress, token: str, method: str, path: str) -> dict[str, Any]:
    status, kind, body = ask(address, method, path, token)
    said = document_of(kind, body)
    if status != 200:
        raise NotGranted(said.get("detail") or f"{address} answered {status}")
    return said


def _of_quota(one: Mapping[str, Any]) -> str:
    scope = ", of each machine" if one["scope"] == "node" else ""
    private = ", keys hashed" if one["private"] else ""
    return f"{one['name']}  by {', '.join(one['units'])} in {', '.join(one['zones'])}{scope}{private}"


def _of_entry(one: Mapping[str, Any]) -> str:
    key = json.dumps(one["key"], ensure_ascii=False) if "key" in one else f"hash {one['hash']}"
    ends = datetime.fromtimestamp(one["end"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    held = f", {one['held_here']} more taken in advance here" if one["held_here"] else ""
    limit = "" if one["limit"] is None else f" of {one['limit']}"
    return f"{key}  {one['used']}{limit} used in this {one['unit']}{held}, until {ends}"
