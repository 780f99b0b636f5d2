"""What an answer says of the way that it came: Proxy-Status (RFC 9209), Server-Timing, and events as they happen."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from functools import partial
from pathlib import Path

from policylang.sdk import Exchange, Response, Unavailable, UpstreamCall
from policylang.tree.problem import problem as tree_problem
from runtime.edge.networks import Networks
from runtime.edge.settings import EdgeSettings
from runtime.upstream.settings import UpstreamSettings, server_address

sys.path.insert(0, str(Path(__file__).parent))
from edges import Answer, Origin, Wire, bench, both_loops, forward, replying, say, to


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


async def closing(wire: Wire) -> None:
    await wire.head()


# --- Proxy-Status ---


@both_loops
async def test_a_failed_upstream_is_named_in_registered_words() -> None:
    answers = {
        b"nonsense\r\n\r\n": "http_protocol_error",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000: "http_response_header_section_size",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n": "http_protocol_error",
    }
    for answer, error in answers.items():
        async with bench(up=replying(answer)) as made:
            got = await (await made.connect()).ask("GET /")
            assert (got.status, got["proxy-status"]) == (502, f"polgate; error={error}")
    async with bench(up=closing) as made:
        got = await (await made.connect()).ask("POST /", b"x")
        assert (got.status, got["proxy-status"]) == (502, "polgate; error=connection_terminated")
    async with bench(up=UpstreamSettings((server_address(f"http://127.0.0.1:{unused_port()}"),))) as made:
        got = await (await made.connect()).ask("GET /")
        assert (got.status, got["proxy-status"]) == (502, "polgate; error=connection_refused")


@both_loops
async def test_a_slow_upstream_and_a_slow_policy() -> None:
    async def silent(wire: Wire) -> None:
        await wire.rest()

    async def asleep(exchange: Exchange) -> Response:
        await exchange.environment.clock.sleep(1000)
        return say(200)

    async with bench(up=silent) as made:
        wire = await made.connect()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await made.until(lambda: made.origins["up"].wires)
        await asyncio.sleep(0.02)
        made.advance(31)
        got = await wire.answer()
        assert got.status == 504 and got["proxy-status"] == "polgate; error=connection_read_timeout"
    async with bench(asleep) as made:
        wire = await made.connect()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await made.until(lambda: made.clock.sleepers)
        made.advance(61)
        got = await wire.answer()
        assert got.status == 504 and got["proxy-status"] == "polgate; error=http_response_timeout"


@both_loops
async def test_our_own_mistakes_and_nobody_elses() -> None:
    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path == "/defect":
            raise ValueError("ours")
        return say(403)

    async with bench(handle) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /defect"))["proxy-status"] == "polgate; error=proxy_internal_error"
        assert (await wire.ask("GET /"))["proxy-status"] is None
        round_and_round = ", ".join(["1.1 polgate"] * 10)
        got = await wire.ask(f"GET /\nVia: {round_and_round}")
        assert (got.status, got["proxy-status"]) == (508, "polgate; error=proxy_loop_detected")
        wire = await made.connect()
        assert (await wire.ask("GET /%00"))["proxy-status"] is None
    async with bench(handle, settings=EdgeSettings(connections=1)) as made:
        await made.connect()
        await made.until(lambda: made.edge.connections)
        got = await (await made.connect()).answer()
        assert (got.status, got["proxy-status"]) == (503, "polgate; error=connection_limit_reached")


def test_a_store_that_is_away_is_our_own_failure() -> None:
    from policylang.sdk import Failure, Kind, Request

    asked = Request("GET", "/", None, [])
    for kind, expected in ((Kind.AWAY, True), (Kind.DEFECT, True), (Kind.ERROR, False), (Kind.REFUSAL, False)):
        answer = tree_problem(Failure("x", 503, kind=kind), asked)
        assert (answer.header(b"proxy-status") == "polgate; error=proxy_internal_error") is expected
    assert Unavailable("store").status == 503


@both_loops
async def test_who_has_handled_an_answer_before_is_listed_before() -> None:
    said = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nProxy-Status: inner; error=dns_timeout\r\n"
    answers = [
        f"HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok".encode(),
        f"HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok".encode(),  # known by now
        b"HTTP/1.1 200 OK\r\nProxy-Status: a\r\nProxy-Status: b\r\nContent-Length: 2\r\n\r\nok",
        f"HTTP/1.1 200 OK\r\n{said}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".encode(),
        b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok",
    ]
    async with bench(up=replying(*answers)) as made:
        wire = await made.connect()
        inner = "inner; error=dns_timeout, polgate"
        for expected in (inner, inner, "a, b, polgate", inner, None):
            answer = await wire.ask("GET /")
            assert (answer["proxy-status"], answer.body) == (expected, b"ok")


# --- Server-Timing ---

TIMING = re.compile(r"polgate;dur=(\d+\.\d\d)(?:, upstream;dur=(\d+\.\d\d))?")


def times(answer: Answer) -> tuple[float, float] | None:
    match = TIMING.fullmatch(answer["server-timing"] or "")
    return None if match is None else (float(match[1]), float(match[2] or -1))


async def late(wire: Wire, moment: asyncio.Event, go: asyncio.Event) -> None:
    await wire.head()
    moment.set()
    await go.wait()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer-Timing: db;dur=1\r\n\r\nok")
    await wire.rest()


@both_loops
async def test_some_callers_are_told_how_long_it_took() -> None:
    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path == "/own":
            return say(200, b"ok")
        return await forward(exchange)

    for hooks in (True, False):
        settings = EdgeSettings(timed=Networks(["127.0.0.1"]))
        async with bench(handle, settings=settings, hooks=hooks) as made:
            moment, go = asyncio.Event(), asyncio.Event()
            made.origins["up"].script = partial(late, moment=moment, go=go)
            wire = await made.connect()
            assert times(await wire.ask("GET /own")) == (0.0, -1.0)
            wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await moment.wait()
            made.advance(0.25)
            go.set()
            answer = await wire.answer()
            assert answer["server-timing"] == "db;dur=1, polgate;dur=0.00, upstream;dur=250.00"
            made.edge.configure(EdgeSettings())
            assert (await wire.ask("GET /own"))["server-timing"] is None


@both_loops
async def test_times_are_for_the_client_not_for_the_proxy_in_front() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(200, b"ok")

    settings = EdgeSettings(trusted=Networks(["127.0.0.0/8"]), timed=Networks(["1.2.3.0/24"]))
    async with bench(handle, settings=settings) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /"))["server-timing"] is None
        assert (await wire.ask("GET /\nX-Forwarded-For: 1.2.3.4"))["server-timing"] is not None
        assert (await wire.ask("GET /\nX-Forwarded-For: 1.2.4.4"))["server-timing"] is None


# --- events ---


async def events(wire: Wire, chunked: bool, go: asyncio.Queue[bytes]) -> None:
    await wire.head()
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Connection: close\r\n"
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n" % framing)
    while event := await go.get():
        wire.send(b"%x\r\n%b\r\n" % (len(event), event) if chunked else event)
    wire.send(b"0\r\n\r\n" if chunked else b"")


@both_loops
async def test_each_event_arrives_before_the_next_is_sent() -> None:
    for chunked in (True, False):
        go: asyncio.Queue[bytes] = asyncio.Queue()

        async def script(wire: Wire, chunked: bool = chunked, go: asyncio.Queue[bytes] = go) -> None:
            await events(wire, chunked, go)

        async def handle(exchange: Exchange) -> Response:
            return await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())

        origin = await Origin(script).start()
        async with bench(handle, up=to(origin, between=3600)) as made:
            wire = await made.connect()
            wire.send(b"GET /events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n")
            head = await wire.head()
            assert b"Transfer-Encoding: chunked" in head and b"text/event-stream" in head
            for number in range(20):
                event = b"data: %d\n\n" % number
                await go.put(event)
                assert await wire.exactly(len(event) + 5) == b"%x\r\n%b\r\n" % (len(event), event)
                # quiet for long: only the upstream's `between` ends it
                for _ in range(7):
                    made.advance(500)
            await go.put(b"")
            assert await wire.exactly(5) == b"0\r\n\r\n"
            assert len(made.done) == 1
            await origin.stop()


@both_loops
async def test_events_that_stop_are_cut_when_the_upstream_may_be_waited_for_no_longer() -> None:
    go: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(wire: Wire) -> None:
        await events(wire, True, go)

    async with bench(up=script) as made:
        wire = await made.connect()
        wire.send(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        await wire.head()
        await go.put(b"x")
        assert await wire.exactly(6) == b"1\r\nx\r\n"
        made.advance(29)
        assert len(made.edge.connections) == 1
        made.advance(2)
        await made.until(lambda: made.done)
        failure = made.done[0][0].failure
        assert failure is not None and failure.name == "upstream-timeout"
