"""What a rate of a cluster costs: `python tests/bench/cluster_cost.py [--members 1] [--seconds 6]`.

Two workers of one gateway, each a process with a loop of its own, and members on the same machine. Requests come at
random moments; printed are microseconds of a worker's CPU for one of them, that of making it come taken off, round
trips, and how long the slower ones waited. The embedded store is measured in the same run, by the same arrivals.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from members import Members  # noqa: E402

from runtime.cluster.client import Cluster  # noqa: E402
from runtime.cluster.entries import ClusterEntries  # noqa: E402
from runtime.edge.environment import SystemClock  # noqa: E402
from runtime.edge.loop import new_loop  # noqa: E402
from runtime.leases.rates import ClusterRates  # noqa: E402
from runtime.permits.calls import ask  # noqa: E402
from runtime.stores.embedded import EmbeddedStore  # noqa: E402
from runtime.stores.folder import FolderClaim  # noqa: E402
from runtime.stores.machine import MachineStore  # noqa: E402
from runtime.workers.settings import StoreSettings  # noqa: E402

S = 10**9
WORKERS = 2
PAUSE = 2.5
"""Seconds between two loads: what was counted is gone."""
DEADLINE = 1.0


class Load(NamedTuple):
    """`pace`: requests a second at both workers. `keys`: 0 for a new one each time."""

    name: str
    pace: int
    limit: int
    burst: int = 0
    keys: int = 1
    shared: bool = True


LOADS = [
    Load("embedded, hot key, 1000/s of 1000/s", 1000, 1000, shared=False),
    Load("embedded, hot key, 3000/s of 1000/s", 3000, 1000, shared=False),
    Load("hot key, 1000/s of 1000/s", 1000, 1000),
    Load("hot key, 1000/s of 1000/s, burst 2 s", 1000, 1000, 2 * S),
    Load("hot key, 3000/s of 1000/s", 3000, 1000),
    Load("hot key, 1000/s of 10/s", 1000, 10),
    Load("100 keys, 1000/s, each of 64/s", 1000, 64, keys=100),
    Load("cold keys, 300/s, each of 1000/s", 300, 1000, keys=0),
    Load("cold keys, 300/s, each of 10/s", 300, 10, keys=0),
]


class Worker:
    def __init__(self, folder: Path, number: int, cluster: str, address: str) -> None:
        self.loop = new_loop()
        self.clock = SystemClock(self.loop)
        self.machine = MachineStore(EmbeddedStore.open(folder), print, WORKERS)
        settings = StoreSettings(cluster=cluster, members=(address,), deadline=DEADLINE)
        self.cluster = Cluster(settings, self.loop, lambda text: None)
        self.rates = ClusterRates(
            ClusterEntries(self.cluster, self.clock), self.machine, self.clock, self.loop,
            b"worker%02d" % number, WORKERS, DEADLINE, lambda text: None,
        )  # fmt: skip
        self.random = random.Random(number)

    async def run(self, starts: list[float], seconds: float) -> list[dict[str, float]]:
        self.cluster.start()
        self.rates.start()
        while not self.cluster.connected:
            await asyncio.sleep(0.05)
        found = []
        for load, start in zip(LOADS, starts, strict=True):
            await asyncio.sleep(max(0.0, start - time.time()))
            empty = await self.drive(load.pace / WORKERS, seconds / 3, lambda: None)
            waits: list[int] = []
            passed = 0
            number = 0
            store: Any = self.rates if load.shared else self.machine

            def request() -> None:
                nonlocal number
                number += 1
                began = time.monotonic_ns()
                if load.keys:  # noqa: B023 - called within the round
                    key = b"%s%d" % (load.name.encode(), number % load.keys)  # noqa: B023
                else:
                    key = b"%s%d-%d" % (load.name.encode(), id(self), number)  # noqa: B023

                def told(decision: Any, error: BaseException | None) -> None:
                    nonlocal passed
                    if error is not None:
                        raise error
                    passed += decision.admitted
                    waits.append(time.monotonic_ns() - began)  # noqa: B023

                ask(lambda: store.admit(key, load.limit, S, load.burst, began), told, print)  # noqa: B023

            before, trips = self.rates.updates, self.cluster.calls.trips
            spent = await self.drive(load.pace / WORKERS, seconds, request)
            waits.sort()
            found.append({
                "cpu": spent - empty, "passed": passed / seconds, "updates": (self.rates.updates - before) / number,
                "trips": (self.cluster.calls.trips - trips) / number, "p50": waits[len(waits) // 2] / 1e3,
                "p99": waits[len(waits) * 99 // 100] / 1e3,
            })  # fmt: skip
        return found

    async def drive(self, pace: float, seconds: float, call: Callable[[], None]) -> float:
        """Microseconds of CPU for one call; all of them are scheduled one from the other."""
        loop, ended, count = self.loop, self.loop.create_future(), 0
        at = loop.time()
        end = at + seconds

        def next_one() -> None:
            nonlocal at, count
            call()
            count += 1
            at += self.random.expovariate(pace)
            if at < end:
                loop.call_at(at, next_one)
            else:
                ended.set_result(None)

        began = time.process_time()
        loop.call_at(at, next_one)
        await ended
        return (time.process_time() - began) / count * 1e6


def work(given: argparse.Namespace) -> None:
    worker = Worker(Path(given.folder), given.worker, given.cluster, given.address)
    found = worker.loop.run_until_complete(worker.run(json.loads(given.starts), given.seconds))
    print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=6.0)
    for name in ("folder", "cluster", "address", "starts"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=int, default=-1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker >= 0:
        return work(given)
    with tempfile.TemporaryDirectory() as folder, Members(given.members) as members:
        members.start()
        claim = FolderClaim.take(Path(folder) / "store")
        round_time = given.seconds * 4 / 3 + PAUSE
        starts = [time.time() + 3 + number * round_time for number in range(len(LOADS))]
        processes = [
            subprocess.Popen(
                [sys.executable, __file__, "--worker", str(number), "--folder", str(claim.folder), "--cluster",
                 members.name, "--address", members.addresses[number % given.members], "--starts", json.dumps(starts),
                 "--seconds", str(given.seconds)],
                stdout=subprocess.PIPE, text=True,
            )
            for number in range(WORKERS)
        ]  # fmt: skip
        try:
            total = 30 + round_time * len(LOADS)
            answers = [json.loads(process.communicate(timeout=total)[0]) for process in processes]
        finally:
            for process in processes:
                process.kill()
        claim.release()
    print(f"{'':<42}{'µs CPU':>8}{'passed/s':>10}{'changes':>9}{'trips':>8}{'p50 µs':>9}{'p99 µs':>9}")
    for load, *each in zip(LOADS, *answers, strict=True):
        mean = {name: sum(one[name] for one in each) / WORKERS for name in each[0]}
        print(
            f"{load.name:<42}{mean['cpu']:>8.1f}{mean['passed'] * WORKERS:>10.0f}{mean['updates']:>9.2f}"
            f"{mean['trips']:>8.2f}{mean['p50']:>9.0f}{mean['p99']:>9.0f}"
        )
    return None


if __name__ == "__main__":
    main()
