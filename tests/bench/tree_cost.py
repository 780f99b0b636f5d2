"""What the tree costs: CPU time of one evaluation, with a store and an upstream that take no time.

    python tests/bench/tree_cost.py

Prints microseconds of processor time an evaluation, the least of several rounds, for the policy of `contracts.pol`
with and without what the stubs themselves cost, for refusals, and for finding a service among few and many.
"""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from policylang.check import check_text
from policylang.sdk import BodyLimits, Client, Decision, Exchange, Request, Response
from policylang.sdk.bench import VirtualClock
from policylang.sdk.circuits import Circuits
from policylang.sdk.lines import Lines
from policylang.tree import compile_program
from policylang.tree.router import Router

HERE = Path(__file__).parent
COUNT = 20_000
ROUNDS = 7
CLIENTS = {f"key-{i}": {"id": f"client-{i}", "contract": ("platinum", "gold", "silver")[i % 3]} for i in range(100)}
HEADERS = [
    (name.lower().encode(), name.encode(), value.encode())
    for name, value in (
        ("Host", "127.0.0.1:8080"), ("User-Agent", "bench"), ("Accept", "*/*"), ("X-API-Key", "key-7"),
    )
]  # fmt: skip
FORMS = {
    "route, path, method, host, query: constant":
        'route orders, path: "/v1", method: "PUT", host: "h", query: { a: 1 }, fail_on: 500..599',
    "route, path and query of the request":
        'route orders, path: "/v1/${path.id}", query: { id: path.id, key: request.header["X-API-Key"] }',
    "split, drawn, route": "split {\n95 -> route orders\n5 -> route orders, method: \"PUT\"\n}",
    "split by a header, route":
        'split by: request.header["X-API-Key"] {\n95 -> route orders\n5 -> route orders, method: "PUT"\n}',
    "rate_limit, route": "rate_limit 500/s\nroute orders",
    "rate_limit of a worked-out rate, route":
        'let n = int(request.header["X-Rate"]) ?? 500\nrate_limit rate(n, "s") ?? 1/s\nroute orders',
    "rate_limit of three rates, route": "rate_limit [500/s, 9_000/min, 90_000/day]\nroute orders",
    "rate_limit with outputs, route": "rate_limit 500/s -> limit, remaining\nroute orders",
    "rate_limit over: shape, route": "rate_limit 500/s, over: shape\nroute orders",
    "circuit_breaker { route }": "circuit_breaker { route orders }",
    "circuit_breaker per client.ip { route }": "circuit_breaker per: client.ip { route orders }",
}
ADMITTED = Decision(True, 999_999, 1.0, 0.0)
REFUSED = Decision(False, 0, 1.0, 0.5)


UPSTREAM = """
upstream orders {
    server "http://127.0.0.1:9000"
}
"""


class Store:
    decision = ADMITTED

    async def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        return self.decision


    def admit_all(self, key: bytes, limits: Sequence[Any], now: int, cost: int = 1, count: bool = True) -> Any:
        return (self.decision,) * len(limits)


class Upstream:
    async def send(self, exchange: Any, call: Any) -> Response:
        return Response(200, [], b"")


class Environment:
    name, version, node, bodies = "edge", "1", "n1", BodyLimits()

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.store = Store()
        self.upstreams = {"orders": Upstream()}

        self.circuit = Circuits().get
        self.lines = Lines()
        self.draw = random.random

    def log(self, level: str, text: str, exchange: Any) -> None: ...

    def defect(self, error: BaseException, exchange: Any) -> str:
        raise error


def least(work: Callable[[], None], count: int = COUNT) -> float:
    """Microseconds of processor time for one call."""
    found = []
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        begun = time.process_time()
        for _ in range(count):
            work()
        found.append((time.process_time() - begun) / count * 1e6)
        gc.enable()
    return min(found)


def run_now(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def make_tree(text: str) -> Any:
    checked = check_text(text, files={"clients.json": json.dumps(CLIENTS).encode()})
    assert checked.program is not None, [each.message for each in checked.diagnostics]
    return compile_program(checked.program)


def evaluation(tree: Any, environment: Any, path: str, journal: bool = False) -> Callable[[], None]:
    client, handle = Client("127.0.0.1", 40000), tree.handle

    def work() -> None:
        exchange = Exchange(Request("GET", path, None, HEADERS, host="127.0.0.1"), client, environment, 0)
        if journal:
            exchange.journal = []
        run_now(handle(exchange))

    return work


def around(environment: Any) -> Callable[[], None]:
    """What `evaluation` costs besides the tree: the exchange, the store's call and the upstream's."""
    client, store, upstream = Client("127.0.0.1", 40000), environment.store, environment.upstreams["orders"]

    def work() -> None:
        Exchange(Request("GET", "/orders/7", None, HEADERS, host="127.0.0.1"), client, environment, 0)
        run_now(store.admit(b"key", 1, 1, 0, environment.clock.monotonic()))
        run_now(upstream.send(None, None))

    return work


def service_text(count: int) -> str:
    services = [f'service s{i} "/v1/things{i}/{{id}}/parts" {{ respond 204 }}' for i in range(count)]
    return "\n".join(services)


def find_cost(count: int, literal: bool) -> float:
    from policylang.check.program import PathPattern
    from policylang.source import Source, Span

    span = Span(Source("bench", ""), 0, 0)
    router: Router[int] = Router()
    for i in range(count):
        last: Any = "all" if literal else ("id",)
        router.add(i, "", [PathPattern(span, "", ("v1", f"things{i}", last, "parts"))], ())
    path = f"/v1/things{count // 2}/{'all' if literal else '77'}/parts"
    assert router.find("h", path, "GET")[0] == count // 2
    return least(lambda: router.find("h", path, "GET") and None)


def main() -> None:
    environment = Environment()
    tree = make_tree((HERE / "contracts.pol").read_text())
    plain = make_tree((HERE / "plain.pol").read_text())
    stubs = least(around(environment))
    print(f"exchange, store and upstream by themselves    {stubs:6.2f} µs")
    for name, what, journal in (
        ("api_key, match, rate_limit, set, route", tree, False), ("the same with a journal", tree, True),
        ("route", plain, False),
    ):  # fmt: skip
        total = least(evaluation(what, environment, "/orders/7", journal))
        print(f"{name:45} {total:6.2f} µs, without these {total - stubs:5.2f}")
    for name, text in FORMS.items():
        form = make_tree(UPSTREAM + f'service s "/orders/{{id}}" {{\n{text}\n}}')
        total = least(evaluation(form, environment, "/orders/7"))
        print(f"{name:45} {total:6.2f} µs, without these {total - stubs:5.2f}")
    environment.store.decision = REFUSED
    print(f"{'429':45} {least(evaluation(tree, environment, '/orders/7')):6.2f} µs")
    print(f"{'404':45} {least(evaluation(tree, environment, '/nowhere')):6.2f} µs")
    for literal in (True, False):
        few, many = find_cost(10, literal), find_cost(10_000, literal)
        kind = "literal" if literal else "capture"
        print(f"find, {kind}: {few:.2f} µs among 10, {many:.2f} among 10,000: {many / few:.2f} times")
    begun = time.process_time()
    checked = check_text(service_text(2000))
    assert checked.program is not None
    middle = time.process_time()
    compile_program(checked.program)
    print(f"2,000 services: check {middle - begun:.2f} s, compile {time.process_time() - middle:.2f} s")


if __name__ == "__main__":
    main()
