"""What the processes of a gateway need to know of its policy: the `gateway` block as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

STDOUT = "stdout"
OFF = "off"


class Setting(Protocol):
    """One setting of the checked program: its name and the value of every parameter."""

    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What of the `gateway` block is the supervisor's business; the edge reads the rest for itself.

    Times in seconds. `store`: a folder, "" for the default place. `access_log`: a file, STDOUT or OFF.
    """

    listen: tuple[str, ...] = ("127.0.0.1:8080",)
    workers: int = 1
    store: str = ""
    access_log: str = STDOUT
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
    for setting in settings:
        values = setting.values
        if setting.name == "listen":
            listen.append(str(_only(values)))
        elif setting.name == "access_log":
            given["access_log"] = str(_only(values))
        elif setting.name == "workers":
            given["workers"] = int(_only(values))
        elif setting.name == "store":
            given["store"] = str(values.get("path") or "")
        elif setting.name == "timeouts":
            given |= {name: values[name].seconds for name in ("drain", "drain_delay") if values[name] is not None}
    if listen:
        given["listen"] = tuple(dict.fromkeys(listen))
    return GatewaySettings(**given)


def _only(values: dict[str, Any]) -> Any:
    """The value of a setting's one positional parameter: the first, as parameters stand in their order."""
    return next(iter(values.values()))
