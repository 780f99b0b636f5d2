"""What may stand in `upstream NAME { … }`: one class a setting, read by checker, runtime and docs alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from policylang.check.setting import Setting, positive, share, whole
from policylang.sdk import Duration, Expr, Key, param

_PATH = re.compile(r"/[!-~]*")


class Server(Setting):
    """A server of the upstream. May stand several times.

    A name is resolved again when its DNS record expires. With `https://` the server is spoken to over TLS, see `tls`. A
    `backup` gets requests only while none of the others can take them.

        server "http://10.0.0.1:9000", weight: 2
    """

    name: ClassVar[str] = "server"
    several: ClassVar[bool] = True
    needed: ClassVar[bool] = True

    url: str = param("Its address: `http://host:port` or `https://host:port`.", positional=True)
    weight: int = param("Its share, beside the weights of the others.", default="1")
    backup: bool = param("Whether it waits until the others are away.", default="false")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        url = constants.get("url")
        wrong = wrong_server(url) if isinstance(url, str) else None
        return wrong or whole("weight", constants, 1, 65_535)


class Balance(Setting):
    """How requests are shared among the servers.

    `round_robin` gives each its weight in turn; `least_connections` prefers who has the least to do for its weight;
    `latency` takes the faster of two drawn at random; `hash` sends what is equal in `on:` to the same server, and moves
    few of them when a server comes or goes.

        balance hash, on: client.ip
    """

    name: ClassVar[str] = "balance"

    how: Literal["round_robin", "least_connections", "latency", "hash"] = param(
        "The way.", positional=True, default="round_robin"
    )
    on: Expr[Key] | None = param("What `hash` looks at: of the request, its client or user.", default=None)


class Health(Setting):
    """Ask every server again and again whether it is well.

    After `fall` wrong answers in a row it gets no more requests, after `rise` right ones it is back.

        health "/healthz", every: 5s
    """

    name: ClassVar[str] = "health"
    left_out: ClassVar[bool] = False

    path: str = param("What is asked for, with GET.", positional=True)
    every: Duration = param("How often.", default="5s")
    timeout: Duration = param("How long an answer may take.", default="2s")
    rise: int = param("Right answers in a row that bring a server back.", default="2")
    fall: int = param("Wrong ones in a row that take it out.", default="3")
    status: int | range = param("The right status, or a range of them.", default="200..299")
    host: str | None = param("The Host to ask for; left out: the server's own.", default=None)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        path = constants.get("path")
        if isinstance(path, str) and not _PATH.fullmatch(path):
            return f"`{path}` is no path: write one such as \"/healthz\""
        wrong = positive(constants, "every", "timeout")
        return wrong or whole("rise", constants, 1, 100) or whole("fall", constants, 1, 100)


class Outliers(Setting):
    """Leave out for a while a server whose answers fail.

    `failures` in a row (no connection, no or a broken answer, 502, 503 and 504) take it out for `pause`, twice as long
    each further time in a row, up to `longest`. At most the share `most` of the servers is left out at a time, and
    never the last: a further one takes the place of who was left out first.

        outliers failures: 3, slower_than: 2s
    """

    name: ClassVar[str] = "outliers"

    failures_: int = param("Failures in a row.", default="5")
    slower_than: Duration | None = param("An answer's head that takes longer counts as a failure.", default=None)
    pause: Duration = param("How long it is left out the first time.", default="10s")
    longest: Duration = param("How long it is left out at most.", default="5m")
    most: float = param("The share of servers that may be left out at a time.", default="0.5")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        wrong = whole("failures", constants, 1, 1_000_000) or share("most", constants)
        return wrong or positive(constants, "slower_than", "pause", "longest")


class SlowStart(Setting):
    """Give a server that comes back its share little by little.

        slow_start 30s
    """

    name: ClassVar[str] = "slow_start"
    left_out: ClassVar[bool] = False

    time: Duration = param("Until it has its full share.", positional=True)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return positive(constants, "time")


class Retries(Setting):
    """How often a request is tried again, where that is safe.

    Safe is what has not been sent at all, and what may be sent twice (GET, HEAD, OPTIONS, TRACE, PUT, DELETE) while its
    body is held and no byte of an answer has come. Another server is asked first. What has been sent is sent again for
    at most the share `budget` of the requests of the last 10 seconds, beside three that are always allowed: retries
    cannot add to an overload.

        retries 2, statuses: [503], per_try: 2s
    """

    name: ClassVar[str] = "retries"

    count: int = param("Further tries.", positional=True, default="1")
    statuses: list[int] = param("Answers that count as failures, of what may be sent twice.", default="[]")
    per_try: Duration | None = param("How long one try may take to the answer's head.", default=None)
    budget: float = param("The share of requests that may be retries.", default="0.2")
    wait: Duration = param("The wait before the second retry, doubled each time, with jitter.", default="25ms")
    longest_wait: Duration = param("The longest such wait.", default="250ms")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for status in constants.get("statuses") or ():
            if not isinstance(status, int) or not 400 <= status <= 599:
                return "`statuses` lists statuses from 400 to 599"
        wrong = whole("count", constants, 0, 10) or share("budget", constants, above=-1)
        return wrong or positive(constants, "per_try")


class CircuitBreaker(Setting):
    """Ask no more for a while where too much has failed.

    Of the answers in `window`, once there are `requests`, the share `errors` of failures (no connection, no or a broken
    answer, 500 and above) or `slow` of answers slower than `slower_than` opens it for `pause`; then `probes` requests
    are let through, and if they are all well it closes. While it is open the answer is 503 at once; with `per_server:
    true` each server has one, and the others take over. May stand twice, for both.

        circuit_breaker errors: 0.5, requests: 20, pause: 5s
    """

    name: ClassVar[str] = "circuit_breaker"
    several: ClassVar[bool] = True
    left_out: ClassVar[bool] = False

    per_server: bool = param("Whether each server has one of its own.", default="false")
    errors_: float = param("The share of failures that opens it.", default="0.5")
    slower_than: Duration | None = param("What counts as slow; left out: nothing does.", default=None)
    slow: float = param("The share of slow answers that opens it.", default="0.5")
    requests: int = param("The fewest answers that say anything.", default="20")
    window: Duration = param("How far back it looks.", default="10s")
    pause: Duration = param("How long it stays open.", default="5s")
    probes: int = param("Requests that try whether it may close.", default="3")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        wrong = share("errors", constants) or share("slow", constants) or whole("requests", constants, 1, 1_000_000)
        return wrong or whole("probes", constants, 1, 1000) or positive(constants, "slower_than", "window", "pause")


class UpstreamTimeouts(Setting):
    """How long a server is waited for.

    Server-sent events, and whatever else streams, pass as they come, for as long as no pause is longer than `between`:
    an upstream whose events may be quiet for ten minutes has `timeouts between: 11m`. An upgraded connection
    (WebSocket) has `upgrade_idle` of the gateway instead.

        timeouts connect: 5s, head: 30s
    """

    name: ClassVar[str] = "timeouts"

    connect: Duration = param("Until a connection stands, with TLS where it has that.", default="5s")
    head: Duration = param("Until the head of the answer is here, for all tries together.", default="30s")
    between: Duration = param("Between two pieces of the answer's body.", default="30s")
    idle: Duration = param("How long an unused connection is kept.", default="4s")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return positive(constants, "connect", "head", "between")


class Connections(Setting):
    """The most connections that one worker holds to the upstream, and who may wait for one.

    When all are in use, `queue` requests wait for up to `wait` (then: 504); one more is answered 503 at once.

        connections 1000, queue: 200
    """

    name: ClassVar[str] = "connections"

    count: int = param("Connections of one worker.", positional=True, default="1000")
    per_server: int | None = param("Of these to one server; left out: all.", default=None)
    queue: int = param("Requests that may wait for one.", default="1000")
    wait: Duration = param("How long they wait.", default="5s")
    mirrored: int = param("Copies (`mirror`) that may be under way; further ones are left out.", default="100")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for name in ("count", "per_server", "mirrored"):
            wrong = whole(name, constants, 1, 1_000_000)
            if wrong is not None:
                return wrong
        return whole("queue", constants, 0, 1_000_000)


class UpstreamTls(Setting):
    """How servers with `https://` are spoken to. Their certificates are verified, also without this setting.

        tls ca: "internal-ca.pem", cert: "gateway.pem", key: "gateway.key"
    """

    name: ClassVar[str] = "tls"
    left_out: ClassVar[bool] = False

    ca: str | None = param("A PEM file of who is trusted; left out: whom the system trusts.", default=None)
    cert: str | None = param("A PEM file with the certificate that the gateway shows.", default=None)
    key: str | None = param("Its key; left out: it stands in `cert`.", default=None)
    server_name: str | None = param("The name to ask for and to verify; left out: the server's own.", default=None)
    verify: bool = param("Whether the certificate is verified. Without it anybody can be in between.", default="true")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        if constants.get("key") is not None and constants.get("cert") is None:
            return "`key` needs `cert`"
        return None


UPSTREAM_SETTINGS = (
    Server, Balance, Health, Outliers, SlowStart, Retries, CircuitBreaker, UpstreamTimeouts, Connections, UpstreamTls,
)  # fmt: skip


def wrong_server(text: str) -> str | None:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    if url.scheme not in ("http", "https") or not url.hostname:
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    if url.path not in ("", "/") or url.query or url.fragment:
        return f"`{text}` has a path: a server has none, give it to `route` with `path:`"
    if url.username is not None or url.password is not None:
        return "a server's address holds no user name and password"
    if port == 0 or not all(c.isalnum() or c in "-._:" for c in url.hostname) or not url.hostname.isascii():
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    return None
