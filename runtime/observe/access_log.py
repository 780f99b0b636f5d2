"""The access log: one JSON object a line for each answer.

Fields, in this order: `time` (when the request began, RFC 3339), `duration` and of it `upstream_duration` and
`own_duration` (seconds), `client`, `method`, `host`, `path` (as it came, without the query), `protocol`, `status`,
`received` and `sent` (body bytes), `upstream` (the server that was asked last), `upstream_status`, `retries`,
`service`, `route` (the service's path pattern), `policy` (its hash), `user`, `request` (its id), `failure`,
`assertion`, `file`, `line`, `verdict` (a list of `assertion`, `file`, `line`, `outcome`, and `failure` where it
failed), `cut` (the names of fields that were too long). What is unknown is left out. Nothing of a message but method,
host and path is ever written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson
from orjson import Fragment

from policylang.sdk import Exchange, Failure
from runtime.observe.sink import PIPE_BATCH, Sink

MAX_LINE = min(4096, PIPE_BATCH)
_AWKWARD = re.compile("[\x7f-\x9f\u2028\u2029]")
_PROTOCOLS = {"1.1": "HTTP/1.1", "1.0": "HTTP/1.0"}
_NEW_LINE = orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps


class Place(Protocol):
    """Where a statement stands: what the journal's entries name."""

    @property
    def name(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...


class AccessLog:
    """Lines of every policy that this worker serves go to one sink; see PolicyLog for what is written."""

    def __init__(self, place: str | int, wall: Callable[[], float] = time.time, sink: Sink | None = None) -> None:
        self.sink = sink or Sink(place, self._lost_lines)
        self.wall = wall
        self._second = -1
        self._stamp = ""

    def for_policy(self, hash: str, routes: Mapping[str, str]) -> PolicyLog:
        """`routes`: a service's name -> what to call its route."""
        return PolicyLog(self, hash, routes)

    def refused(self, client: str, status: int, failure: str) -> None:
        """A request that the wire rules refused before there was an exchange."""
        record = {"time": self.stamp(self.wall()), "client": client, "status": status, "failure": failure}
        self.sink.write(careful_line(record))

    def stamp(self, wall: float) -> str:
        second = int(wall)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._stamp}.{int((wall - second) * 1000):03d}Z"

    def _lost_lines(self, count: int) -> bytes:
        return _dumps({"time": self.stamp(self.wall()), "lost_lines": count}, None, _NEW_LINE)


class PolicyLog:
    """The log as one compiled policy writes it: its places are encoded once."""

    def __init__(self, log: AccessLog, hash: str, routes: Mapping[str, str]) -> None:
        self._log = log
        self._wall = log.wall
        self._write = log.sink.write
        self._hash = hash
        self._routes = dict(routes)
        # By identity, which is quick; they are kept so that none of these ids is given to another object.
        self._passed: dict[int, Fragment] = {}
        self._places: list[Place] = []

    def write(
        self,
        exchange: Exchange,
        status: int,
        received: int,
        sent: int,
        ended: int,
        upstream: int = 0,
        *,
        method: str = "",
        path: str = "",
        host: str = "",
        server: str = "",
        answered: int = 0,
        retries: int = 0,
    ) -> None:
        """One line. `received` and `sent`: body bytes; `ended`: monotonic ns; `upstream`: ns spent waiting for it.

        `method`, `path` and `host` as they came, where the policy may have changed them since. `server`: the last one
        that was asked, `answered` the status that it gave, 0 for none.
        """
        request = exchange.request
        duration = ended - exchange.started
        record: dict[str, Any] = {
            "time": self._log.stamp(self._wall() - duration / 1e9),
            "duration": duration / 1e9,
            "upstream_duration": upstream / 1e9,
            "own_duration": (duration - upstream) / 1e9,
            "client": exchange.client.ip,
            "method": method or request.method,
            "host": host or request.host,
            "path": path or request.path,
            "protocol": _PROTOCOLS.get(request.version) or f"HTTP/{request.version}",
            "status": status,
            "received": received,
            "sent": sent,
        }
        if server:
            record["upstream"] = server
            if answered:
                record["upstream_status"] = answered
            if retries:
                record["retries"] = retries
        service = exchange.service
        route = self._routes.get(service)
        if route is not None:
            record["service"] = service
            record["route"] = route
        record["policy"] = self._hash
        if exchange.user is not None:
            record["user"] = exchange.user.id
        record["request"] = request.id
        if exchange.failure is not None:
            _add_failure(record, exchange.failure)
        journal = exchange.journal
        if journal:
            passed = self._passed
            record["verdict"] = [
                self._not_passed(place, outcome) if outcome is not None
                else passed.get(id(place)) or self._first_passed(place)
                for place, outcome in journal
            ]  # fmt: skip
        try:
            line = _dumps(record, None, _NEW_LINE)
            if len(line) <= MAX_LINE and line.isascii() and b"\x7f" not in line:
                self._write(line)
                return
        except TypeError:
            pass  # a lone surrogate, which orjson refuses
        self._write(careful_line(record))

    def _first_passed(self, place: Place) -> Fragment:
        self._places.append(place)
        passed = self._passed[id(place)] = Fragment(escaped(_dumps({**_spot(place), "outcome": "passed"})))
        return passed

    def _not_passed(self, place: Place, outcome: Any) -> dict[str, Any]:
        if isinstance(outcome, Failure):
            return {**_spot(place), "outcome": "failed", "failure": printable(outcome.name[:128])}
        return {**_spot(place), "outcome": str(outcome)}


def _spot(place: Place) -> dict[str, Any]:
    return {"assertion": printable(place.name[:128]), "file": printable(place.file[-256:]), "line": place.line}


def _add_failure(record: dict[str, Any], failure: Failure) -> None:
    record["failure"] = failure.name
    if failure.assertion:
        record["assertion"] = failure.assertion
    if failure.span is not None:
        record["file"] = failure.span.source.name
        record["line"] = failure.span.line


def careful_line(record: dict[str, Any]) -> bytes:
    """The same line with nothing awkward in it and long fields cut, harder until it is short enough."""
    texts = {name: printable(value) for name, value in record.items() if isinstance(value, str)}
    verdict = [_dumps(entry) for entry in record.get("verdict", ())]
    for limit, room in ((2048, 2048), (512, 1024), (128, 768), (16, 64)):
        cut = [name for name, text in texts.items() if len(text) > limit]
        shorter = record | {name: text[:limit] for name, text in texts.items()}
        kept = _last(verdict, room)
        if kept:
            shorter["verdict"] = [Fragment(entry) for entry in kept]
        if len(kept) < len(verdict):
            cut.append("verdict")
            if not kept:
                del shorter["verdict"]
        if cut:
            shorter["cut"] = cut
        line = escaped(_dumps(shorter, None, _NEW_LINE))
        if len(line) <= MAX_LINE:
            return line
    raise AssertionError("sixteen characters a field cannot fill a line")


def printable(text: str) -> str:
    """A lone surrogate, which no encoding has, reads `\\udc80`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def escaped(line: bytes) -> bytes:
    """JSON without any control character: DEL and C1 need no escape there, but a terminal may obey them."""
    if line.isascii() and b"\x7f" not in line:
        return line
    return _AWKWARD.sub(lambda found: f"\\u{ord(found.group()):04x}", line.decode()).encode()


def _last(entries: list[bytes], room: int) -> list[bytes]:
    """As many of the last entries as fit: the end of the path says why."""
    kept: list[bytes] = []
    for entry in reversed(entries):
        room -= len(entry) + 1
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]
