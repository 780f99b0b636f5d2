"""Servers that are asked after their health, left out because they fail, and let in again."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runtime.upstream.condition import HealthSettings, OutlierSettings
from runtime.upstream.settings import RetrySettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Origin, Wire, bench, both_loops, failure, request
from moody import Moody, moody, names, of

HEALTH = HealthSettings("/up?deep=1", every=5.0, timeout=2.0, rise=2, fall=3)
NO_RETRIES = RetrySettings(0)


async def rounds(made: Bench, count: int, server: Moody) -> None:
    """So many questions after the health of a server, and their answers."""
    for _ in range(count):
        before = server.checked
        while server.checked == before:
            made.advance(0.5)
            await asyncio.sleep(0.004)
        await asyncio.sleep(0.02)


async def becoming(made: Bench, *expected: str) -> None:
    """Time passes until the servers are in these states."""
    while states(made) != list(expected):
        made.advance(0.5)
        await asyncio.sleep(0.004)
    await asyncio.sleep(0)


def states(made: Bench) -> list[str]:
    return [status.state for status in made.pools["up"].statuses()]


# --- asked after ---


@both_loops
async def test_who_is_ill_gets_no_requests_and_comes_back() -> None:
    async with moody("a", "b") as (a, b), bench(up=of(a, b, health=HEALTH, retries=NO_RETRIES)) as made:
        assert await names(made, 4) == {"a": 2, "b": 2}
        for mood in ("503", "reset", "half"):
            a.checks = mood
            await rounds(made, 2, a)
            assert states(made) == ["well", "well"]
            await rounds(made, 1, a)
            assert states(made) == ["ill", "well"]
            assert await names(made, 4) == {"b": 4}
            a.checks = "well"
            await rounds(made, 1, a)
            assert states(made) == ["ill", "well"]
            await rounds(made, 1, a)
            assert states(made) == ["well", "well"]
            assert await names(made, 4) == {"a": 2, "b": 2}


@both_loops
async def test_a_question_has_a_deadline() -> None:
    async with moody("a", "b") as (a, b):
        health = HealthSettings("/", every=5.0, timeout=2.0, rise=1, fall=1)
        async with bench(up=of(a, b, health=health)) as made:
            a.checks = "silent"
            await rounds(made, 1, a)
            assert states(made) == ["well", "well"]
            asked = made.clock.ns
            await becoming(made, "ill", "well")
            assert 1.9e9 <= made.clock.ns - asked <= 2.6e9
            # and it is asked again
            a.checks = "well"
            await rounds(made, 1, a)
            assert states(made) == ["well", "well"]


@both_loops
async def test_what_a_server_is_asked() -> None:
    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await wire.rest()

    heads: list[bytes] = []
    for host, expected in (("", "127.0.0.1:%d"), ("up.example", "up.example")):
        origin = await Origin(script).start()
        health = HealthSettings("/up?deep=1", every=1.0, rise=1, fall=1, least=204, greatest=204, host=host)
        async with bench(up=of(origin, health=health)) as made:
            made.advance(1.2)
            await made.until(lambda: heads)
            line, *fields = heads.pop().decode().split("\r\n")
            assert line == "GET /up?deep=1 HTTP/1.1"
            assert f"Host: {expected % origin.port if '%' in expected else expected}" in fields
            assert states(made) == ["well"]
        await origin.stop()


@both_loops
async def test_an_endless_answer_to_a_question_is_not_read_on() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await wire.writer.drain()

    origin = await Origin(script).start()
    async with bench(up=of(origin, health=HealthSettings("/", every=1.0, rise=1, fall=1))) as made:
        made.advance(1.2)
        await made.until(lambda: origin.wires)
        await made.until(lambda: made.pools["up"].open == 0)
        assert states(made) == ["well"]
    await origin.stop()


@both_loops
async def test_where_all_are_ill_the_answer_is_503_at_once() -> None:
    async with moody("a", "b") as servers, bench(up=of(*servers, health=HEALTH)) as made:
        for server in servers:
            server.checks = "500"
        await becoming(made, "ill", "ill")
        wire = await made.connect()
        answer = await wire.ask("GET /")
        assert (answer.status, answer["retry-after"]) == (503, "5")
        assert failure(made) == ("upstream-unavailable", 503)
        assert not any(server.seen for server in servers)
        servers[1].checks = "well"
        await becoming(made, "ill", "well")
        assert await names(made, 4) == {"b": 4}


@both_loops
async def test_one_server_alone_can_be_ill_and_come_back() -> None:
    async with moody("a") as (a,), bench(up=of(a, health=HEALTH)) as made:
        a.checks = "500"
        await rounds(made, 3, a)
        assert await names(made, 2) == {"503": 2}
        a.checks = "well"
        await rounds(made, 2, a)
        assert await names(made, 2) == {"a": 2}


# --- left out ---


@both_loops
async def test_failures_in_a_row_leave_a_server_out_for_a_while() -> None:
    outliers = OutlierSettings(failures=3, pause=10.0, longest=25.0)
    for mood, said in (("reset", "502"), ("503", "503"), ("504", "504"), ("half", "502")):
        async with moody("a", "b") as (a, b):
            a.mood = mood
            async with bench(up=of(a, b, outliers=outliers, retries=NO_RETRIES)) as made:
                assert await names(made, 10) == {said: 3, "b": 7}
                assert states(made) == ["left out", "well"]
                for pause in (10.0, 20.0, 25.0, 25.0):
                    made.advance(pause - 0.2)
                    await asyncio.sleep(0)
                    assert states(made) == ["left out", "well"]
                    made.advance(0.4)
                    await asyncio.sleep(0)
                    assert states(made) == ["well", "well"]
                    assert await names(made, 10) == {said: 3, "b": 7}
                a.mood = "well"
                made.advance(25.2)
                await asyncio.sleep(0)
                assert await names(made, 10) == {"a": 5, "b": 5}


@both_loops
async def test_a_good_answer_between_them_begins_afresh() -> None:
    settings = {"outliers": OutlierSettings(failures=3), "retries": NO_RETRIES}
    async with moody("a", "b") as (a, b), bench(up=of(a, b, **settings)) as made:
        for _ in range(4):
            a.mood = "503"
            assert await names(made, 4) == {"503": 2, "b": 2}
            a.mood = "well"
            assert await names(made, 2) == {"a": 1, "b": 1}
        a.mood = "500"  # not what says that a server is away
        assert await names(made, 20) == {"500": 10, "b": 10}
        assert states(made) == ["well", "well"]


@both_loops
async def test_answers_that_break_off_are_failures() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "cut"
        async with bench(up=of(a, b, outliers=OutlierSettings(failures=3), retries=NO_RETRIES)) as made:
            for _ in range(6):
                wire = await made.connect()
                wire.send(request("GET /"))
                await wire.head()
                await made.until(lambda: len(made.done) and not any(one.exchange for one in made.edge.connections))
                wire.close()
            await made.until(lambda: states(made) == ["left out", "well"])


@both_loops
async def test_the_last_is_never_left_out_and_no_more_than_the_share() -> None:
    outliers = OutlierSettings(failures=1, most=0.5)
    for count, out in ((1, 0), (2, 1), (3, 1), (4, 2), (5, 2)):
        async with moody(*"abcde"[:count]) as servers:
            for server in servers:
                server.mood = "503"
            async with bench(up=of(*servers, outliers=outliers, retries=NO_RETRIES)) as made:
                await names(made, 20)
                assert states(made).count("left out") == out
    async with moody("a", "b") as servers:
        for server in servers:
            server.mood = "503"
        async with bench(
            up=of(*servers, outliers=OutlierSettings(failures=1, most=1.0), retries=NO_RETRIES)
        ) as made:
            await names(made, 20)
            assert states(made).count("left out") == 1


@both_loops
async def test_who_is_left_out_is_needed_when_the_others_are_ill() -> None:
    health = HealthSettings("/", every=5.0, rise=1, fall=1)
    outliers = OutlierSettings(failures=1, pause=1000.0)
    settings = {"health": health, "outliers": outliers, "retries": NO_RETRIES}
    async with moody("a", "b") as (a, b), bench(up=of(a, b, **settings)) as made:
        a.mood = "503"
        await names(made, 2)
        assert states(made) == ["left out", "well"]
        a.mood = "well"
        b.checks = "500"
        await becoming(made, "well", "ill")
        assert await names(made, 4) == {"a": 4}


@both_loops
async def test_slow_answers_are_failures_where_that_is_asked_for() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.head()
            made.clock.ns += 1_500_000_000
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    slow = await Origin(script).start()
    async with moody("b") as (b,):
        settings = of(slow, b, outliers=OutlierSettings(failures=3, slower_than=1.0, pause=1000))
        async with bench(up=settings) as made:
            assert await names(made, 10) == {"slow": 3, "b": 7}
    await slow.stop()


# --- let in again ---


@both_loops
async def test_who_comes_back_gets_its_share_little_by_little() -> None:
    for how in ("round_robin", "least_connections", "latency", "hash"):
        async with moody("a", "b") as (a, b):
            outliers = OutlierSettings(failures=1, pause=10.0)
            settings = of(a, b, outliers=outliers, slow_start=100.0, balance=how, retries=NO_RETRIES)
            async with bench(up=settings) as made:
                number = 0

                def key(_: object) -> str:
                    nonlocal number
                    number += 1
                    return f"client {number}"

                if how == "hash":
                    made.pools["up"].use_key(key)
                a.mood = "503"
                while states(made)[0] == "well":
                    await names(made, 1)
                a.mood = "well"
                made.advance(10.2)
                await asyncio.sleep(0)
                assert states(made) == ["returning", "well"]
                shares = []
                for _ in range(11):
                    shares.append(made.pools["up"].statuses()[0].share)
                    made.advance(10)
                    await asyncio.sleep(0)
                assert shares == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
                assert states(made) == ["well", "well"]


@both_loops
async def test_a_tenth_of_its_share_is_a_tenth() -> None:
    async with moody("a", "b") as (a, b):
        outliers = OutlierSettings(failures=1, pause=10.0)
        async with bench(up=of(a, b, outliers=outliers, slow_start=100.0, retries=NO_RETRIES)) as made:
            a.mood = "503"
            await names(made, 2)
            a.mood = "well"
            made.advance(10.2)
            await asyncio.sleep(0)
            assert await names(made, 22) == {"a": 2, "b": 20}
            made.advance(40)
            await asyncio.sleep(0)
            assert await names(made, 30) == {"a": 10, "b": 20}
            # and if it fails again it is left out again
            a.mood = "503"
            await names(made, 4)
            assert states(made) == ["left out", "well"]
