"""What may stand in `gateway { … }` and `upstream NAME { … }`: one class a setting, read by checker and docs alike.

A setting is declared with the same `param` as an assertion's parameters, and is checked against its Card likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from policylang.sdk import Assertion, Duration, Size, card_of, param
from policylang.sdk.card import Card


class Setting(Assertion):
    """The shape of a setting. `several`: it may stand more than once; `needed`: it must stand."""

    several: ClassVar[bool] = False
    needed: ClassVar[bool] = False


# --- gateway -------------------------------------------------------------------------------------


class Listen(Setting):
    """An address and port to accept connections on.

    An IPv6 address stands in brackets. May stand several times.

        listen "127.0.0.1:8080"
    """

    name: ClassVar[str] = "listen"
    several: ClassVar[bool] = True

    address: str = param("Address and port.", positional=True, default='"127.0.0.1:8080"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        address = constants.get("address")
        return wrong_address(address) if isinstance(address, str) else None


class Workers(Setting):
    """How many processes serve.

        workers 2
    """

    name: ClassVar[str] = "workers"

    count: int = param("Processes.", positional=True, default="1")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return _whole("count", constants, 1, 256)


class GatewayName(Setting):
    """What the gateway calls itself, in logs and in `gateway.name`.

        name "edge"
    """

    name: ClassVar[str] = "name"

    text: str = param("The name.", positional=True, default='"polgate"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        text = constants.get("text")
        if isinstance(text, str) and not (text and text.isprintable() and text.isascii() and len(text) <= 64):
            return "a gateway's name has 1 to 64 printable ASCII characters"
        return None


class StoreSetting(Setting):
    """Where counters and maps live.

        store embedded, path: "/var/lib/polgate"
    """

    name: ClassVar[str] = "store"

    kind: Literal["embedded"] = param("The kind of store.", positional=True, default="embedded")
    path: str | None = param("Its folder; left out: `$STATE_DIRECTORY`, else `./.polgate`.", default=None)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        path = constants.get("path")
        return "`path` cannot be empty" if path is not None and not path.strip() else None


class AccessLog(Setting):
    """Where the access log goes: `"stdout"`, `"off"`, or a file's path.

        access_log "/var/log/polgate/access.log"
    """

    name: ClassVar[str] = "access_log"

    to: str = param("The destination.", positional=True, default='"stdout"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return "`to` cannot be empty: write \"off\" for no log" if constants.get("to") == "" else None


class Limits(Setting):
    """The largest things that are taken from a client.

        limits body: 10MiB, header: 32KiB
    """

    name: ClassVar[str] = "limits"

    body: Size = param("The body, where it is held in memory.", default="10MiB")
    header: Size = param("All header fields together.", default="32KiB")
    request_line: Size = param("The request line.", default="8KiB")
    fields: int = param("Header fields.", default="100")
    chunk_extensions: Size = param("Chunk extensions of one message.", default="16KiB")
    pipelined: int = param("Requests that wait on one connection.", default="16")
    connections: int = param("Connections of one worker.", default="10_000")
    body_rate: Size = param("The slowest body that is waited for, in bytes a second.", default="500B")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for name in ("header", "request_line", "body", "chunk_extensions"):
            size = constants.get(name)
            if isinstance(size, Size) and size.bytes < 1:
                return f"`{name}` must be at least `1B`"
        for name in ("fields", "pipelined", "connections"):
            wrong = _whole(name, constants, 1, 10_000_000)
            if wrong is not None:
                return wrong
        return None


class Timeouts(Setting):
    """How long a client is waited for.

        timeouts header: 10s, idle: 60s
    """

    name: ClassVar[str] = "timeouts"

    header: Duration = param("Until the head of a request is complete.", default="10s")
    idle: Duration = param("Between two requests of a connection.", default="60s")
    request: Duration = param("For a whole request.", default="60s")
    drain: Duration = param("For open requests, when the gateway stops.", default="30s")
    drain_delay: Duration = param("Between the wish to stop and the end of accepting.", default="0s")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return _positive(constants, "header", "idle", "request")


# --- upstream ------------------------------------------------------------------------------------


class Server(Setting):
    """A server of the upstream. May stand several times.

        server "http://10.0.0.1:9000", weight: 2
    """

    name: ClassVar[str] = "server"
    several: ClassVar[bool] = True
    needed: ClassVar[bool] = True

    url: str = param("Its address: `http://host:port`.", positional=True)
    weight: int = param("Its share, beside the weights of the others.", default="1")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        url = constants.get("url")
        wrong = wrong_server(url) if isinstance(url, str) else None
        return wrong or _whole("weight", constants, 1, 65_535)


class Balance(Setting):
    """How requests are shared among the servers.

        balance round_robin
    """

    name: ClassVar[str] = "balance"

    how: Literal["round_robin"] = param("The way.", positional=True, default="round_robin")


class UpstreamTimeouts(Setting):
    """How long a server is waited for.

        timeouts connect: 5s, head: 30s
    """

    name: ClassVar[str] = "timeouts"

    connect: Duration = param("Until a connection stands.", default="5s")
    head: Duration = param("Until the head of the answer is here.", default="30s")
    between: Duration = param("Between two pieces of the answer's body.", default="30s")
    idle: Duration = param("How long an unused connection is kept.", default="4s")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return _positive(constants, "connect", "head", "between")


class Connections(Setting):
    """The most connections that one worker holds to the upstream.

        connections 1000
    """

    name: ClassVar[str] = "connections"

    count: int = param("Connections of one worker.", positional=True, default="1000")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return _whole("count", constants, 1, 1_000_000)


def _cards(*settings: type[Setting]) -> dict[str, Card]:
    return {setting.name: card_of(setting) for setting in settings}


GATEWAY = _cards(Listen, Workers, GatewayName, StoreSetting, AccessLog, Limits, Timeouts)
UPSTREAM = _cards(Server, Balance, UpstreamTimeouts, Connections)


# --- what their constants must be ----------------------------------------------------------------


def _whole(name: str, constants: Mapping[str, Any], least: int, most: int) -> str | None:
    value = constants.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or not least <= value <= most:
        return f"`{name}` is a whole number from {least} to {most}"
    return None


def _positive(constants: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = constants.get(name)
        if isinstance(value, Duration) and value.seconds <= 0:
            return f"`{name}` must be longer than `0s`"
    return None


def split_address(text: str) -> tuple[str, int] | None:
    """Address and port of `127.0.0.1:8080` or `[::1]:8080`; None when it is none."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535 or len(port) > 5:
        return None
    try:
        if host.startswith("[") and host.endswith("]"):
            return str(IPv6Address(host[1:-1])), int(port)
        return str(IPv4Address(host)), int(port)
    except AddressValueError:
        return None


