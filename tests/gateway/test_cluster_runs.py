"""Limits of 10, 100 and 1,000 a second and a quota of 10,000, shared by two gateways, while something fails.

POLGATE_RUN_SECONDS sets the length of a run (40; with POLGATE_SOAK 120).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster_runs import gateways, keeps_its_promises, offer
from daemons import Daemon
from members import Members

SOAK = bool(os.environ.get("POLGATE_SOAK"))
SECONDS = float(os.environ.get("POLGATE_RUN_SECONDS", "120" if SOAK else "40"))
BEGIN, LENGTH = SECONDS / 4, 20.0

Fault = tuple[int, int]


def a_while(begin: Callable[[], None], end: Callable[[], None], length: float = LENGTH) -> Callable[[], list[Fault]]:
    """Something that begins in the run, and ends before it does."""

    def disturb() -> list[Fault]:
        time.sleep(BEGIN)
        begun = time.monotonic_ns()
        begin()
        time.sleep(length)
        end()
        return [(begun, time.monotonic_ns())]

    return disturb


def ports(started: list[Daemon]) -> list[int]:
    return [one.ports()[0] for one in started]


def test_without_a_fault_all_of_it_passes_and_no_more(three_members: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, three_members) as started:
        run = offer(tmp_path, ports(started), SECONDS)
    keeps_its_promises(run, whole=True)


def test_a_member_is_killed(three_members: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, three_members) as started:
        run = offer(tmp_path, ports(started), SECONDS, a_while(three_members[1].kill, lambda: None, 0))
    keeps_its_promises(run)


@pytest.mark.skipif(not SOAK, reason="40 s: POLGATE_SOAK=1 runs it")
def test_a_member_is_frozen(three_members: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, three_members) as started:
        run = offer(tmp_path, ports(started), SECONDS, a_while(three_members[1].freeze, three_members[1].resume))
    keeps_its_promises(run)


@pytest.mark.skipif(not SOAK, reason="40 s: POLGATE_SOAK=1 runs it")
def test_all_members_are_away(three_members: Members, tmp_path: Path) -> None:
    def kill() -> None:
        for member in three_members.members:
            member.kill()

    with gateways(tmp_path, three_members) as started:
        run = offer(tmp_path, ports(started), SECONDS, a_while(kill, three_members.start))
    keeps_its_promises(run)


@pytest.mark.skipif(not SOAK, reason="40 s: POLGATE_SOAK=1 runs it")
def test_a_gateway_is_killed(three_members: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, three_members) as started:

        def kill() -> None:
            workers = started[1].children()
            started[1].send(signal.SIGKILL)  # the supervisor first, which would replace a worker
            for pid in workers:
                os.kill(pid, signal.SIGKILL)

        run = offer(tmp_path, ports(started), SECONDS, a_while(kill, lambda: None, 0))
    run.lost_gateway = True
    keeps_its_promises(run)
