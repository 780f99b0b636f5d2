"""What the processes of a gateway need to know of its policy: the `gateway` block as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that the supervisor has read and checked. `files`: every file's bytes, by the path it is known by.

    `drain` and `drain_delay` in seconds. `store`: a folder, "" for the default place.
    """

    paths: tuple[str, ...]
    files: dict[str, bytes]
    hash: str
    listen: tuple[str, ...]
    workers: int
    drain: float = 30.0
    drain_delay: float = 0.0
    store: str = ""
    access_log: str = "stdout"


class PolicyRefused(Exception):
    """A policy that cannot be served. `report` is what its author is shown; `unreadable`: a file could not be read."""

    def __init__(self, report: str, unreadable: bool = False) -> None:
        super().__init__(report)
        self.report = report
        self.unreadable = unreadable
