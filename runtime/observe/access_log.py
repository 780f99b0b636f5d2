"""The access log: one JSON object a line for each answer, put together from prebuilt bytes.

Fields, in this order: `time` (when the request began, RFC 3339), `duration` and of it `upstream_duration` and
`own_duration` (seconds), `client`, `method`, `host`, `path` (as it came, without the query), `protocol`, `status`,
`received` and `sent` (body bytes), `service`, `route` (the service's path pattern), `policy` (its hash), `user`,
`request` (its id), `failure`, `assertion`, `file`, `line`, `verdict` (a list of `assertion`, `file`, `line`, `outcome`,
and `failure` where it failed), `cut` (the names of fields that were too long). What is unknown is left out. Nothing of
a message but method, host and path is ever written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from policylang.sdk import Exchange, Failure
from runtime.observe.sink import PIPE_BATCH, Sink

MAX_LINE = min(4096, PIPE_BATCH)
_AWKWARD = re.compile("[\x7f-\x9f\u2028\u2029]")
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
        self._stamp = b""

    def for_policy(self, hash: str, routes: Mapping[str, str]) -> PolicyLog:
        """`routes`: a service's name -> what to call its route."""
        return PolicyLog(self, hash, routes)

    def refused(self, client: str, status: int, failure: str) -> None:
        """A request that the wire rules refused before there was an exchange."""
        self.sink.write(
            b'{"time":"%b","client":%b,"status":%d,"failure":%b}\n'
            % (self.stamp(self.wall()), encoded(client), status, encoded(failure[:128]))
        )

    def stamp(self, wall: float) -> bytes:
        second = int(wall)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (self._stamp, int((wall - second) * 1000))

    def _lost_lines(self, count: int) -> bytes:
        return b'{"time":"%b","lost_lines":%d}\n' % (self.stamp(self.wall()), count)


class PolicyLog:
    """The log as one compiled policy writes it: its hash, services and places are encoded once."""

    def __init__(self, log: AccessLog, hash: str, routes: Mapping[str, str]) -> None:
        self._log = log
        self._wall = log.wall
        self._write = log.sink.write
        policy = b',"policy":' + encoded(hash)
        self._services = {
            name: b',"service":%b,"route":%b%b' % (encoded(name), encoded(route), policy)
            for name, route in routes.items()
        }
        self._no_service = policy
        self._protocols = {version: encoded(f"HTTP/{version}") for version in ("1.0", "1.1", "2")}
        # Places live as long as the policy's tree, which this log does not outlive; the value keeps the id taken.
        self._places: dict[int, tuple[bytes, bytes, Place]] = {}

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
    ) -> None:
        """One line. `received` and `sent`: body bytes; `ended`: monotonic ns; `upstream`: ns spent waiting for it.

        `method`, `path` and `host` as they came, where the policy may have changed them since.
        """
        request = exchange.request
        duration = ended - exchange.started
        head = b'{"time":"%b","duration":%.6f,"upstream_duration":%.6f,"own_duration":%.6f' % (
            self._log.stamp(self._wall() - duration / 1e9), duration / 1e9, upstream / 1e9, (duration - upstream) / 1e9,
        )  # fmt: skip
        user = exchange.user
        failure = exchange.failure
        journal = exchange.journal
        texts = (exchange.client.ip, method or request.method, host or request.host, path or request.path)
        middle = b',"protocol":%b,"status":%d,"received":%d,"sent":%d%b' % (
            self._protocols.get(request.version) or encoded(f"HTTP/{request.version}"), status, received, sent,
            self._services.get(exchange.service) or self._no_service,
        )  # fmt: skip
        try:
            line = b'%b,"client":%b,"method":%b,"host":%b,"path":%b%b%b,"request":%b%b%b}\n' % (
                head, _dumps(texts[0]), _dumps(texts[1]), _dumps(texts[2]), _dumps(texts[3]), middle,
                b"" if user is None else b',"user":' + _dumps(user.id), _dumps(request.id),
                b"" if failure is None else _failed(failure), self._verdict(journal) if journal else b"",
            )  # fmt: skip
            if len(line) <= MAX_LINE and line.isascii() and b"\x7f" not in line:
                self._write(line)
                return
        except TypeError:
            pass  # a lone surrogate, which orjson refuses
        self._write(self._careful(head, texts, middle, exchange))

    def _verdict(self, journal: list[Any]) -> bytes:
        places = self._places
        parts = []
        for place, outcome in journal:
            known = places.get(id(place)) or self._place(place)
            parts.append(known[0] if outcome is None else known[1] + _outcome(outcome))
        return b',"verdict":[%b]' % b",".join(parts)

    def _place(self, place: Place) -> tuple[bytes, bytes, Place]:
        start = b'{"assertion":%b,"file":%b,"line":%d,"outcome":' % (
            encoded(place.name[:128]), encoded(place.file[-256:]), place.line,
        )  # fmt: skip
        known = self._places[id(place)] = (start + b'"passed"}', start, place)
        return known

    def _careful(self, head: bytes, texts: tuple[str, ...], middle: bytes, exchange: Exchange) -> bytes:
        """The same line with nothing awkward in it and long fields cut, harder until it is short enough."""
        request, user, failure, journal = exchange.request, exchange.user, exchange.failure, exchange.journal
        fields = dict(zip(("client", "method", "host", "path"), texts, strict=True))
        if user is not None:
            fields["user"] = user.id
        fields["request"] = request.id
        entries = [self._verdict([entry])[12:-1] for entry in journal or ()]
        for limit, room in ((2048, 2048), (512, 1024), (128, 768), (32, 256)):
            cut = [name for name, text in fields.items() if len(text) > limit]
            parts = [head]
            parts += [b',"%b":%b' % (name.encode(), encoded(text[:limit])) for name, text in fields.items()]
            parts.append(middle)
            if failure is not None:
                parts.append(_failed(failure))
            kept = _last(entries, room)
            if kept:
                parts.append(b',"verdict":[%b]' % b",".join(kept))
            if len(kept) < len(entries):
                cut.append("verdict")
            if cut:
                parts.append(b',"cut":' + _dumps(cut))
            line = b"".join(parts) + b"}\n"
            if len(line) <= MAX_LINE:
                return line
        # Only a service or file whose name is kilobytes long can still be in the way.
        return b'%b,"status":%d,"cut":["*"]}\n' % (head, failure.status if failure else 0)


def encoded(text: str) -> bytes:
    """A JSON string without any control character, DEL and C1 included; a lone surrogate reads `\\udc80`."""
    try:
        data = _dumps(text)
    except TypeError:
        data = _dumps(text.encode("utf-8", "backslashreplace").decode())
    if data.isascii() and b"\x7f" not in data:
        return data
    return _AWKWARD.sub(lambda found: f"\\u{ord(found.group()):04x}", data.decode()).encode()


def _failed(failure: Failure) -> bytes:
    line = b',"failure":' + encoded(failure.name[:128])
    if failure.assertion:
        line += b',"assertion":' + encoded(failure.assertion[:128])
    if failure.span is not None:
        line += b',"file":%b,"line":%d' % (encoded(failure.span.source.name[-256:]), failure.span.line)
    return line


def _outcome(outcome: Any) -> bytes:
    if isinstance(outcome, Failure):
        return b'"failed","failure":%b}' % encoded(outcome.name[:128])
    return encoded(str(outcome)) + b"}"


def _last(entries: list[bytes], room: int) -> list[bytes]:
    """As many of the last entries as fit: the end of the path says why."""
    kept: list[bytes] = []
    for entry in reversed(entries):
        room -= len(entry) + 1
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]
