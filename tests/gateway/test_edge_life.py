"""A client's connection from its first byte to its last: bodies refused, clients that leave, deadlines, limits."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import weakref
from pathlib import Path

import pytest

from policylang.sdk import BodyLimits, Exchange, Response, Waiter
from runtime.edge.settings import EdgeSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Wire, bench, both_loops, forward, request, say


async def load_and_say(exchange: Exchange) -> Response:
    asked = exchange.request
    await asked.load(exchange.environment.bodies)
    return say(200, b"%d" % asked.size)


async def silent(wire: Wire) -> None:
    """An upstream that never answers."""
    await wire.rest()


# --- bodies ---


@both_loops
async def test_the_policy_may_have_the_body_held() -> None:
    async def handle(exchange: Exchange) -> Response:
        await exchange.request.load(exchange.environment.bodies)
        exchange.request.set_body(exchange.request.text.upper().encode())
        return await forward(exchange)

    async with bench(handle) as made:
        wire = await made.connect()
        for framing in ("Content-Length: 6", "Transfer-Encoding: chunked"):
            wire.send(request(f"POST /\n{framing}"))
            await asyncio.sleep(0.01)
            wire.send(b"abcdef" if "L" in framing else b"6\r\nabcdef\r\n0\r\n\r\n")
            assert (await wire.answer()).body.endswith(b"Content-Length: 6\r\n\r\nABCDEF")


@both_loops
async def test_a_body_over_the_limit_is_413() -> None:
    async with bench(load_and_say, bodies=BodyLimits(body=10)) as made:
        wire = await made.connect()
        assert (await wire.ask("POST /", b"0123456789")).status == 200
        # the declared length is enough, and what is near is read away
        wire.send(request("POST /\nContent-Length: 11"))
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (413, None)
        wire.send(b"0123456789a")
        assert (await wire.ask("POST /", b"01234")).body == b"5"
        # without one, the byte too many is
        wire.send(request("POST /\nTransfer-Encoding: chunked"), b"b\r\n0123456789a\r\n")
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (413, "close")


@both_loops
async def test_a_streamed_body_over_the_limit_is_413_too() -> None:
    async def handle(exchange: Exchange) -> Response:
        exchange.request.limit_body(10)
        return await forward(exchange)

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("POST /\nTransfer-Encoding: chunked"), b"6\r\nabcdef\r\n")
        await made.until(lambda: made.origins["up"].wires)
        wire.send(b"6\r\nabcdef\r\n0\r\n\r\n")
        assert (await wire.answer()).status == 413
        wire = await made.connect()
        assert (await wire.ask("POST /", b"0123456789")).status == 200
        await asyncio.sleep(0.01)
        assert made.pools["up"].open == 1


@both_loops
async def test_a_client_that_waits_is_told_to_continue_when_the_body_is_wanted() -> None:
    wanted: Waiter[None] = Waiter()

    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path == "/wait":
            await wanted
        return await (load_and_say if exchange.request.path != "/route" else forward)(exchange)

    async with bench(handle) as made:
        wire = await made.connect()
        for path, said in (("/wait", b"3"), ("/load", b"3"), ("/route", b"\r\n\r\nabc")):
            wire.send(request(f"POST {path}\nExpect: 100-continue\nContent-Length: 3"))
            if path == "/wait":
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(wire.reader.read(1), 0.05)
                wanted.fire(None)
            assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
            wire.send(b"abc")
            answer = await wire.answer()
            assert answer.body.endswith(said)
            assert b"xpect" not in answer.body
        # who sends the body at once needs no leave
        answer = await wire.ask("POST /load\nExpect: 100-continue", b"abc")
        assert answer.status == 200


@both_loops
async def test_a_client_that_waits_and_is_refused_hears_no_continue() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(401)

    async with bench(handle) as made:
        wire = await made.connect()
        answer = await wire.ask("POST /\nExpect: 100-continue\nContent-Length: 3")
        assert (answer.status, answer["connection"]) == (401, "close")
        made.advance(1.2)
        assert await wire.rest() == b""


@both_loops
async def test_an_early_refusal_reads_a_little_and_closes_gently() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(403)

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 1000000"), b"x" * 1000)
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (403, "close")
        # 64 KiB later the gateway says that it sends no more; the client may still send without a reset
        wire.send(b"x" * 70_000)
        assert await wire.rest() == b""
        wire.send(b"x" * 1000)
        await asyncio.sleep(0.01)
        assert len(made.edge.connections) == 1
        made.advance(2.2)
        await made.until(lambda: not made.edge.connections)
        # the same after a second without bytes, and the client's own end ends it
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 1000000"))
        assert (await wire.answer()).status == 403
        made.advance(1.2)
        assert await wire.rest() == b""
        wire.close()
        await made.until(lambda: not made.edge.connections)


@both_loops
async def test_the_rest_of_a_small_body_keeps_the_connection_but_not_for_long() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(403)

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 5"))
        assert (await wire.answer())["connection"] is None
        wire.send(b"abcde" + request("GET /"))
        assert (await wire.answer()).status == 403
        wire.send(request("POST /\nContent-Length: 5") + b"ab")
        assert (await wire.answer()).status == 403
        made.advance(1.2)
        made.advance(1.2)
        assert await wire.rest() == b""


@both_loops
async def test_a_body_that_breaks_off_in_bad_chunks_is_400() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(request("POST /\nTransfer-Encoding: chunked"), b"3\r\nabc\r\n")
        await made.until(lambda: made.origins["up"].wires)
        wire.send(b"zz\r\n")
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (400, "close")
        await made.until(lambda: made.pools["up"].open == 0)


@both_loops
async def test_two_branches_may_want_one_body() -> None:
    async def handle(exchange: Exchange) -> Response:
        source = exchange.request.source
        assert source is not None
        first, second = source.collect(100), source.collect(100)
        one, other = first.send(None), second.send(None)  # type: ignore[attr-defined]
        bodies = [await one, await other]
        first.close()  # type: ignore[attr-defined]
        second.close()  # type: ignore[attr-defined]
        return say(200, b"|".join([*bodies, await source.collect(100)]))

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 3"))
        await asyncio.sleep(0.01)
        wire.send(b"abc")
        assert (await wire.answer()).body == b"abc|abc|abc"


# --- clients that leave ---


@both_loops
async def test_a_client_that_leaves_cancels_its_evaluation() -> None:
    cancelled: list[str] = []

    async def handle(exchange: Exchange) -> Response:
        try:
            return await forward(exchange)
        except GeneratorExit:
            cancelled.append(exchange.request.path)
            raise

    async with bench(handle, up=silent) as made:
        for number, leave in enumerate((Wire.close, Wire.abort)):
            wire = await made.connect()
            wire.send(request(f"GET /{number}"))
            await made.until(lambda count=number: len(made.origins["up"].wires) > count)
            leave(wire)
            await made.until(lambda count=number: len(cancelled) > count)
            await made.until(lambda: not made.edge.connections and made.pools["up"].open == 0)
        assert [status for _, status, _, _ in made.done] == [499, 499]
        assert made.done[0][0].failure.name == "client-left"  # type: ignore[union-attr]
        assert not made.defects


@both_loops
async def test_an_end_of_input_counts_as_departure_but_not_for_what_is_answered() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        assert (await wire.answer()).status == 200
        wire.writer.write_eof()
        assert await wire.rest() == b""
        await made.until(lambda: not made.edge.connections)


@both_loops
async def test_a_client_that_leaves_within_its_body_cancels_too() -> None:
    async with bench(load_and_say) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 100"), b"x")
        await made.until(lambda: made.edge.connections and next(iter(made.edge.connections)).exchange)
        wire.close()
        await made.until(lambda: not made.edge.connections)
        assert [status for _, status, _, _ in made.done] == [499]


@both_loops
async def test_a_client_that_leaves_within_its_answer_ends_the_upstream_s_work() -> None:
    async def endless(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"3\r\nabc\r\n")
            await wire.writer.drain()
            await asyncio.sleep(0.001)

    async with bench(up=endless) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        await wire.head()
        wire.abort()
        await made.until(lambda: made.pools["up"].open == 0 and not made.edge.connections)
        assert made.done[0][1] == 200 and made.done[0][0].failure is not None


@both_loops
async def test_what_comes_while_an_evaluation_waits_is_bounded() -> None:
    answer: Waiter[None] = Waiter()

    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path == "/0":
            await answer
        return say(200, exchange.request.path.encode())

    async with bench(handle) as made:
        wire = await made.connect()
        count = 40_000
        flood = b"".join(request(f"GET /{number}") for number in range(count))
        wire.send(flood)
        await asyncio.sleep(0.2)
        (connection,) = made.edge.connections
        # One read more than the window may have been taken; the rest is in the kernel's hands and the client's.
        assert connection._reader.pending <= 64 * 1024 + 256 * 1024 < len(flood)
        answer.fire(None)
        for number in range(count):
            assert (await wire.answer()).body == b"/%d" % number


@both_loops
async def test_a_flood_of_requests_leaves_others_their_turn() -> None:
    served: list[str] = []

    async def handle(exchange: Exchange) -> Response:
        served.append(exchange.request.path)
        return say(200)

    async with bench(handle) as made:
        flooding, other = await made.connect(), await made.connect()
        flooding.send(request("GET /flood") * 1500)
        await made.until(lambda: served)
        other.send(request("GET /other"))
        await other.answer()
        assert served.count("/flood") < 1500
        for _ in range(1500):
            assert (await flooding.answer()).status == 200


@both_loops
async def test_a_client_that_does_not_read_gets_no_further_answers_made() -> None:
    served: list[int] = []

    async def handle(exchange: Exchange) -> Response:
        served.append(1)
        return say(200, b"x" * 60_000)

    async with bench(handle) as made:
        wire = await made.connect(receive_buffer=4096)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        wire.send(request("GET /") * 500)
        await made.until(lambda: any(one.congested for one in made.edge.connections))
        await asyncio.sleep(0.05)
        assert len(served) < 200
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(500):
            assert len((await wire.answer()).body) == 60_000


# --- deadlines ---


@both_loops
async def test_a_head_that_takes_too_long_is_408() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(b"GET / HTTP/1.1\r\n")
        await asyncio.sleep(0.02)
        for _ in range(4):
            made.advance(2.4)
            wire.send(b"X: 1\r\n")  # trickling does not help
            await asyncio.sleep(0.02)
        made.advance(0.8)
        assert (await wire.answer()).status == 408
        assert made.refused == [("127.0.0.1", 408, "header-timeout")]
        # on a connection that has served already, too
        wire = await made.connect()
        assert (await wire.ask("GET /")).status == 200
        wire.send(b"GET")
        await asyncio.sleep(0.02)
        made.advance(10.3)
        assert (await wire.answer()).status == 408


@both_loops
async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with bench() as made:
        wire, other = await made.connect(), await made.connect()
        await made.until(lambda: len(made.edge.connections) == 2)
        made.advance(59)
        assert (await other.ask("GET /")).status == 200
        made.advance(1.5)
        assert await wire.rest() == b""
        assert len(made.edge.connections) == 1
        made.advance(59)
        assert await other.rest() == b""


@both_loops
async def test_a_body_that_comes_too_slowly_is_408() -> None:
    async with bench(load_and_say) as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 100000"), b"x" * 6000)
        await asyncio.sleep(0.02)
        made.advance(10.2)  # 600 bytes a second are enough
        await asyncio.sleep(0.02)
        wire.send(b"x" * 4000)  # 400 are not
        await asyncio.sleep(0.02)
        made.advance(10.2)
        answer = await wire.answer()
        assert (answer.status, answer["connection"]) == (408, "close")
        assert made.done[0][0].failure.name == "body-timeout"  # type: ignore[union-attr]


@both_loops
async def test_a_request_as_a_whole_has_a_deadline() -> None:
    async def handle(exchange: Exchange) -> Response:
        await exchange.environment.clock.sleep(1000)
        return say(200)

    async with bench(handle) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        await made.until(lambda: made.clock.sleepers)
        made.advance(59)
        await asyncio.sleep(0.01)
        assert not made.done
        made.advance(1.5)
        answer = await wire.answer()
        assert (answer.status, json.loads(answer.body)["type"]) == (504, "urn:polgate:request-timeout")
        made.advance(1000)  # the sleeper wakes, and nobody is there
        assert not made.defects


@both_loops
async def test_a_long_upload_has_only_its_rate_to_keep() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(request("POST /\nContent-Length: 100000"))
        await made.until(lambda: made.origins["up"].wires)
        for _ in range(20):
            wire.send(b"x" * 5000)
            await asyncio.sleep(0.01)
            made.advance(5)
        assert (await wire.answer()).body.endswith(b"x" * 1000)


@both_loops
async def test_a_client_that_stops_reading_its_answer_is_cut() -> None:
    async def endless(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(10000):
            wire.send(b"x" * 10_000)
            await wire.writer.drain()

    async with bench(up=endless) as made:
        wire = await made.connect(receive_buffer=4096)
        wire.send(request("GET /"))
        await wire.head()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await made.until(lambda: any(one.congested for one in made.edge.connections))
        await asyncio.sleep(0.1)
        for _ in range(4):
            made.advance(61)
            await asyncio.sleep(0.01)
        await made.until(lambda: not made.edge.connections)
        assert made.done[0][0].failure.name == "response-timeout"  # type: ignore[union-attr]
        await made.until(lambda: made.pools["up"].open == 0)


# --- the edge as a whole ---


@both_loops
async def test_one_connection_too_many_is_503() -> None:
    async with bench(settings=EdgeSettings(connections=2)) as made:
        wires = [await made.connect() for _ in range(3)]
        assert (await wires[2].answer()).status == 503
        assert await wires[2].rest() == b""
        for wire in wires[:2]:
            assert (await wire.ask("GET /")).status == 200


@both_loops
async def test_a_connection_that_was_not_asked_over_yet_is_not_closed_with_those_that_were() -> None:
    async with bench() as made:
        kept, new = await made.connect(), await made.connect()
        kept.send(request("GET /"))
        await kept.answer()
        await made.until(lambda: len(made.edge.connections) == 2)
        made.edge.drain(fresh=False)
        assert await kept.rest() == b""
        new.send(request("GET /late"))
        answer = await new.answer()
        assert (answer.status, answer["connection"]) == (200, "close")
        assert await new.rest() == b""


@both_loops
async def test_what_is_accepted_in_the_turn_in_which_draining_begins_is_served() -> None:
    async with bench() as made:
        made.edge.drain(fresh=False)
        new = await made.connect()
        await made.until(lambda: len(made.edge.connections) == 1)
        new.send(request("GET /late"))
        answer = await new.answer()
        assert (answer.status, answer["connection"]) == (200, "close")
        assert await new.rest() == b""


@both_loops
async def test_draining_answers_what_was_asked_and_closes() -> None:
    release: Waiter[None] = Waiter()

    async def handle(exchange: Exchange) -> Response:
        await release
        return say(200, b"late")

    async with bench(handle) as made:
        idle, busy = await made.connect(), await made.connect()
        busy.send(request("GET /"))
        await made.until(lambda: len(made.edge.connections) == 2 and any(one.exchange for one in made.edge.connections))
        made.edge.drain()
        assert await idle.rest() == b""
        release.fire(None)
        answer = await busy.answer()
        assert (answer.body, answer["connection"]) == (b"late", "close")
        assert await busy.rest() == b""
        busy.close()
        await asyncio.wait_for(made.edge.emptied(), 5)


@both_loops
async def test_a_new_policy_takes_over_between_requests() -> None:
    release: Waiter[None] = Waiter()

    async def old(exchange: Exchange) -> Response:
        await release
        return say(200, b"old")

    async def new(exchange: Exchange) -> Response:
        return say(200, b"new")

    async with bench(old) as made:
        wire = await made.connect()
        wire.send(request("GET /") * 2)
        await made.until(lambda: any(one.exchange for one in made.edge.connections))
        made.edge.use(new, made.edge.environment)
        release.fire(None)
        assert [(await wire.answer()).body for _ in range(2)] == [b"old", b"new"]


@both_loops
async def test_connections_are_freed_without_the_collector() -> None:
    async with bench(hooks=False) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).status == 200
        gc.collect()
        gc.disable()
        try:
            connection = weakref.ref(next(iter(made.edge.connections)))
            wire.close()
            await made.until(lambda: not made.edge.connections)
            await asyncio.sleep(0.01)
            assert connection() is None
        finally:
            gc.enable()
