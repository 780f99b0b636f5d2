"""`cache` through real sockets: what streams, who waits for whom, who leaves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from policylang.check import check_text
from policylang.sdk.memory import MemoryEntries, MemoryStore
from policylang.tree import compile_program

sys.path.insert(0, str(Path(__file__).parent))
from edges import Answer, Bench, Origin, Script, Wire, bench, both_loops, request, run

from runtime.caches.worker_caches import WorkerCaches

POLICY = """
upstream up {{ server "http://127.0.0.1:9" }}
service s "/**" {{
    cache ttl: 60s{} {{ route up }}
}}
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def caching(up: Script | Origin, parameters: str = "", policy: str = "") -> AsyncIterator[Bench]:
    checked = check_text(policy or POLICY.format(parameters))
    assert checked.program is not None, [each.message for each in checked.diagnostics]
    async with bench(compile_program(checked.program).handle, up=up) as made:
        environment: Any = made.edge.environment
        clock: Any = made.clock
        environment.caches = WorkerCaches(MemoryEntries(clock, MemoryStore()), clock, True, print, made.defects.append)
        yield made
        assert not made.defects, made.defects
        assert not environment.caches.under_way
        assert not environment.caches.flights.under_way


class Held:
    """An origin that says how many requests have come, and answers them when it is told to. `answer` of a number."""

    def __init__(self, answer: Callable[[int], bytes] = lambda number: OK) -> None:
        self.heads: list[bytes] = []
        self.go = asyncio.Event()
        self._answer = answer

    async def __call__(self, wire: Wire) -> None:
        while True:
            self.heads.append(await wire.head())
            number = len(self.heads)
            await self.go.wait()
            answer = self._answer(number)
            if not answer:
                wire.abort()
                return
            wire.send(answer)


def waiting(made: Bench) -> int:
    return sum(connection.exchange is not None for connection in made.edge.connections)


async def many(made: Bench, count: int, fields: str = "") -> list[Wire]:
    """So many that ask at a time, all of whom wait."""
    wires = [await made.connect() for _ in range(count)]
    for wire in wires:
        wire.send(request(f"GET /x\n{fields}"))
    await made.until(lambda: waiting(made) == count)
    return wires


async def answers(wires: list[Wire]) -> list[Answer]:
    return list(await asyncio.gather(*[wire.answer() for wire in wires]))


@both_loops
async def test_a_hit_asks_nobody_and_tells_its_age() -> None:
    origin = Origin()
    async with caching(origin) as made:
        wire = await made.connect()
        first = await wire.ask("GET /x?a=1")
        assert first["cache-status"] == "polgate; fwd=uri-miss; stored"
        made.advance(7.5)
        again = await wire.ask("GET /x?a=1\nAccept: other")
        assert (again.status, again.body, again["age"]) == (200, first.body, "7")
        assert again["cache-status"] == "polgate; hit; ttl=52"
        assert again["date"] is not None
        head = await wire.ask("HEAD /x?a=1", method="HEAD")
        assert (head["content-length"], head["age"]) == (str(len(first.body)), "7")
        old = await made.connect()
        assert (await old.ask("GET /x?a=1 HTTP/1.0")).body == first.body
        assert len(origin.seen) == 1
        made.advance(52.5)
        assert (await wire.ask("GET /x?a=1"))["age"] is None
        assert len(origin.seen) == 2


@both_loops
async def test_a_body_is_kept_while_it_streams() -> None:
    asked = 0

    async def slowly(wire: Wire) -> None:
        nonlocal asked
        while True:
            await wire.head()
            asked += 1
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            await more.wait()
            wire.send(b"6\r\nsecond\r\n0\r\n\r\n")

    more = asyncio.Event()
    async with caching(slowly) as made:
        wire, other = await made.connect(), await made.connect()
        wire.send(request("GET /x"))
        assert b"fwd=uri-miss; stored" in await wire.head()
        assert await wire.exactly(10) == b"5\r\nfirst\r\n"  # it goes on before its end has come
        missed = asyncio.ensure_future(other.ask("GET /x"))
        await made.until(lambda: asked == 2)  # nothing is given of one that is not whole
        more.set()
        assert await wire.exactly(16) == b"6\r\nsecond\r\n0\r\n\r\n"
        assert (await missed).body == b"firstsecond"
        hit = await other.ask("GET /x")
        assert (hit.body, hit["content-length"], asked) == (b"firstsecond", "11", 2)


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_too_large_goes_on_and_is_not_kept(declared: bool) -> None:
    body = b"x" * 300_000
    framing = b"Content-Length: 300000\r\n\r\n" if declared else b"Connection: close\r\n\r\n"

    async def test() -> None:
        origin = Origin(held)
        async with caching(origin, ", max_size: 200KB") as made:
            wire = await made.connect()
            for number in (1, 2):
                answer = await wire.ask("GET /x")
                assert len(answer.body) == 300_000
                assert answer["cache-status"] == "polgate; fwd=uri-miss" + ("" if declared else "; stored")
                assert asked == number

    asked = 0

    async def held(wire: Wire) -> None:
        nonlocal asked
        while True:
            await wire.head()
            asked += 1
            wire.send(b"HTTP/1.1 200 OK\r\n" + framing + body)
            if not declared:
                await wire.writer.drain()
                return

    run(test)