def wrong_address(text: str) -> str | None:
    if split_address(text) is not None:
        return None
    host, _, port = text.rpartition(":")
    if text.isdigit():
        return f"`{text}` is a port only: write \"127.0.0.1:{text}\" or \"0.0.0.0:{text}\""
    if host == "" and port.isdigit():
        return f"`{text}` has no address: write \"0.0.0.0:{port}\" for every IPv4 address"
    if host == "localhost":
        return f"`{text}` has a name for its address: write \"127.0.0.1:{port}\""
    if text.count(":") > 1 and not text.startswith("["):
        return f"`{text}` has an IPv6 address without brackets: write \"[::1]:8080\""
    return f"`{text}` is no address with a port: write one such as \"127.0.0.1:8080\" or \"[::1]:8080\""


def wrong_server(text: str) -> str | None:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    if url.scheme == "https":
        return f"`{text}` asks for TLS to an upstream, which is not available in this version: write `http://`"
    if url.scheme != "http" or not url.hostname:
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    if url.path not in ("", "/") or url.query or url.fragment:
        return f"`{text}` has a path: a server has none, give it to `route` with `path:`"
    if url.username is not None or url.password is not None:
        return "a server's address holds no user name and password"
    if port == 0 or not all(c.isalnum() or c in "-._:" for c in url.hostname) or not url.hostname.isascii():
        return f"`{text}` is no server's address: write one such as \"http://10.0.0.1:9000\""
    return None
