"""The access log: one JSON object a line for each answer.

Fields, in this order: `time` (when the request began, RFC 3339), `duration` and of it `upstream_duration` and
`own_duration` (seconds), `client`, `method`, `host`, `path` (as it came, without the query), `protocol`, `status`,
`received` and `sent` (body bytes), `upstream` (the server that was asked last), `upstream_status`, `retries`,
`cache` (what a `cache` has made of it: `hit`, `stored`, `miss`, `collapsed`, `bypass`, `method`),
`service`, `route` (the service's path pattern), `policy` (its hash), `user`, `tls` (its version), `server_name` (that
the client asked for), `limits` (those that were asked: `name`, `limit`, `remaining`, and an `outcome` that is not the
usual one: `exceeded` and let through, `alone` or `uncounted` while the store was away), `request` (its id), `trace`
(the id in its `traceparent`), `failure`, `reason` (what the caller is not told of it), `assertion`, `file`, `line`,
`verdict` (a list of `assertion`, `file`, `line`, `outcome`, and `failure` where it failed), `cut` (the names of fields
that were too long). What is unknown is left out. Nothing of a message but method, host, path and these ids is ever
written.

A line is written in one of two ways that say the same: `line` puts the usual one together from parts that were made
before, `write` takes care of whatever is long or awkward.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from orjson import Fragment

from policylang.sdk import Exchange, Failure
from policylang.sdk.limits_told import UNCOUNTED, Told
from runtime.observe.sink import PIPE_BATCH, Sink

if TYPE_CHECKING:
    from runtime.edge.request import Trace
    from runtime.wire.request import RequestHead

MAX_LINE = min(4096, PIPE_BATCH)
USUAL_TAIL: Final = 2048
"""Bytes of a verdict in a line that needs no care."""
USUAL_TEXT: Final = 1024
"""Characters of all that clients choose, the same."""
USUAL_LIMITS: Final = 512
"""Characters of its limits, the same."""
MOST_FAILURES: Final = 1024
"""Failures whose text is kept."""
SECOND: Final = 1_000_000_000
CLOCK_READ: Final = 50_000_000
"""Nanoseconds after which the wall clock is read anew; between, it goes as the monotonic one."""
_AWKWARD = re.compile("[\x7f-\x9f\u2028\u2029]")
PROTOCOLS: Final = {"1.1": "HTTP/1.1", "1.0": "HTTP/1.0"}
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
        self._read = -CLOCK_READ
        self._offset = 0

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

    def began(self, started: int, ended: int) -> str:
        """The stamp of an exchange that began at `started` and has ended just now, in monotonic ns."""
        if not 0 <= ended - self._read < CLOCK_READ:
            self._read = ended
            self._offset = int(self.wall() * 1e6) * 1000 - ended
        second, rest = divmod(started + self._offset, SECOND)
        if second != self._second:
            self.stamp(second)
        return f"{self._stamp}{_MILLISECONDS[rest // 1_000_000]}"

    def _lost_lines(self, count: int) -> bytes:
        return _dumps({"time": self.stamp(self.wall()), "lost_lines": count}, None, _NEW_LINE)


class PolicyLog:
    """The log as one compiled policy writes it: its places are encoded once."""

    def __init__(self, log: AccessLog, hash: str, routes: Mapping[str, str]) -> None:
        self._log = log
        self._write = log.sink.write
        self._hash = hash
        self._routes = dict(routes)
        # By identity, which is quick; they are kept so that none of these ids is given to another object.
        self._passed: dict[int, Fragment] = {}
        self._places: list[Place] = []
        self._failures: dict[tuple[str, str, str, int], tuple[Any, str]] = {}

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
        trace: Trace | None = None,
    ) -> None:
        """One line. `received` and `sent`: body bytes; `ended`: monotonic ns; `upstream`: ns spent waiting for it.

        `method`, `path` and `host` as they came, where the policy may have changed them since.
        """
        request = exchange.request
        duration = ended - exchange.started
        own = max(0, duration - upstream)  # two servers may have been waited for at a time
        record: dict[str, Any] = {
            "time": self._log.began(exchange.started, ended),
            "duration": duration / 1e9,
            "upstream_duration": upstream / 1e9,
            "own_duration": own / 1e9,
            "client": exchange.client.ip,
            "method": method or request.method,
            "host": host or request.host,
            "path": path or request.path,
            "protocol": PROTOCOLS.get(request.version) or f"HTTP/{request.version}",
            "status": status,
            "received": received,
            "sent": sent,
        }
        if trace is not None and trace.server:
            record["upstream"] = trace.server
            if trace.status:
                record["upstream_status"] = trace.status
            if trace.attempts > 1:
                record["retries"] = trace.attempts - 1
        service = exchange.service
        if trace is not None and trace.cache:
            record["cache"] = trace.cache
        route = self._routes.get(service)
        if route is not None:
            record["service"] = service
            record["route"] = route
        record["policy"] = self._hash
        if exchange.user is not None:
            record["user"] = exchange.user.id
        peer = trace.peer if trace is not None else None
        if peer is not None and peer.tls:
            record["tls"] = peer.tls
            if peer.server_name:
                record["server_name"] = peer.server_name
        if exchange.limits is not None:
            record["limits"] = [Fragment(_limit(told)) for told in exchange.limits]
        record["request"] = request.id
        if trace is not None and trace.trace_id:
            record["trace"] = trace.trace_id
        if exchange.failure is not None:
            _add_failure(record, exchange.failure)
        journal = exchange.journal
        if journal:
            record["verdict"] = [self._entry(place, outcome) for place, outcome in journal]
        try:
            line = _dumps(record, None, _NEW_LINE)
            if len(line) <= MAX_LINE and line.isascii() and b"\x7f" not in line:
                self._write(line)
                return
        except TypeError:
            pass  # a lone surrogate, which orjson refuses
        self._write(careful_line(record))

    # --- the usual line ---

    def line(
        self, exchange: Exchange, status: int, received: int, sent: int, ended: int, upstream: int, own: int,
        head: RequestHead, host: str, before: str, middle: str, after: str, tail: str | None,
    ) -> None:  # fmt: skip
        """As `write`. `before`, `middle`, `after`: from `texts`; `tail`: of the exchange's journal."""
        request: Any = exchange.request
        trace: Trace = request.trace
        started = exchange.started
        duration = ended - started
        path = head.path.decode("latin-1")
        if tail is not None and duration < SECOND and upstream < SECOND:
            ids = request.id
            free = f"{host}{path}{ids}"
            more = ""
            if exchange.user is not None:
                user = exchange.user.id
                free += user
                more = f',"user":"{user}"'
            peer = trace.peer
            if peer is not None and peer.tls:
                more += f',"tls":"{peer.tls}"'
                if peer.server_name:
                    free += peer.server_name
                    more += f',"server_name":"{peer.server_name}"'
            limits = exchange.limits
            if limits is not None:
                told = limits[0]
                if len(limits) == 1 and not told[3]:
                    more += f',"limits":[{told[0].logged}{told[1]}}}]'
                else:
                    more += f',"limits":[{",".join([_limit(told) for told in limits])}]'
            if trace.trace_id:
                ids += f'","trace":"{trace.trace_id}'
            if (
                free.isascii() and free.isprintable() and '"' not in free and "\\" not in free
                and len(free) <= USUAL_TEXT and len(more) <= USUAL_TEXT + USUAL_LIMITS
            ):  # fmt: skip
                if exchange.failure is not None:
                    tail = self._failure(exchange.failure) + tail
                times = _TIMES % (duration, upstream, own)
                self._write(
                    f'{{"time":"{self._log.began(started, ended)}{times}{exchange.client.ip}{before}{host}'
                    f'","path":"{path}{middle}{received},"sent":{sent}{after}{more},"request":"{ids}"{tail}'.encode()
                )
                return
        self.write(
            exchange, status, received, sent, ended, upstream, method=head.method, path=path, host=host, trace=trace
        )

    def texts(
        self, service: str, method: str, protocol: str, status: int, server: str, answered: int, retries: int,
        cache: str = "",
    ) -> tuple[str, str, str]:  # fmt: skip
        """What of a line all exchanges of a service that end in one way have in common."""
        after: dict[str, Any] = {}
        if server:
            after["upstream"] = server
            if answered:
                after["upstream_status"] = answered
            if retries > 0:
                after["retries"] = retries
        if cache:
            after["cache"] = cache
        route = self._routes.get(service)
        if route is not None:
            after |= {"service": service, "route": route}
        after["policy"] = self._hash
        return (
            f'","method":{_text(method)},"host":"',
            f'","protocol":{_text(protocol)},"status":{status},"received":',
            "," + _text(after)[1:-1],
        )

    def tail(self, journal: list[Any]) -> str | None:
        """The end of a line, with the verdict; None where it is too long."""
        if not journal:
            return "}\n"
        text = f',"verdict":{_text([self._entry(place, outcome) for place, outcome in journal])}}}\n'
        return text if len(text) <= USUAL_TAIL else None

    def _failure(self, failure: Failure) -> str:
        span = failure.span
        key = (failure.name, failure.reason, failure.assertion, id(span))
        known = self._failures.get(key)
        if known is None:
            record: dict[str, Any] = {}
            _add_failure(record, failure)
            if len(self._failures) >= MOST_FAILURES:
                self._failures.clear()
            short = {name: value[:256] if isinstance(value, str) else value for name, value in record.items()}
            known = self._failures[key] = span, "," + _text(short)[1:-1]  # with the span, which keeps its identity
        return known[1]

    # --- parts ---

    def _entry(self, place: Place, outcome: Any) -> Any:
        if outcome is not None:
            return self._not_passed(place, outcome)
        return self._passed.get(id(place)) or self._first_passed(place)

    def _first_passed(self, place: Place) -> Fragment:
        self._places.append(place)
        passed = self._passed[id(place)] = Fragment(escaped(_dumps({**_spot(place), "outcome": "passed"})))
        return passed

    def _not_passed(self, place: Place, outcome: Any) -> dict[str, Any]:
        if isinstance(outcome, Failure):
            return {**_spot(place), "outcome": "failed", "failure": printable(outcome.name[:128])}
        return {**_spot(place), "outcome": str(outcome)}


