"""What is tried again, where, how often, and within what time."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from policylang.sdk import BodyLimits, Exchange, Response, UpstreamCall
from runtime.upstream.condition import OutlierSettings
from runtime.upstream.settings import RetrySettings, ServerAddress, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Wire, bench, both_loops, failure, request, unused_port
from moody import moody, names, of

NEVER_OUT = OutlierSettings(failures=1_000_000)


def calling(**given: object) -> object:
    async def handle(exchange: Exchange) -> Response:
        exchange.response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall(**given))  # type: ignore[arg-type]
        return exchange.response

    return handle


@both_loops
async def test_another_server_is_asked_where_that_is_safe() -> None:
    for mood in ("reset", "503"):
        async with moody("a", "b") as (a, b):
            a.mood = mood
            retries = RetrySettings(statuses=frozenset({503}))
            async with bench(up=of(a, b, outliers=NEVER_OUT, retries=retries)) as made:
                assert await names(made, 6) == {"b": 6}
                assert await names(made, 2, "PUT /\nContent-Length: 0") == {"b": 2}
                assert a.asked == {"GET": 3, "PUT": 1}
                # what must not be done twice
                refused = "502" if mood == "reset" else "503"
                assert await names(made, 4, "POST /\nContent-Length: 0") == {"b": 2, refused: 2}
                assert made.pools["up"].budget.retries == 4


@both_loops
async def test_half_an_answer_is_an_answer() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "half"
        async with bench(up=of(a, b, outliers=NEVER_OUT)) as made:
            assert await names(made, 4) == {"b": 2, "502": 2}


@both_loops
async def test_a_body_that_streams_is_sent_once() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "reset"
        async with bench(up=of(a, b, outliers=NEVER_OUT)) as made:
            for _ in range(2):
                wire = await made.connect()
                wire.send(request("PUT /\nContent-Length: 5"), b"ab")
                await made.until(lambda: made.edge.connections)
                await asyncio.sleep(0.02)
                wire.send(b"cde")
                await wire.answer()
                wire.close()
            assert sorted(status for _, status, _, _ in made.done) == [200, 502]

    async def held(exchange: Exchange) -> Response:
        await exchange.request.load(BodyLimits())
        exchange.response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())
        return exchange.response

    async with moody("a", "b") as (a, b):
        a.mood = "reset"
        async with bench(held, up=of(a, b, outliers=NEVER_OUT)) as made:
            for _ in range(2):
                wire = await made.connect()
                wire.send(request("PUT /\nContent-Length: 5"), b"ab")
                await asyncio.sleep(0.02)
                wire.send(b"cde")
                assert (await wire.answer()).body == b"b"


@both_loops
async def test_what_was_not_sent_at_all_may_always_be_tried_again() -> None:
    async with moody("a") as (a,):
        settings = of(a, outliers=NEVER_OUT)
        settings = replace(settings, servers=(ServerAddress("127.0.0.1", unused_port()), *settings.servers))
        async with bench(up=settings) as made:
            assert await names(made, 4, "POST /\nContent-Length: 0") == {"a": 4}
            # also with a body that streams: nothing of it has gone
            wire = await made.connect()
            wire.send(request("POST /\nContent-Length: 3"), b"a")
            await asyncio.sleep(0.02)
            wire.send(b"bc")
            assert (await wire.answer()).status == 200


@both_loops
async def test_how_often_is_the_upstream_s_and_the_route_s_to_say() -> None:
    async with moody("a", "b", "c", "d") as servers:
        for server in servers:
            server.mood = "reset"
        for count in (0, 1, 3):
            for settings, given in (
                (RetrySettings(count, wait=0.0), {}),
                (RetrySettings(2, wait=0.0), {"retries": count}),
            ):
                for server in servers:
                    server.seen.clear()
                upstream = of(*servers, outliers=NEVER_OUT, retries=settings)
                async with bench(calling(**given), up=upstream) as made:  # type: ignore[arg-type]
                    assert (await (await made.connect()).ask("GET /")).status == 502
                    assert made.pools["up"].budget.retries == count
                    # each time another one
                    assert sorted(len(server.seen) for server in servers) == [0] * (3 - count) + [1] * (count + 1)


@both_loops
async def test_the_last_answer_counts_when_there_is_no_further_try() -> None:
    async with moody("a", "b") as (a, b):
        a.mood, b.mood = "503", "503"
        retries = RetrySettings(1, statuses=frozenset({503}))
        async with bench(up=of(a, b, outliers=NEVER_OUT, retries=retries)) as made:
            answer = await (await made.connect()).ask("GET /")
            assert (answer.status, len(a.seen), len(b.seen)) == (503, 1, 1)


@both_loops
async def test_retries_have_a_budget() -> None:
    async with moody("a", "b") as (a, b):
        retries = RetrySettings(1, budget=0.1)
        async with bench(up=of(a, b, outliers=NEVER_OUT, retries=retries)) as made:
            assert await names(made, 20) == {"a": 10, "b": 10}
            a.mood = b.mood = "reset"
            await names(made, 20)
            budget = made.pools["up"].budget
            assert budget.retries == 3 + 0.1 * 40
            for _ in range(12):
                made.advance(1)
            await names(made, 20)
            assert budget.retries == 7 + 3 + 0.1 * 20


@both_loops
async def test_the_wait_before_further_retries_grows() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = b.mood = "reset"
        retries = RetrySettings(4, wait=1.0, longest_wait=2.0)
        async with bench(up=of(a, b, outliers=NEVER_OUT, retries=retries, head=100)) as made:
            wire = await made.connect()
            wire.send(request("GET /"))
            waits = []
            for asked in (2, 3, 4):
                await made.until(lambda: made.clock.sleepers)
                assert sum(server.asked["GET"] for server in (a, b)) == asked
                waits.append((made.clock.sleepers[0][0] - made.clock.ns) / 1e9)
                made.advance(waits[-1] + 1e-6)  # a float may be a nanosecond short
            assert (await wire.answer()).status == 502
            assert 0.5 <= waits[0] <= 1 <= waits[1] <= 2 and 1 <= waits[2] <= 2


@both_loops
async def test_one_try_has_less_time_than_all_of_them() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = "silent"
        settings = of(a, b, outliers=NEVER_OUT, retries=RetrySettings(1, per_try=2.0), head=10.0)
        async with bench(up=settings) as made:
            for ask in ("GET /", "GET /"):
                wire = await made.connect()
                wire.send(request(ask))
                if not b.seen:
                    await made.until(lambda: a.seen)
                    made.advance(2.2)
                assert (await wire.answer()).body == b"b"
            b.mood = "silent"
            wire = await made.connect()
            wire.send(request("GET /"))
            for server in (a, b):
                await made.until(lambda server=server: server.asked["GET"] == 2 + (server is b))
                made.advance(2.2)
            assert (await wire.answer()).status == 504


@both_loops
async def test_all_tries_together_have_a_deadline() -> None:
    async with moody("a", "b", "c") as servers:
        for server in servers:
            server.mood = "silent"
        retries = RetrySettings(2, per_try=2.0, wait=0.0)
        for upstream, given in ((5.0, {}), (30.0, {"timeout": 5.0})):
            settings = of(*servers, outliers=NEVER_OUT, retries=retries, head=upstream)
            async with bench(calling(**given), up=settings) as made:  # type: ignore[arg-type]
                for server in servers:
                    server.seen.clear()
                wire = await made.connect()
                wire.send(request("GET /"))
                for seen in (1, 2, 3):
                    await made.until(lambda seen=seen: sum(len(server.seen) for server in servers) == seen)
                    if seen < 3:
                        made.advance(2.2)
                made.advance(0.9)
                assert (await wire.answer()).status == 504
                assert failure(made) == ("upstream-timeout", 504)


@both_loops
async def test_the_deadline_is_the_same_on_a_kept_connection() -> None:
    async with moody("a", "b") as (a, b), bench(up=of(a, b, outliers=NEVER_OUT, head=10.0, idle=100.0)) as made:
        wire = await made.connect()
        assert await names(made, 4) == {"a": 2, "b": 2}
        a.mood = b.mood = "silent"
        wire.send(request("GET /"))
        await made.until(lambda: len(a.seen) == 3)
        made.advance(9.5)
        assert made.pools["up"].open == 2
        made.advance(0.8)
        assert (await wire.answer()).status == 504
        assert failure(made) == ("upstream-timeout", 504)
        # one that breaks in the middle of that time leaves the rest of it for the next
        wire.send(request("GET /"))
        await made.until(lambda: len(b.seen) == 3)
        made.advance(6)
        b.wires[0].abort()
        await made.until(lambda: len(a.seen) + len(b.seen) == 7)
        made.advance(3.5)
        assert made.edge.connections and made.pools["up"].open == 1
        made.advance(0.8)
        assert (await wire.answer()).status == 504


@both_loops
async def test_a_connection_counts_in_the_time_of_a_route() -> None:
    """`route timeout:` is for the whole of it, also while a server's name or a connection is waited for."""

    async def silent(wire: Wire) -> None:
        await wire.rest()

    async with moody("a") as (a,):
        a.mood = "silent"
        settings = replace(of(a, retries=RetrySettings(0)), connections=1)
        async with bench(calling(timeout=1.0), up=settings) as made:  # type: ignore[arg-type]
            first, second = await made.connect(), await made.connect()
            first.send(request("GET /"))
            await made.until(lambda: a.seen)
            second.send(request("GET /"))
            await made.until(lambda: made.pools["up"].queue)
            made.advance(1.3)
            for wire in (first, second):
                assert (await wire.answer()).status == 504


