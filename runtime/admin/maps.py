"""The maps that live in the store, for the operator: listed, read and written by way of one worker.

    GET /maps                      all of them
    GET /maps/NAME?after=&count=   its entries, at most 1,000 a time; `after`: the `next` of the page before
    GET, PUT, DELETE /maps/NAME/KEY?key=text|json|hash&ttl=SECONDS
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from runtime.admin.messages import JSON, Answer, Refused, Request
from runtime.admin.operated import Operated

TIMEOUT = 5.0
"""Seconds that a worker has for its answer."""
METHODS = {"GET": "show", "HEAD": "show", "PUT": "set", "DELETE": "remove"}


class MapPages:
    def __init__(self, operated: Operated) -> None:
        self._operated = operated

    def answer(self, request: Request) -> Callable[[], Answer]:
        """What asks a worker. Raises Refused."""
        what, arguments = question(request)
        if what in ("map.set", "map.remove") and self._operated.status()["draining"]:
            raise Refused(409, "draining", "the gateway is ending")

        def work() -> Answer:
            found = self._operated.ask(what, arguments, TIMEOUT)
            for entry in [*found.get("entries", ()), found]:
                if "value" in entry:
                    entry["value"] = json.loads(entry["value"])
            return Answer(200, JSON, json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

        return work


def question(request: Request) -> tuple[str, dict[str, Any]]:
    """What to ask a worker, and with which arguments. Raises Refused."""
    raw_name, slash, raw_key = request.path.removeprefix("/maps").removeprefix("/").partition("/")
    try:
        query = dict(parse_qsl(request.query, strict_parsing=True, errors="strict") if request.query else ())
        name, key = unquote(raw_name, errors="strict"), unquote(raw_key, errors="strict") if slash else None
    except ValueError:
        raise Refused(400, "bad-request", "the path or the query is not encoded in the usual way") from None
    if key is None:
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "method-not-allowed", f"`{request.path}` takes GET, HEAD", ("Allow", "GET, HEAD"))
        return ("map.page", {"name": name, **_some(query, "after", "count")}) if name else ("map.list", {})
    what = METHODS.get(request.method)
    if what is None:
        allowed = ", ".join(METHODS)
        raise Refused(405, "method-not-allowed", f"`{request.path}` takes {allowed}", ("Allow", allowed))
    arguments: dict[str, Any] = {"name": name, "key": key, **_some(query, "ttl"), "kind": query.get("key", "text")}
    if what == "set":
        try:
            arguments["value"] = request.body.decode()
        except UnicodeDecodeError:
            raise Refused(422, "no-json", "the value is not UTF-8") from None
    return f"map.{what}", arguments


def _some(query: dict[str, str], *names: str) -> dict[str, str]:
    return {name: query[name] for name in names if name in query}