_MILLISECONDS: Final = tuple(f".{number:03d}Z" for number in range(1000))
_TIMES: Final = '","duration":0.%09d,"upstream_duration":0.%09d,"own_duration":0.%09d,"client":"'


def _text(value: Any) -> str:
    """JSON with nothing awkward in it, and ASCII alone."""
    if isinstance(value, str):
        value = printable(value)
    elif isinstance(value, dict):
        value = {name: printable(one) if isinstance(one, str) else one for name, one in value.items()}
    text = escaped(_dumps(value)).decode()
    return text if text.isascii() else "".join(one if one < "\x7f" else _unicode(one) for one in text)


def _unicode(one: str) -> str:
    code = one.encode("utf-16-be")
    return "".join(f"\\u{code[at]:02x}{code[at + 1]:02x}" for at in range(0, len(code), 2))


def _spot(place: Place) -> dict[str, Any]:
    return {"assertion": printable(place.name[:128]), "file": printable(place.file[-256:]), "line": place.line}


def _limit(told: Told) -> str:
    """As JSON: a limit's name needs no escape."""
    policy, remaining, _, word = told
    if not word:
        return f"{policy.logged}{remaining}}}"
    return f'{policy.logged}{"null" if word is UNCOUNTED else remaining},"outcome":"{word}"}}'


def _add_failure(record: dict[str, Any], failure: Failure) -> None:
    record["failure"] = failure.name
    if failure.reason:
        record["reason"] = failure.reason
    if failure.assertion:
        record["assertion"] = failure.assertion
    if failure.span is not None:
        record["file"] = failure.span.source.name
        record["line"] = failure.span.line


def careful_line(record: dict[str, Any]) -> bytes:
    """The same line with nothing awkward in it and long fields cut, harder until it is short enough."""
    texts = {name: printable(value) for name, value in record.items() if isinstance(value, str)}
    lists = {name: [_dumps(entry) for entry in record.get(name, ())] for name in ("limits", "verdict")}
    for limit, room in ((2048, 2048), (512, 1024), (128, 768), (16, 64)):
        cut = [name for name, text in texts.items() if len(text) > limit]
        shorter = record | {name: text[:limit] for name, text in texts.items()}
        for name, entries in lists.items():
            kept = _last(entries, room if name == "verdict" else room // 4)
            if kept:
                shorter[name] = [Fragment(entry) for entry in kept]
            if len(kept) < len(entries):
                cut.append(name)
                if not kept:
                    del shorter[name]
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
