"""How requests are shared out: by each balance, within limits, and over a reload."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from policylang.sdk import Exchange, Failed, Failure
from policylang.sdk.circuit import CircuitSettings
from runtime.upstream.condition import HealthSettings, OutlierSettings
from runtime.upstream.pool import UpstreamPool
from runtime.upstream.settings import RetrySettings, UpstreamSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Wire, bench, both_loops, failure, request
from moody import Moody, moody, names, of

# --- balances ---


async def at_once(made: Bench, count: int, *servers: Moody) -> list[Wire]:
    """Requests that are all under way."""
    wires = []
    for number in range(1, count + 1):
        wires.append(await made.connect())
        wires[-1].send(request("GET /"))
        await made.until(lambda number=number: sum(len(server.seen) for server in servers) >= number)
    return wires


@both_loops
async def test_who_has_the_least_to_do_is_asked() -> None:
    async with moody("a", "b") as (a, b):
        settings = of(a, b, balance="least_connections")
        settings = replace(settings, servers=(settings.servers[0], replace(settings.servers[1], weight=3)))
        async with bench(up=settings) as made:
            a.mood = b.mood = "silent"
            wires = await at_once(made, 8, a, b)
            assert (len(a.seen), len(b.seen)) == (2, 6)
            assert [server.active for server in made.pools["up"].servers] == [2, 6]
            for wire in wires:
                wire.abort()
            await made.until(lambda: not made.edge.connections)
            assert [server.active for server in made.pools["up"].servers] == [0, 0]
            # also what streams is work, until it is through
            a.mood = b.mood = "well"
            assert sum((await names(made, 8)).values()) == 8
            assert [server.active for server in made.pools["up"].servers] == [0, 0]


@both_loops
async def test_what_a_server_works_on_is_counted_until_the_end_of_the_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await go.wait()
        wire.send(b"cd")
        await wire.rest()

    go = asyncio.Event()
    from edges import Origin

    origin = await Origin(script).start()
    async with bench(up=of(origin, balance="least_connections")) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        await wire.head()
        server = made.pools["up"].servers[0]
        assert server.active == 1
        go.set()
        assert await wire.exactly(4) == b"abcd"
        assert server.active == 0
        second = await made.connect()
        second.send(request("GET /"))
        await made.until(lambda: server.active)
        second.abort()
        await made.until(lambda: server.active == 0)
    await origin.stop()


@both_loops
async def test_equal_keys_go_to_the_same_server() -> None:
    def key(exchange: Exchange) -> str:
        found = exchange.request.query_value("user")
        if found is None:
            raise Failed(Failure("missing-value", 400, "the query has no `user`"))
        return found

    async with moody("a", "b", "c") as servers:
        retries = RetrySettings(1, budget=1.0)
        settings = of(*servers, balance="hash", outliers=OutlierSettings(failures=1), retries=retries)
        async with bench(up=settings) as made:
            pool = made.pools["up"]
            pool.use_key(key)
            homes = {}
            for user in range(30):
                said = await names(made, 3, f"GET /?user={user}")
                assert len(said) == 1
                (homes[user],) = said
            assert set(homes.values()) == {"a", "b", "c"}
            assert await names(made, 1) == {"400": 1}
            # while one is away only its keys move, and then they come back
            servers[0].mood = "503"
            for user in range(30):
                await names(made, 1, f"GET /?user={user}")
            for user, home in homes.items():
                said = await names(made, 2, f"GET /?user={user}")
                assert (home in said) == (home != "a")
            servers[0].mood = "well"
            made.advance(10.2)
            await asyncio.sleep(0)
            for user, home in homes.items():
                assert await names(made, 1, f"GET /?user={user}") == {home: 1}


@both_loops
async def test_the_faster_one_is_preferred() -> None:
    async with moody("slow", "fast") as (slow, fast), bench(up=of(slow, fast, balance="latency")) as made:
        servers = made.pools["up"].servers
        await names(made, 10)
        now = made.clock.ns
        servers[0].group.measured(servers[0], now, 50_000_000, False)
        servers[1].group.measured(servers[1], now, 1_000_000, False)
        assert await names(made, 20) == {"fast": 20}
        made.clock.ns += 3_600_000_000_000  # what was so an hour ago says nothing
        servers[1].group.measured(servers[1], made.clock.ns, 1_000_000, False)
        assert "slow" in await names(made, 20)


# --- limits ---


@both_loops
async def test_one_server_gets_so_many_connections() -> None:
    async with moody("a", "b") as (a, b):
        a.mood = b.mood = "silent"
        async with bench(up=of(a, b, per_server=2)) as made:
            pool = made.pools["up"]
            wires = await at_once(made, 4, a, b)
            assert (len(a.seen), len(b.seen)) == (2, 2)
            late = await made.connect()
            late.send(request("GET /"))
            await made.until(lambda: pool.queue)
            b.mood = "well"
            wires[1].abort()  # one of them was asked of `b`
            wires[0].abort()
            assert (await late.answer()).status in (200, 502)
            assert not pool.queue
        a.mood = "silent"
        a.seen.clear()
        b.mood = "well"
        async with bench(up=of(a, b, per_server=1, outliers=OutlierSettings(failures=1000))) as made:
            # who has no room left is passed over, and nobody waits for it
            await at_once(made, 1, a)
            assert await names(made, 6) == {"b": 6}


@both_loops
async def test_the_queue_has_an_end() -> None:
    async with moody("a") as (a,):
        a.mood = "silent"
        async with bench(up=of(a, connections=1, queue=2, wait=3.0)) as made:
            pool = made.pools["up"]
            wires = await at_once(made, 1, a)
            for number in (1, 2):
                wires.append(await made.connect())
                wires[-1].send(request("GET /"))
                await made.until(lambda number=number: len(pool.queue) == number)
            answer = await (await made.connect()).ask("GET /")
            assert (answer.status, answer["retry-after"]) == (503, "1")
            assert failure(made) == ("upstream-unavailable", 503)
            made.advance(3.3)
            assert (await wires[1].answer()).status == 504
            assert not pool.queue and pool.open == 1


# --- reload ---


def renewed(made: Bench, settings: UpstreamSettings) -> UpstreamPool:
    """As the gateway does it when a policy has changed."""
    former = made.pools["up"]
    made.pools["up"] = pool = UpstreamPool(
        "up", settings, former.loop, former.wheel, made.clock, former
    )
    former.close()
    return pool


@both_loops
async def test_servers_that_stay_keep_what_is_known_of_them() -> None:
    circuit = CircuitSettings(requests=2, pause=60_000_000_000)
    outliers = OutlierSettings(failures=1, pause=10.0, most=0.9)
    async with moody("a", "b", "c", "d") as (a, b, c, d):
        settings = of(a, b, c, outliers=outliers, retries=RetrySettings(0), server_circuit=circuit)
        async with bench(up=settings) as made:
            assert await names(made, 3) == {"a": 1, "b": 1, "c": 1}
            a.mood, b.mood = "503", "500"
            await names(made, 9)
            pool = made.pools["up"]
            assert [each.state for each in pool.statuses()] == ["left out", "well", "well"]
            assert [each.circuit for each in pool.statuses()] == ["open", "open", "closed"]
            made.advance(3)
            assert await names(made, 2) == {"c": 2}
            more = replace(settings, servers=(*settings.servers[::-1], of(d).servers[0]), head=7.0)
            pool = renewed(made, more)
            assert [each.state for each in pool.statuses()] == ["well", "well", "left out", "well"]
            assert [each.circuit for each in pool.statuses()] == ["closed", "open", "open", "closed"]
            assert await names(made, 8) == {"c": 4, "d": 4}
            assert len(c.wires) == 1, "its connection was kept"
            assert pool.open == 4
            a.mood = b.mood = "well"
            made.advance(7.3)
            await asyncio.sleep(0)
            assert pool.statuses()[2].state == "well"
            made.advance(61)
            await asyncio.sleep(0)
            assert await names(made, 8) == {"a": 2, "b": 2, "c": 2, "d": 2}


@both_loops
async def test_what_is_under_way_ends_with_the_pool_it_began_with() -> None:
    async with moody("a") as (a,):
        a.mood = "silent"
        async with bench(up=of(a)) as made:
            former = made.pools["up"]
            wire = (await at_once(made, 1, a))[0]
            pool = renewed(made, of(a, head=9.0))
            assert (former.open, pool.open) == (1, 0)
            a.wires[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            assert (await wire.answer()).body == b"ok"
            assert (former.open, pool.open) == (0, 0)
            a.mood = "well"
            assert await names(made, 2) == {"a": 2}
            assert pool.open == 1


@both_loops
async def test_who_was_ill_is_asked_again_when_nobody_asks_after_its_health() -> None:
    async with moody("a") as (a,):
        settings = of(a, health=HealthSettings("/", fall=1))
        async with bench(up=settings) as made:
            pool = made.pools["up"]
            pool.watch.asked(pool.servers[0], False)
            await asyncio.sleep(0)
            assert await names(made, 1) == {"503": 1}
            renewed(made, replace(settings, health=None))
            assert await names(made, 1) == {"a": 1}


@both_loops
async def test_a_circuit_outlives_a_reload() -> None:
    circuit = CircuitSettings(requests=1)
    async with moody("a") as (a,):
        a.mood = "500"
        async with bench(up=of(a, circuit=circuit)) as made:
            assert await names(made, 2) == {"500": 1, "503": 1}
            renewed(made, of(a, circuit=circuit, head=7.0))
            assert await names(made, 2) == {"503": 2}
            renewed(made, of(a, circuit=replace(circuit, errors=0.9)))
            assert await names(made, 1) == {"500": 1}


@both_loops
async def test_a_pool_tells_how_it_is() -> None:
    async with moody("a", "b") as (a, b):
        settings = of(a, b)
        settings = replace(settings, servers=(settings.servers[0], replace(settings.servers[1], backup=True)))
        async with bench(up=settings) as made:
            a.mood = "silent"
            wires = await at_once(made, 2, a)
            statuses = made.pools["up"].statuses()
            assert [(one.state, one.circuit, one.active, one.backup, one.share) for one in statuses] == [
                ("well", "", 2, False, 1.0), ("well", "", 0, True, 1.0),
            ]  # fmt: skip
            assert statuses[0].address == f"127.0.0.1:{a.port}"
            assert Counter(len(one.idle) for one in made.pools["up"].servers) == {0: 2}
            for wire in wires:
                wire.abort()
