"""What the admin listener may ask of the process that it stands in: the supervisor, seen from another thread."""

from __future__ import annotations

from typing import Any, NotRequired, Protocol, TypedDict

from runtime.trace.follower import Follower


class WorkerStatus(TypedDict):
    """One worker. `state`: `starting`, `ready` or `leaving`; `policy`: the hash it serves, empty while it has none.

    `cluster`: whether it is connected to the store's cluster; left out where there is none.
    """

    slot: int
    pid: int
    state: str
    policy: str
    generation: int
    started: float  # wall, seconds
    cluster: NotRequired[bool]


class ReloadStatus(TypedDict):
    """The last attempt. `text`: what was wrong, as the operator is shown it; empty when it went well."""

    at: float  # wall, seconds
    ok: bool
    text: str


class Status(TypedDict):
    """A snapshot. Times are wall clock, in seconds since the epoch."""

    name: str
    version: str
    pid: int
    started: float
    policy: str  # the hash that every worker is to serve
    generation: int
    loaded: float  # when that policy was taken up
    workers_wanted: int
    workers: list[WorkerStatus]
    listeners: list[str]
    reloading: bool
    draining: bool
    running: bool  # every worker was ready once: the start is over
    restarts: int  # workers that took the place of one that died
    store: str  # empty: fine; else what is wrong with it, in a sentence
    last_reload: ReloadStatus | None
    certificates: NotRequired[dict[str, float]]  # a certificate's first name -> when it expires; workers count them too


def cluster_words(status: Status) -> tuple[bool, str] | None:
    """Whether every worker is connected to the store's cluster, and in words; None where there is none."""
    told = [worker["cluster"] for worker in status["workers"] if "cluster" in worker]
    if not told:
        return None
    if all(told):
        return True, "connected"
    return False, f"{sum(told)} of {len(told)} workers are connected" if any(told) else "away"


class Operated(Protocol):
    """All of it may be called from any thread."""

    def status(self) -> Status:
        """Never waits for a worker."""

    def reload(self, timeout: float) -> tuple[bool, str]:
        """Read the policy again and wait for the result, at most `timeout` seconds.

        True and a sentence when every worker serves it; False and the diagnostics or the reason when the old one goes
        on. One that begins while another runs waits for a reading of its own.
        """

    def drain(self) -> None:
        """As TERM does: begin to drain, and return at once."""

    def ask(self, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        """Have any one worker that serves answer, within `timeout` seconds: JSON both ways.

        Raises `runtime.admin.messages.Refused`: what the worker's answerer refuses, 404 where none knows `what`, 503
        where no worker serves, the store is away or the worker ended before it answered, 504 after the time. In the
        last two it may have been done, or be done yet.
        """

    def follow(self, follower: Follower, timeout: float) -> None:
        """Have every worker tell of the requests that this one wants, until it calls `leave` or it ends.

        Returns when they do. Raises `runtime.admin.messages.Refused`: 422 for an expression that does not fit the
        policy, 503 for one too many or without a worker that serves, 504 after `timeout` seconds.
        """
