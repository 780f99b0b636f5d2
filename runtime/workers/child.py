"""One worker process as the supervisor sees it, and the slot that it fills."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from runtime.workers.control import Channel

BACK_OFF = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a slot's next worker, by how many died young in a row."""
YOUNG = 10.0
"""A worker that dies within so many seconds counts as one of a crash loop."""


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"


class Child:
    """A running worker. `seen` is when it last gave a sign of life; `deadline` when it is killed unless it has gone.

    `condemned`: it was told to abort, and at its deadline it is killed. `policy`, `generation`: what it has said it
    serves; `began`: the wall clock's time of its start, in seconds; `cluster`: whether it is connected to the store's
    cluster, None where there is none.
    """

    def __init__(self, slot: int, process: subprocess.Popen[bytes], channel: Channel, now: float) -> None:
        self.slot = slot
        self.process = process
        self.channel = channel
        self.state = State.STARTING
        self.started = self.seen = now
        self.deadline: float | None = None
        self.condemned = False
        self.policy = ""
        self.generation = 0
        self.began = time.time()
        self.cluster: bool | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.kill()

    def sleeps(self) -> bool:
        """Whether its main thread waits for something, a lock perhaps; one that runs, or was stopped, does not."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        return text.rpartition(") ")[2][:1] == "S"  # proc(5): the name in brackets may hold anything

    def fate(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with {code}"


class Slot:
    """A place for one worker, with its sockets by address as the policy has it. They outlive the workers in it.

    `shares`: the addresses whose sockets other slots have too.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.sockets: dict[str, socket.socket] = {}
        self.shares: set[str] = set()
        self.child: Child | None = None
        self.young_deaths = 0
        self.next_start: float | None = 0.0

    def died(self, started: float, now: float) -> float:
        """Note a death, or a start that failed; gives the seconds until another worker starts."""
        self.child = None
        self.young_deaths = self.young_deaths + 1 if now - started < YOUNG else 0
        delay = BACK_OFF[min(max(self.young_deaths - 1, 0), len(BACK_OFF) - 1)]
        self.next_start = now + delay
        return delay

    def close(self) -> None:
        for one in self.sockets.values():
            one.close()
        self.sockets = {}


def spawn(slot: int, command: Sequence[str], now: float) -> Child:
    """Start a worker with its end of a channel; the command gets the descriptor's number as its last argument.

    The worker is a new program, not a fork: nothing of the supervisor's memory, locks or LMDB environment reaches it.
    It has a process group of its own, so that Ctrl-C reaches the supervisor alone, which then drains.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        number = theirs.fileno()
        try:
            process = subprocess.Popen(
                [*command, str(number)], pass_fds=[number], stdin=subprocess.DEVNULL, process_group=0
            )
        except OSError:
            ours.close()
            raise
    return Child(slot, process, Channel(ours), now)


def worker_command() -> list[str]:
    """How a worker is run: with this interpreter, these very packages, and no module of the working directory (-P)."""
    return [sys.executable, "-P", str(Path(__file__).with_name("__main__.py"))]
