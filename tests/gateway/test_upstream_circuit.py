"""Circuits of an upstream and of its servers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from policylang.sdk.circuit import CircuitSettings
from runtime.upstream.condition import OutlierSettings
from runtime.upstream.settings import RetrySettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Origin, Wire, bench, both_loops, failure, request
from moody import moody, names, of

SECOND = 1_000_000_000
CIRCUIT = CircuitSettings(errors=0.5, requests=4, window=10 * SECOND, pause=5 * SECOND, probes=2)
ALONE = {"retries": RetrySettings(0), "outliers": OutlierSettings(failures=1_000_000)}


@both_loops
async def test_an_upstream_s_circuit_answers_503_at_once() -> None:
    for mood, said in (("500", "500"), ("reset", "502"), ("half", "502")):
        async with moody("a") as (a,):
            a.mood = mood
            async with bench(up=of(a, circuit=CIRCUIT, **ALONE)) as made:
                assert await names(made, 4) == {said: 4}
                asked = len(a.seen)
                wire = await made.connect()
                answer = await wire.ask("GET /")
                assert (answer.status, answer["retry-after"]) == (503, "5")
                assert failure(made) == ("upstream-unavailable", 503)
                made.advance(4.5)
                assert (await wire.ask("GET /"))["retry-after"] == "1"
                assert len(a.seen) == asked
                made.advance(0.6)
                assert await names(made, 3) == {said: 1, "503": 2}  # the first probe fails
                a.mood = "well"
                made.advance(5.1)
                assert await names(made, 5) == {"a": 5}
                circuit = made.pools["up"].circuit
                assert circuit is not None and circuit.state == "closed"


@both_loops
async def test_half_open_lets_so_many_through_at_a_time() -> None:
    async with moody("a") as (a,):
        a.mood = "500"
        async with bench(up=of(a, circuit=CIRCUIT, **ALONE)) as made:
            await names(made, 4)
            a.mood = "silent"
            made.advance(5.1)
            wires = [await made.connect() for _ in range(2)]
            for number, wire in enumerate(wires, 5):
                wire.send(request("GET /"))
                await made.until(lambda number=number: len(a.seen) == number)
            assert await names(made, 2) == {"503": 2}
            # who leaves without an answer makes room for another probe
            wires[0].abort()
            await made.until(lambda: sum(1 for one in made.edge.connections if one.exchange) == 1)
            a.mood = "well"
            assert await names(made, 1) == {"a": 1}


@both_loops
async def test_slow_answers_open_it_too() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.head()
            made.clock.ns += 2 * SECOND
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    origin = await Origin(script).start()
    circuit = CircuitSettings(slow=0.5, slower_than=SECOND, requests=4, window=60 * SECOND)
    async with bench(up=of(origin, circuit=circuit, **ALONE)) as made:
        assert await names(made, 6) == {"slow": 4, "503": 2}
    await origin.stop()


@both_loops
async def test_with_one_for_each_server_the_others_take_over() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "500"
        async with bench(up=of(a, b, server_circuit=CIRCUIT, **ALONE)) as made:
            assert await names(made, 14) == {"500": 4, "b": 10}
            assert [status.circuit for status in made.pools["up"].statuses()] == ["open", "closed"]
            a.mood = "well"
            made.advance(5.2)
            await asyncio.sleep(0)
            assert await names(made, 10) == {"a": 5, "b": 5}
            assert [status.circuit for status in made.pools["up"].statuses()] == ["closed", "closed"]
            a.mood = b.mood = "500"
            await names(made, 20)
            answer = await (await made.connect()).ask("GET /")
            assert (answer.status, answer["retry-after"]) == (503, "5")
            a.mood = b.mood = "well"
            made.advance(5.2)
            await asyncio.sleep(0)
            assert await names(made, 4) == {"a": 2, "b": 2}


@both_loops
async def test_a_server_on_trial_gets_no_more_than_its_probes() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "500"
        async with bench(up=of(a, b, server_circuit=CIRCUIT, **ALONE)) as made:
            await names(made, 10)
            a.mood = "silent"
            made.advance(5.2)
            await asyncio.sleep(0)
            asked = len(a.seen)
            wires = [await made.connect() for _ in range(8)]
            for wire in wires:
                wire.send(request("GET /"))
            answers = [asyncio.ensure_future(wire.answer()) for wire in wires]
            done, waiting = await asyncio.wait(answers, timeout=0.3)
            assert (len(done), len(waiting), len(a.seen) - asked) == (6, 2, 2)
            for task in waiting:
                task.cancel()
