"""The gateway's settings, as the edge wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from policylang.sdk import BodyLimits
from runtime.edge.networks import Networks
from runtime.wire.limits import WireLimits


class Setting(Protocol):
    """One setting of the checked program: its name and every parameter's value."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """Times in seconds, sizes in bytes, `body_rate` in bytes a second, `connections` of one worker.

    `pipelined`: so many requests of one connection are answered in a row before the others get their turn. Of an early
    refused request at most `discard` bytes are read, or for `discard_time`; then the connection is closed for writing,
    and `linger` later for good. `trusted`: proxies whose word about the client counts; `timed`: who is sent
    Server-Timing.
    """

    name: str = "polgate"
    header: float = 10.0
    handshake: float = 10.0
    idle: float = 60.0
    request: float = 60.0
    upgrade_idle: float = 300.0
    upgrade_life: float = 86_400.0
    bodies: BodyLimits = field(default_factory=BodyLimits)
    body_rate: int = 500
    pipelined: int = 16
    connections: int = 10_000
    discard: int = 64 * 1024
    discard_time: float = 1.0
    linger: float = 2.0
    wire: WireLimits = field(default_factory=WireLimits)
    trusted: Networks = field(default_factory=Networks)
    timed: Networks = field(default_factory=Networks)


_TIMES = ("header", "handshake", "idle", "request", "upgrade_idle", "upgrade_life")


def edge_settings(settings: Sequence[Setting]) -> EdgeSettings:
    """From the `gateway` declaration of a checked program; what it does not set has its default."""
    given: dict[str, Any] = {}
    for setting in settings:
        values = setting.values
        if setting.name == "limits":
            given["bodies"] = BodyLimits(
                body=values["body"].bytes,
                decoded=values["decoded"].bytes,
                json_depth=int(values["json_depth"]),
                xml_depth=int(values["xml_depth"]),
                xml_text=values["xml_text"].bytes,
            )
            given["body_rate"] = values["body_rate"].bytes
            given["pipelined"] = int(values["pipelined"])
            given["connections"] = int(values["connections"])
            given["wire"] = WireLimits(
                header_bytes=values["header"].bytes,
                request_line=values["request_line"].bytes,
                fields=int(values["fields"]),
                chunk_extensions=values["chunk_extensions"].bytes,
            )
        elif setting.name == "timeouts":
            given.update({name: values[name].seconds for name in _TIMES})
        elif setting.name == "trusted_proxies":
            given["trusted"] = Networks(values["networks"])
        elif setting.name == "server_timing":
            given["timed"] = Networks(values["networks"])
        elif setting.name == "name":
            given["name"] = next(iter(values.values()))
    return EdgeSettings(**given)
