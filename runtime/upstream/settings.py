"""An upstream's settings, as the pool wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Protocol

from policylang.check.surroundings import resolve
from policylang.sdk.circuit import CircuitSettings
from policylang.source import Span
from runtime.tls.settings import UpstreamTls
from runtime.upstream.condition import HealthSettings, OutlierSettings
from runtime.wire.limits import WireLimits

_SERVER = re.compile(
    r"http(?P<s>s?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)


class Setting(Protocol):
    """One setting of the checked program: where it stands, its name and every parameter's value."""

    @property
    def span(self) -> Span: ...
    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`host` without brackets. `secure`: it is spoken to over TLS. `text` names it in logs."""

    host: str
    port: int
    weight: int = 1
    backup: bool = False
    secure: bool = False

    @property
    def place(self) -> tuple[str, int, bool]:
        """What makes it the same server, whatever its part in an upstream is."""
        return self.host, self.port, self.secure

    @property
    def authority(self) -> str:
        """As it stands in Host: without the port that its scheme means anyway (RFC 9110 4.2.3)."""
        usual = self.port == (443 if self.secure else 80)
        return self.text.rpartition(":")[0] if usual else self.text

    @property
    def text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """`count` further tries; `statuses` of answers that count as failures; `budget`: the share of requests that may be
    retries. Times in seconds; `per_try` 0: as long as all together."""

    count: int = 1
    statuses: frozenset[int] = frozenset()
    per_try: float = 0.0
    budget: float = 0.2
    wait: float = 0.025
    longest_wait: float = 0.25


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Times in seconds. `connections`: at most so many are open at a time, to all servers together.

    Of these `per_server` to one (0: all); `queue` requests wait for one, each for up to `wait`. `slow_start` 0: none.
    `circuit`: one for all servers, `server_circuit`: what each of them has one of.
    """

    servers: tuple[ServerAddress, ...]
    connect: float = 5.0
    head: float = 30.0
    between: float = 30.0
    idle: float = 4.0
    balance: str = "round_robin"
    health: HealthSettings | None = None
    outliers: OutlierSettings = field(default_factory=OutlierSettings)
    slow_start: float = 0.0
    retries: RetrySettings = field(default_factory=RetrySettings)
    circuit: CircuitSettings | None = None
    server_circuit: CircuitSettings | None = None
    connections: int = 1000
    per_server: int = 0
    queue: int = 1000
    wait: float = 5.0
    mirrored: int = 100
    limits: WireLimits = field(default_factory=WireLimits)
    tls: UpstreamTls = field(default_factory=UpstreamTls)


def server_address(url: str, weight: int = 1, backup: bool = False) -> ServerAddress:
    """`http://host:port`, `https://host:port` -> address. ValueError for anything else, and for a weight below 1."""
    match = _SERVER.fullmatch(url)
    secure = match is not None and match["s"] != ""
    port = int((match and match["port"]) or (443 if secure else 80))
    if match is None or not 0 < port < 65536:
        raise ValueError(f"`{url}` is no server: give `http://` or `https://` with a host and a port, and no path")
    if weight < 1:
        raise ValueError(f"`{url}` has the weight {weight}: give at least 1")
    return ServerAddress(match["host"].strip("[]"), port, weight, backup, secure)


def upstream_settings(settings: Sequence[Setting]) -> UpstreamSettings:
    """From the `upstream` declaration of a checked program. ValueError where a server is none, or TLS cannot be made.

    Files are named relative to the policy's file that names them.
    """
    servers: list[ServerAddress] = []
    given: dict[str, Any] = {}
    for setting in settings:
        values = setting.values
        if setting.name == "server":
            servers.append(server_address(values["url"], int(values["weight"]), bool(values["backup"])))
        elif setting.name == "timeouts":
            given.update({name: values[name].seconds for name in ("connect", "head", "between", "idle")})
        elif setting.name == "connections":
            given["connections"] = int(values["count"])
            given.update({name: int(values[name] or 0) for name in ("per_server", "queue", "mirrored")})
            given["wait"] = values["wait"].seconds
        elif setting.name == "balance":
            given["balance"] = values["how"]
        elif setting.name == "slow_start":
            given["slow_start"] = values["time"].seconds
        elif setting.name == "circuit_breaker":
            given["server_circuit" if values["per_server"] else "circuit"] = _circuit(values)
        elif setting.name in _PARTS:
            given[setting.name] = _PARTS[setting.name](values)
        elif setting.name == "tls":
            given["tls"] = _tls(setting)
    if not servers:
        raise ValueError("an upstream needs at least one server")
    _foresee(servers, given.get("tls"))
    return UpstreamSettings(tuple(servers), **given)


def _health(values: dict[str, Any]) -> HealthSettings:
    status = values["status"]
    least, greatest = (status, status) if isinstance(status, int) else (status.start, status.stop - 1)
    return HealthSettings(
        values["path"], values["every"].seconds, values["timeout"].seconds, int(values["rise"]), int(values["fall"]),
        least, greatest, values["host"] or "",
    )  # fmt: skip


def _outliers(values: dict[str, Any]) -> OutlierSettings:
    slower = values["slower_than"]
    return OutlierSettings(
        int(values["failures"]), None if slower is None else slower.seconds, values["pause"].seconds,
        values["longest"].seconds, float(values["most"]),
    )  # fmt: skip


def _retries(values: dict[str, Any]) -> RetrySettings:
    per_try = values["per_try"]
    return RetrySettings(
        int(values["count"]), frozenset(values["statuses"]), 0.0 if per_try is None else per_try.seconds,
        float(values["budget"]), values["wait"].seconds, values["longest_wait"].seconds,
    )  # fmt: skip


def _circuit(values: dict[str, Any]) -> CircuitSettings:
    slower = values["slower_than"]
    return CircuitSettings(
        errors=float(values["errors"]), slow=float(values["slow"]), slower_than=0 if slower is None else slower.ns,
        requests=int(values["requests"]), window=values["window"].ns, pause=values["pause"].ns,
        probes=int(values["probes"]),
    )  # fmt: skip


def _tls(setting: Setting) -> UpstreamTls:
    values = setting.values

    def file(name: str) -> str | None:
        path = values[name]
        return None if path is None else resolve(path, setting.span.source.name)

    return UpstreamTls(file("ca"), file("cert"), file("key"), values["server_name"], bool(values["verify"]))


def _foresee(servers: Sequence[ServerAddress], tls: UpstreamTls | None) -> None:
    """Refuse what cannot be, and do now what would stop the loop for tens of milliseconds while it serves."""
    if any(address.secure for address in servers):
        from runtime.tls.client import context_for

        context_for(tls or UpstreamTls())
    elif tls is not None:
        raise ValueError("`tls` is for servers with `https://`, and there is none: give one, or remove `tls`")
    for address in servers:
        try:
            ip_address(address.host.partition("%")[0])
        except ValueError:
            import runtime.upstream.dns  # noqa: F401 - 150 ms


_PARTS = {"health": _health, "outliers": _outliers, "retries": _retries}