@both_loops
async def test_nothing_is_kept_of_what_is_cut_or_left() -> None:
    started = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"
    asked = 0

    async def cutting(wire: Wire) -> None:
        nonlocal asked
        await wire.head()
        asked += 1
        wire.send(started)
        await more.wait()

    more = asyncio.Event()
    async with caching(cutting) as made:
        wire = await made.connect()
        wire.send(request("GET /x"))
        await wire.head()
        assert await wire.exactly(5) == b"first"
        more.set()  # the upstream closes in the middle
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await wire.exactly(5)
        more.clear()
        left = await made.connect()
        left.send(request("GET /x"))
        await left.head()
        left.abort()
        await made.until(lambda: waiting(made) == 0)
        last = await made.connect()
        last.send(request("GET /x"))
        await last.head()
        assert asked == 3
        environment: Any = made.edge.environment
        assert len(environment.caches.near) == 0


@both_loops
async def test_two_hundred_ask_and_one_fetches() -> None:
    held = Held()
    async with caching(held, ", collapse: true") as made:
        wires = await many(made, 200)
        await made.until(lambda: held.heads)
        held.go.set()
        found = await answers(wires)
        assert {answer.body for answer in found} == {b"ok"}
        said = [answer["cache-status"] for answer in found]
        assert said.count("polgate; fwd=uri-miss; stored") == 1
        assert said.count("polgate; fwd=uri-miss; collapsed") == 199
        assert len(held.heads) == 1
        environment: Any = made.edge.environment
        counted = {name: times for name, times in environment.caches.outcomes.items() if times}
        assert counted == {"stored": 1, "collapsed": 199}


@both_loops
async def test_when_who_fetches_leaves_another_takes_over() -> None:
    held = Held()
    async with caching(held, ", collapse: true") as made:
        wires = await many(made, 5)
        for gone in (1, 2):
            await made.until(lambda gone=gone: len(held.heads) == gone)
            wires.pop(0).abort()
        await made.until(lambda: len(held.heads) == 3)
        held.go.set()
        assert [answer.body for answer in await answers(wires)] == [b"ok"] * 3
        assert len(held.heads) == 3


@both_loops
async def test_when_who_reads_the_body_leaves_another_takes_over() -> None:
    asked = 0

    async def halves(wire: Wire) -> None:
        nonlocal asked
        while True:
            await wire.head()
            asked += 1
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
            await more.wait()
            wire.send(b"later")

    more = asyncio.Event()
    async with caching(halves, ", collapse: true") as made:
        wires = await many(made, 3)
        await wires[0].head()
        wires[0].abort()
        await made.until(lambda: asked == 2)
        more.set()
        assert [answer.body for answer in await answers(wires[1:])] == [b"firstlater"] * 2
        assert asked == 2


@pytest.mark.parametrize("answer", [
    b"",
    b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nno",
])  # fmt: skip
def test_when_nothing_can_be_kept_all_go_themselves_at_once(answer: bytes) -> None:
    async def test() -> None:
        held = Held(lambda number: answer)
        async with caching(held, ", collapse: true") as made:
            wires = await many(made, 20)
            await made.until(lambda: held.heads)
            assert len(held.heads) == 1
            held.go.set()
            found = await answers(wires)
            assert len({one.status for one in found}) == 1
            assert len(held.heads) >= 20
            held.go.clear()
            before = len(held.heads)
            later = await many(made, 20)  # for a second nobody waits for one who would bring nothing
            await made.until(lambda: len(held.heads) == before + 20)
            held.go.set()
            await answers(later)

    run(test)


@both_loops
async def test_nobody_waits_for_ever() -> None:
    held = Held()
    async with caching(held, ", collapse: true, wait: 2s") as made:
        wires = await many(made, 10)
        made.advance(1.9)
        await made.until(lambda: held.heads)
        assert len(held.heads) == 1
        made.advance(0.2)
        await made.until(lambda: len(held.heads) == 10)
        held.go.set()
        assert [answer.body for answer in await answers(wires)] == [b"ok"] * 10


@both_loops
async def test_of_each_variant_one_is_fetched() -> None:
    def varied(number: int) -> bytes:
        said = held.heads[number - 1].lower()
        language = b"de" if b"accept-language: de" in said else b"en"
        return b"HTTP/1.1 200 OK\r\nVary: Accept-Language\r\nContent-Length: 2\r\n\r\n" + language

    held = Held(varied)
    async with caching(held, ", collapse: true") as made:
        wires = [await made.connect() for _ in range(20)]
        for number, wire in enumerate(wires):
            wire.send(request(f"GET /x\nAccept-Language: {('de', 'en')[number % 2]}"))
        await made.until(lambda: waiting(made) == 20)
        held.go.set()
        found = await answers(wires)
        assert [answer.body for answer in found] == [b"de", b"en"] * 10
        assert len(held.heads) == 2


@both_loops
async def test_whoever_asks_for_a_part_or_a_comparison_is_waited_for_by_nobody() -> None:
    held = Held(lambda number: b"HTTP/1.1 304 Not Modified\r\n\r\n" if number == 1 else OK)
    async with caching(held, ", collapse: true") as made:
        one, other = await made.connect(), await made.connect()
        one.send(request('GET /x\nIf-None-Match: "a"'))
        await made.until(lambda: len(held.heads) == 1)
        other.send(request("GET /x"))
        await made.until(lambda: len(held.heads) == 2)
        held.go.set()
        assert ((await one.answer()).status, (await other.answer()).body) == (304, b"ok")


@both_loops
async def test_a_later_statement_may_change_a_hit_without_changing_what_is_kept() -> None:
    policy = POLICY.format("").replace("route up }", "route up }\n    set response.header[\"X-Now\"] = request.id\n")
    origin = Origin()
    async with caching(origin, policy=policy) as made:
        wire = await made.connect()
        said = [await wire.ask("GET /x") for _ in range(3)]
        assert len({answer["x-now"] for answer in said}) == 3
        assert len(origin.seen) == 1