@both_loops
async def test_backups_are_asked_only_while_the_others_are_away() -> None:
    async with moody("a", "b") as (a, b):
        settings = of(a, b)
        settings = replace(settings, servers=(settings.servers[0], replace(settings.servers[1], backup=True)))
        async with bench(up=settings) as made:
            assert await names(made, 6) == {"a": 6}
            a.mood = "reset"
            assert await names(made, 12) == {"b": 12}
            assert a.asked["GET"] == 6 + 1 + 5  # a kept connection, then 5 failures in a row: it is left out
            a.mood = "well"
            made.advance(10.2)
            await asyncio.sleep(0)
            assert await names(made, 6) == {"a": 6}


@both_loops
async def test_who_leaves_meanwhile_leaves_nothing_behind() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = b.mood = "reset"
        async with bench(up=of(a, b, outliers=NEVER_OUT, retries=RetrySettings(3, wait=1.0))) as made:
            wire = await made.connect()
            wire.send(request("GET /"))
            await made.until(lambda: made.clock.sleepers)
            wire.abort()
            await made.until(lambda: not made.edge.connections)
            made.advance(5)
            pool = made.pools["up"]
            await made.until(lambda: pool.open == 0)
            assert a.asked["GET"] + b.asked["GET"] == 2


@pytest.mark.parametrize("how", ["round_robin", "least_connections", "latency", "hash"])
def test_every_balance_finds_the_one_that_is_well(how: str) -> None:
    from edges import run

    async def test() -> None:
        async with moody("a", "b", "c") as servers:
            for server in servers[:2]:
                server.mood = "reset"
            settings = UpstreamSettings(
                of(*servers).servers, balance=how, retries=RetrySettings(2, wait=0.0, budget=9.0), outliers=NEVER_OUT
            )
            async with bench(up=settings) as made:
                made.pools["up"].use_key(lambda exchange: exchange.request.path)
                assert await names(made, 20) == {"c": 20}
                assert all(server.active == 0 for server in made.pools["up"].servers)

    run(test)
