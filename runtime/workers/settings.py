"""What the processes of a gateway need to know of its policy: the `gateway` block as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.wire.limits import WireLimits

STDOUT = "stdout"
OFF = "off"
_WIRE = WireLimits()


class Setting(Protocol):
    """One setting of the checked program: its name and the value of every parameter."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The `gateway` block. Times in seconds, sizes in bytes. `store`: a folder, "" for the default place."""

    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    workers: int = 1
    name: str = "polgate"
    store: str = ""
    access_log: str = STDOUT
    wire: WireLimits = _WIRE
    body: int = 10 * 1024 * 1024
    pipelined: int = 16
    connections: int = 10_000
    body_rate: int = 500
    header: float = 10.0
    idle: float = 60.0
    request: float = 60.0
    drain: float = 30.0
    drain_delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that the supervisor has read and checked. `files`: every file's bytes, by the path it is known by."""

    paths: tuple[str, ...]
    files: dict[str, bytes]
    hash: str
    settings: GatewaySettings


class PolicyRefused(Exception):
    """A policy that cannot be served. `report` is what its author is shown; `unreadable`: a file could not be read."""

    def __init__(self, report: str, unreadable: bool = False) -> None:
        super().__init__(report)
        self.report = report
        self.unreadable = unreadable


def gateway_settings(settings: Iterable[Setting]) -> GatewaySettings:
    """From the checked program, where every parameter has a value; a setting that is left out has its default."""
    listen: list[str] = []
    given: dict[str, Any] = {}
    wire: dict[str, int] = {}
    for setting in settings:
        values = setting.values
        if setting.name == "listen":
            listen.append(str(_only(values)))
        elif setting.name in ("name", "access_log"):
            given[setting.name] = str(_only(values))
        elif setting.name == "workers":
            given["workers"] = int(_only(values))
        elif setting.name == "store":
            given["store"] = str(values.get("path") or "")
        elif setting.name == "limits":
            given["body"], given["body_rate"] = values["body"].bytes, values["body_rate"].bytes
            given["pipelined"], given["connections"] = int(values["pipelined"]), int(values["connections"])
            wire = {
                "header_bytes": values["header"].bytes,
                "request_line": values["request_line"].bytes,
                "fields": int(values["fields"]),
                "chunk_extensions": values["chunk_extensions"].bytes,
            }
        elif setting.name == "timeouts":
            given |= {name: values[name].seconds for name in ("header", "idle", "request", "drain", "drain_delay")}
    if listen:
        given["listen"] = tuple(dict.fromkeys(listen))
    return GatewaySettings(wire=WireLimits(**wire), **given)


def _only(values: dict[str, Any]) -> Any:
    """The value of a setting's one positional parameter: the first, as parameters stand in their order."""
    return next(iter(values.values()))
