"""What it costs to count an exchange and to write its line: processor time, in one process, without sockets.

    python tests/bench/observe_cost.py [--number 200000] [--entries 3]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policylang.sdk import Client, Exchange, Failure, Principal
from policylang.sdk.limits_told import LimitPolicy
from policylang.source import Source, Span
from policylang.tree.outcome import Entry, Place
from runtime.edge.peer import Peer
from runtime.edge.request import ReceivedRequest, Trace
from runtime.observe.access_log import AccessLog
from runtime.observe.cells import Cells
from runtime.observe.counts import Counts
from runtime.observe.observer import Observer

BEGAN = time.monotonic_ns()


class Head:
    method = "GET"
    path = b"/orders/7"


def exchange(journal: list[Any]) -> Exchange:
    request = ReceivedRequest("GET", "/orders/7", None, [], host="api.example", id="75e6be1f9b5fc2511390cff4")
    request.trace = trace = Trace()
    trace.peer = Peer("10.1.2.3", 4000)
    trace.pool, trace.server, trace.status = "orders", "127.0.0.1:9000", 200
    trace.attempts, trace.upstream = 1, 150_000
    made = Exchange(request, Client("10.1.2.3", 4000), None, started=BEGAN)  # type: ignore[arg-type]
    made.service = "orders"
    made.journal = journal
    return made


def measured(name: str, work: Callable[[], Any], number: int) -> float:
    best = float("inf")
    for _ in range(5):
        began = time.thread_time_ns()
        for _ in range(number):
            work()
        best = min(best, (time.thread_time_ns() - began) / number)
    print(f"{name:48} {best / 1000:6.2f} us", flush=True)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=100_000)
    parser.add_argument("--entries", type=int, default=3)
    options = parser.parse_args()
    source = Source("policy.pol", "service orders {\n" + "    require true\n" * options.entries + "}\n")
    span = Span(source, 20, 32)
    passed = [Entry(Place("require", span), None) for _ in range(options.entries)]
    routes = {"orders": "/orders/{id}"}
    with tempfile.TemporaryDirectory() as folder:
        counts = Counts(Cells.create(Path(folder), 0))
        log = AccessLog(os.devnull)
        policy = log.for_policy("0123456789ab", routes)
        plain, named = exchange(passed), exchange(passed)
        named.user = Principal("ann")
        limited = exchange(passed)
        limited.limits = [(LimitPolicy("gold", 500, 1), 499, 1.0, "")]
        failed = exchange([])
        failed.failure = Failure("rate-exceeded", 429, "", assertion="rate_limit", span=span)
        ended = BEGAN + 200_000
        head: Any = Head()

        def passing(observer: Observer, one: Exchange, status: int = 200) -> Callable[[], None]:
            return lambda: observer.done(one, status, 0, 181, ended, head, "api.example")

        def failing(observer: Observer) -> Callable[[], None]:
            place = Place("rate_limit", span)

            def work() -> None:
                failed.journal = [*passed[1:], Entry(place, failed.failure)]
                observer.done(failed, 429, 0, 181, ended, head, "api.example")

            return work

        empty = measured("an empty call", lambda: None, options.number)
        for name, observer in (
            ("counted", Observer(counts, None, routes, "policy.pol", 1.0, time.monotonic_ns, lambda make: None)),
            ("logged", Observer(None, policy, routes, "policy.pol")),
            ("both", Observer(counts, policy, routes, "policy.pol", 1.0, time.monotonic_ns, lambda make: None)),
        ):
            took = measured(f"{name}: the path of the one before", passing(observer, plain), options.number)
            measured(f"{name}: the same with a user", passing(observer, named), options.number)
            measured(f"{name}: the same with a limit", passing(observer, limited), options.number)
            others = [exchange([*passed[:-1], Entry(Place("x", span), None)]) for _ in range(3)]
            turn = iter(range(1 << 62))
            measured(f"{name}: three paths in turn",
                     lambda o=observer, e=others, t=turn: o.done(  # type: ignore[misc]
                         e[next(t) % 3], 200, 0, 181, ended, head, "api.example"), options.number)  # fmt: skip
            measured(f"{name}: a failure", failing(observer), options.number // 5)
            print(f"{name}: {(took - empty) / 1000:.2f} us an exchange\n", flush=True)


if __name__ == "__main__":
    main()
