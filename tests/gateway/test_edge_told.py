"""What is told of an exchange when it is over, from the edge's side."""

from __future__ import annotations

from typing import Any

from edges import bench, both_loops, forward, say

from policylang.sdk import Exchange, Response


@both_loops
async def test_who_is_told_and_goes_wrong_costs_the_log_and_not_the_answer() -> None:
    async with bench() as made:
        def wrong(*_: Any) -> None:
            raise ValueError("a defect")

        made.edge.on_done = wrong
        wire = await made.connect()
        for _ in range(3):
            assert (await wire.ask("GET /")).status == 200
        assert [str(error) for error in made.defects] == ["a defect"] * 3
        made.edge.on_done = lambda *_: None


@both_loops
async def test_sizes_and_the_head_are_as_they_came() -> None:
    told: list[tuple[Any, ...]] = []

    async def handle(exchange: Exchange) -> Response:
        exchange.request.path = "/inner"
        exchange.request.method = "GET"
        return say(201, b"four")

    async with bench(handle) as made:
        made.edge.on_done = lambda *what: told.append(what)
        wire = await made.connect()
        await wire.ask("POST /outer?x=1", b"abc", method="POST")
        await made.until(lambda: told)
    ((exchange, status, received, sent, ended, head, host),) = told
    assert (status, received, sent, host) == (201, 3, 4, "gate.example")
    assert (head.method, head.path) == ("POST", b"/outer")
    assert ended >= exchange.started


@both_loops
async def test_the_time_of_an_upstream_and_its_server_are_on_the_trace() -> None:
    told: list[tuple[Any, ...]] = []

    async def handle(exchange: Exchange) -> Response:
        made.clock.ns += 1_000_000
        return await forward(exchange)

    async with bench(handle) as made:
        made.edge.on_done = lambda *what: told.append(what)
        wire = await made.connect()
        await wire.ask("GET /")
        await made.until(lambda: told)
        trace = told[0][0].request.trace
        assert (trace.pool, trace.status, trace.attempts) == ("up", 200, 1)
        assert trace.server == f"127.0.0.1:{made.origins['up'].port}"
        assert trace.peer.ip == "127.0.0.1" and trace.upstream >= 0


@both_loops
async def test_one_journal_can_be_made_otherwise() -> None:
    class Other(list[Any]):
        pass

    kinds: list[type] = []

    async def handle(exchange: Exchange) -> Response:
        kinds.append(type(exchange.journal))
        return say(200)

    async with bench(handle) as made:
        made.edge.use(made.edge.handle, made.edge.environment, made.edge.on_done, journal=True)
        wire = await made.connect()
        await wire.ask("GET /")
        made.edge.time_next(Other)
        await wire.ask("GET /")
        await wire.ask("GET /")
        made.edge.use(made.edge.handle, made.edge.environment, made.edge.on_done, journal=False)
        made.edge.time_next(Other)  # of a policy that is no more
        await wire.ask("GET /")
    assert kinds == [list, Other, list, type(None)]
