"""What a decision costs: which of the servers is next, among 3 and among 1,000 of them.

    python tests/bench/pool_cost.py [--rounds 20000]

For each balance the whole of what a request costs there: choosing, counting and measuring, while 64 requests are under
way; with equal weights and with different ones, with all servers well and with a third of them away. `send` is the
whole way through the pool where a kept connection is at hand and its answer is too.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from policylang.sdk import Client, Exchange, Response, UpstreamCall, Waiter
from runtime.edge.request import ReceivedRequest
from runtime.edge.wheel import Wheel
from runtime.upstream.balance import Balance, Candidate, Latency, LeastConnections, RoundRobin
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.ring import Ring
from runtime.upstream.settings import ServerAddress, UpstreamSettings

FEW, MANY = 3, 1000
UNDER_WAY = 64
KINDS: dict[str, type[Balance[Candidate]]] = {
    "round_robin": RoundRobin, "least_connections": LeastConnections, "latency": Latency, "hash": Ring,
}  # fmt: skip
KEYS = [f"10.{number % 7}.{number // 256}.{number % 256}" for number in range(4096)]


def decisions(kind: type[Balance[Candidate]], servers: int, weighted: bool, away: bool) -> Callable[[int], None]:
    """Runs so many of them."""
    candidates = [Candidate(f"10.0.{number // 256}.{number % 256}:80") for number in range(servers)]
    for number, one in enumerate(candidates):
        one.weight = 1 + number % 5 if weighted else 1
        one.share = 0 if away and number % 3 == 0 else 100
    balance = kind(candidates)
    working: deque[Candidate] = deque()

    def run(count: int) -> None:
        for number in range(count):
            one = balance.choose(KEYS[number & 4095], number * 1000)
            assert one is not None
            if balance.counted:
                balance.started(one)
                working.append(one)
                if len(working) > UNDER_WAY:
                    balance.ended(working.popleft())
            if balance.timed:
                balance.measured(one, number * 1000, 1_000_000 + number % 7777, False)

    return run


class _Clock:
    monotonic = staticmethod(time.monotonic_ns)
    wall = staticmethod(time.time)

    def sleep(self, seconds: float) -> Waiter[None]:
        return Waiter()


class _Connection:
    """Has its answer before it is asked."""

    class transport:  # noqa: N801
        closing = False

    answer = Response(200, [], b"ok")
    charged = False
    due = seen = 1 << 62

    def __init__(self, pool: UpstreamPool, server: Any) -> None:
        self.pool = pool
        self.server = server
        self.waiter: Waiter[Response] = Waiter()
        self.waiter.fire(self.answer)

    def start(self, *_: Any) -> Waiter[Response]:
        self.pool.release(self)  # type: ignore[arg-type]
        return self.waiter

    def expired(self) -> None:
        """It is not closed."""


def sends(servers: int) -> Callable[[int], None]:
    """Runs so many requests through a pool that is set up as it is by default."""
    addresses = tuple(ServerAddress(f"10.0.{number // 256}.{number % 256}", 80) for number in range(servers))
    loop = asyncio.new_event_loop()
    loop.close()
    clock = _Clock()
    pool = UpstreamPool("up", UpstreamSettings(addresses), loop, Wheel(clock), clock)
    for server in pool.servers:
        server.idle.append(_Connection(pool, server))  # type: ignore[arg-type]
    request = ReceivedRequest("GET", "/", None, [], host="h", id="x")
    request.trace = None
    request.streams = None
    exchange = Exchange(request, Client("127.0.0.1", 1), None)  # type: ignore[arg-type]
    call = UpstreamCall()

    def run(count: int) -> None:
        for _ in range(count):
            coroutine = pool.send(exchange, call)
            coroutine.send(None)  # until it waits for its answer, which is there
            try:
                coroutine.send(None)
            except StopIteration:
                continue

    return run


def cost(run: Callable[[int], None], rounds: int, repeats: int = 7) -> float:
    """Microseconds of processor time each, the least of several runs; a first one is not counted."""
    run(rounds)
    best = float("inf")
    for _ in range(repeats):
        before = time.process_time()
        run(rounds)
        best = min(best, time.process_time() - before)
    return best / rounds * 1e6


def scenarios() -> dict[str, Callable[[int], Callable[[int], None]]]:
    """By name, what makes a run of it for so many servers."""
    found: dict[str, Callable[[int], Callable[[int], None]]] = {}
    for name, kind in KINDS.items():
        for weighted in (False, True):
            for away in (False, True):
                words = [name, *["weights"] * weighted, *["a third away"] * away]
                found[", ".join(words)] = lambda servers, kind=kind, weighted=weighted, away=away: decisions(
                    kind, servers, weighted, away
                )
    found["send"] = sends
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000)
    rounds = parser.parse_args().rounds
    print(f"{'':36} {FEW:>6} {MANY:>6}  ratio   (us of processor time a request)")
    for name, make in scenarios().items():
        few, many = cost(make(FEW), rounds), cost(make(MANY), rounds)
        print(f"{name:36} {few:6.2f} {many:6.2f}  {many / few:5.2f}", flush=True)


if __name__ == "__main__":
    main()
