"""Upstreams that still work on what nobody waits for: the connection stays until they are done, where that matters."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from edges import OK, Bench, Origin, Wire, bench, both_loops, run, to

from policylang.sdk import Exchange, Response, UpstreamCall
from runtime.edge.settings import EdgeSettings

GET = b"GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n"


class Held:
    """A policy that has to know when the upstream is done. `over`: the exchange is; `done`: the upstream is, too."""

    def __init__(self) -> None:
        self.over = self.done = False
        self.exchange: Exchange | None = None

    async def __call__(self, exchange: Exchange) -> Response:
        self.exchange = exchange
        answers = exchange.await_answers()

        def ended() -> None:
            self.over = True
            answers.when_none(finished)

        def finished() -> None:
            self.done = True

        exchange.at_end(ended)
        exchange.response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())
        return exchange.response


async def silent(wire: Wire) -> None:
    await wire.head()
    await wire.rest()


def lingering(
    test: Callable[[Bench, Held, Origin], Coroutine[Any, Any, None]], script: Any = silent, **settings: Any
) -> None:
    async def within() -> None:
        held, origin = Held(), await Origin(script).start()
        async with bench(held, up=to(origin, head=5.0), settings=EdgeSettings(**settings)) as made:
            await test(made, held, origin)

    run(within)


async def in_it(made: Bench, origin: Origin) -> Wire:
    """A client whose request has come to the origin."""
    client = await made.connect()
    client.send(GET)
    await made.until(lambda: origin.wires and made.pools["up"].requests == 1)
    await asyncio.sleep(0.01)
    return client


def test_the_answer_may_come_when_the_client_has_left() -> None:
    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        client.abort()
        await made.until(lambda: held.over)
        assert not held.done
        origin.wires[0].send(OK)
        await made.until(lambda: held.done)
        assert len(made.pools["up"].servers[0].idle) == 1, "the connection is as good as ever"
        assert made.done[-1][1] == 499

    lingering(test)


@pytest.mark.parametrize("how", ["silence", "loss"])
def test_an_answer_that_never_comes_is_waited_for_until_its_time_is_up(how: str) -> None:
    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        client.abort()
        await made.until(lambda: held.over)
        made.advance(4)
        assert not held.done
        if how == "silence":
            made.advance(1.5)
        else:
            origin.wires[0].abort()
        await made.until(lambda: held.done)
        assert not made.pools["up"].open

    lingering(test)


def test_a_client_that_is_told_504_is_no_reason_to_leave_the_upstream() -> None:
    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        made.advance(2.5)
        assert (await client.answer()).status == 504
        assert held.over and not held.done
        origin.wires[0].send(OK)
        await made.until(lambda: held.done)

    lingering(test, request=2.0)


def test_a_body_is_read_on_when_the_client_has_left_in_the_middle() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", bytes(1000))
        await wire.rest()

    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        await client.head()
        client.abort()
        await made.until(lambda: held.over)
        assert not held.done
        origin.wires[0].send(bytes(999_000))
        await made.until(lambda: held.done)

    lingering(test, script)


def test_a_body_without_end_is_not_read_for_ever() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await wire.rest()

    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        await client.head()
        client.abort()
        await made.until(lambda: held.over)
        for _ in range(3):
            made.advance(0.5)
            origin.wires[0].send(b"1\r\na\r\n")
            await asyncio.sleep(0.01)
            assert not held.done
        made.advance(1)
        await made.until(lambda: held.done)

    lingering(test, script, request=2.0)


def test_a_request_that_the_upstream_has_not_whole_is_given_up_at_once() -> None:
    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await made.connect()
        client.send(b"POST / HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 10\r\n\r\nhalf")
        await made.until(lambda: origin.wires and made.pools["up"].requests == 1)
        await asyncio.sleep(0.01)
        client.abort()
        await made.until(lambda: held.done)
        assert not made.pools["up"].open

    lingering(test)


def test_what_is_cut_leaves_the_upstream_at_once() -> None:
    async def test(made: Bench, held: Held, origin: Origin) -> None:
        client = await in_it(made, origin)
        exchange = held.exchange
        assert exchange is not None
        exchange.unanswered = None
        made.edge.cut(exchange, "permit-lost", "")
        assert held.over and not made.pools["up"].open
        assert await client.rest() == b""

    lingering(test)


@both_loops
async def test_others_are_left_at_once() -> None:
    origin = await Origin(silent).start()
    async with bench(up=to(origin)) as made:
        client = await in_it(made, origin)
        client.abort()
        await made.until(lambda: not made.pools["up"].open)
