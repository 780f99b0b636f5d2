"""An upstream's settings, as the pool wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.wire.limits import WireLimits

_SERVER = re.compile(r"http://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE)


class Setting(Protocol):
    """One setting of the checked program: its name and every parameter's value."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`host` without brackets. `text` names it in logs."""

    host: str
    port: int
    weight: int = 1

    @property
    def text(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UpstreamSettings:
    """Times in seconds. `connections`: at most so many are open at a time, to all servers together."""

    servers: tuple[ServerAddress, ...]
    connect: float = 5.0
    head: float = 30.0
    between: float = 30.0
    idle: float = 4.0
    connections: int = 1000
    mirrored: int = 100
    limits: WireLimits = field(default_factory=WireLimits)


def server_address(url: str, weight: int = 1) -> ServerAddress:
    """`http://host:port` -> address. ValueError for anything else, and for a weight below 1."""
    match = _SERVER.fullmatch(url)
    port = int((match and match["port"]) or 80)
    if match is None or not 0 < port < 65536:
        raise ValueError(f"`{url}` is no server: give `http://` with a host and a port, and no path")
    if weight < 1:
        raise ValueError(f"`{url}` has the weight {weight}: give at least 1")
    return ServerAddress(match["host"].strip("[]"), port, weight)


def upstream_settings(settings: Sequence[Setting]) -> UpstreamSettings:
    """From the `upstream` declaration of a checked program. ValueError where a server is none."""
    servers: list[ServerAddress] = []
    given: dict[str, Any] = {}
    for setting in settings:
        values = setting.values
        if setting.name == "server":
            servers.append(server_address(values["url"], int(values["weight"])))
        elif setting.name == "timeouts":
            given.update({name: values[name].seconds for name in ("connect", "head", "between", "idle")})
        elif setting.name == "connections":
            given["connections"] = int(values["count"])
            given["mirrored"] = int(values["mirrored"])
    if not servers:
        raise ValueError("an upstream needs at least one server")
    return UpstreamSettings(tuple(servers), **given)
