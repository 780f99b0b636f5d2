"""Connections that change to another protocol: the handshake is a request like others, what follows is only carried."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest
import websockets

from policylang.sdk import Exchange, Failed, Failure, Field, Response, UpstreamCall
from runtime.edge.settings import EdgeSettings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Bench, Origin, Wire, bench, both_loops, forward, request, say, to

ASKED = request("GET /chat\nUpgrade: echo/1\nConnection: keep-alive, Upgrade\nX-Mine: 1")
CHANGED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: Echo/1\r\nConnection: Upgrade\r\nX-Theirs: 2\r\n\r\n"


class Echo(Origin):
    """Changes to a protocol that says everything twice, until the client is done."""

    def __init__(self, answer: bytes = CHANGED) -> None:
        super().__init__(self.serve)
        self.answer = answer
        self.left = 0

    async def serve(self, wire: Wire) -> None:
        self.seen.append(await wire.head())
        wire.send(self.answer)
        while data := await wire.reader.read(1 << 16):
            wire.send(data, data)
            await wire.writer.drain()
        self.left += 1
        wire.send(b"bye")


async def opened(made: Bench, early: bytes = b"") -> Wire:
    wire = await made.connect()
    wire.send(ASKED + early)
    answer = await wire.answer()
    assert (answer.status, answer["upgrade"], answer["connection"]) == (101, "Echo/1", "Upgrade")
    assert (answer["x-theirs"], answer["content-length"]) == ("2", None)
    return wire


@both_loops
async def test_bytes_go_both_ways_until_both_are_done() -> None:
    origin = Echo()
    async with bench(up=origin) as made:
        wire = await opened(made, b"GET /early HTTP/1.1\r\n\r\n")
        assert await wire.exactly(46) == b"GET /early HTTP/1.1\r\n\r\n" * 2
        head = origin.seen[0].decode()
        assert "\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n" in head and "X-Mine: 1" in head
        assert head.lower().count("upgrade") == 2
        wire.send(b"ab")
        assert await wire.exactly(4) == b"abab"
        assert not made.done
        wire.writer.write_eof()  # and still listens
        assert await wire.rest() == b"bye"
        await made.until(lambda: made.done)
        exchange, status, received, sent = made.done[0]
        assert (status, received, sent, exchange.failure) == (101, 25, 53, None)
        assert len(made.done) == 1 and made.pools["up"].open == 0


@both_loops
async def test_the_policy_decides_about_the_handshake() -> None:
    async def handle(exchange: Exchange) -> Response:
        asked = exchange.request
        assert asked.header(b"upgrade") == "echo/1"
        if asked.path == "/no":
            raise Failed(Failure("not-you", 403, "no"))
        response = await forward(exchange)
        if asked.path == "/late":
            raise Failed(Failure("not-this", 403, f"{response.status}"))
        response.set_header(b"x-ours", b"X-Ours", b"3")
        return response

    origin = Echo()
    async with bench(handle, up=origin) as made:
        wire = await made.connect()
        wire.send(ASKED)
        assert (await wire.answer())["x-ours"] == "3"
        wire = await made.connect()
        wire.send(ASKED.replace(b"/chat", b"/no"))
        assert (await wire.answer()).status == 403
        # the connection goes on, with what had come behind
        wire.send(ASKED.replace(b"/chat", b"/late") + request("GET /no\nUpgrade: echo/1"))
        late = await wire.answer()
        assert (late.status, b'"detail":"101"' in late.body) == (403, True)
        assert (await wire.answer()).status == 403
        await made.until(lambda: made.pools["up"].open == 1)


@both_loops
async def test_a_handshake_that_is_declined_is_an_answer_as_any_other() -> None:
    async def script(wire: Wire) -> None:
        while True:
            head = await wire.head()
            wire.send(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: %d\r\n\r\n" % len(head) + head)

    async with bench(up=script) as made:
        wire = await made.connect()
        wire.send(ASKED + request("GET /2") + ASKED + request("GET /4")[:7])
        for path in (b"GET /chat", b"GET /2", b"GET /chat"):
            answer = await wire.answer()
            assert answer.status == 426 and answer.body.startswith(path)
            assert (b"Upgrade: echo/1" in answer.body) is (path == b"GET /chat")
        wire.send(request("GET /4")[7:])
        assert (await wire.answer()).body.startswith(b"GET /4")
        # read ahead of a slow one, byte by byte
        for byte in ASKED + request("GET /5"):
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await wire.answer()).status == 426
        assert (await wire.answer()).body.startswith(b"GET /5")
        assert len(made.done) == 6


@both_loops
async def test_what_is_not_offered_or_must_not_be_is_not_passed_on() -> None:
    asked = [
        "GET /\nUpgrade: h2c\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        "GET /\nUpgrade: h2c\nConnection: Upgrade\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
        "GET /\nUpgrade: HTTP/2.0\nConnection: Upgrade",
        "GET /\nUpgrade: echo/1",
        "GET /\nUpgrade: e cho\nConnection: Upgrade",
        "GET / HTTP/1.0\nUpgrade: echo/1\nConnection: Upgrade, keep-alive",
        "GET /\nUpgrade: echo/1\nConnection: Upgrade, close",
    ]
    async with bench() as made:
        for text in asked:
            wire = await made.connect()
            answer = await wire.ask(text)
            assert answer.status == 200 and b"pgrade" not in answer.body and b"HTTP2" not in answer.body, text
        wire = await made.connect()
        answer = await wire.ask("POST /\nUpgrade: echo/1\nConnection: Upgrade", b"abc")
        assert b"pgrade" not in answer.body and answer.body.endswith(b"abc")
        assert (await wire.ask("GET /")).status == 200
        # of several what may be
        answer = await wire.ask("GET /\nUpgrade: h2c, echo/1\nUpgrade: x\nConnection: Upgrade")
        assert b"\r\nUpgrade: echo/1, x\r\n" in answer.body
        # the policy has taken it away
        made.edge.use(_without_upgrade, made.edge.environment)
        assert b"pgrade" not in (await wire.ask("GET /\nUpgrade: x\nConnection: Upgrade")).body


async def _without_upgrade(exchange: Exchange) -> Response:
    exchange.request.remove_header(b"upgrade")
    return await forward(exchange)


@pytest.mark.parametrize(
    "answer",
    [
        CHANGED.replace(b"Upgrade: Echo/1\r\n", b""),
        CHANGED.replace(b"Echo/1", b"other"),
        CHANGED.replace(b"Echo/1", b"echo/1, other"),
        CHANGED.replace(b"X-Theirs", b"Content-Length"),
        CHANGED.replace(b"X-Theirs: 2", b"Transfer-Encoding: chunked"),
        CHANGED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
@pytest.mark.parametrize("fast", [True, False], ids=["uvloop", "asyncio"])
def test_a_101_that_does_not_fit_is_502(answer: bytes, fast: bool) -> None:
    from edges import run

    async def test() -> None:
        async with bench(up=Echo(answer)) as made:
            wire = await made.connect()
            wire.send(ASKED + request("GET /behind"))
            assert (await wire.answer()).status == 502
            assert (await wire.answer()).status == 502  # of the request behind: its 101 was not asked for at all
            assert made.pools["up"].open == 0

    run(test, fast)


@both_loops
async def test_whoever_is_slow_stops_the_other() -> None:
    async def flood(wire: Wire) -> None:
        await wire.head()
        wire.send(CHANGED)
        while True:
            wire.send(b"x" * 65_536)
            await wire.writer.drain()
            sent[0] += 65_536

    sent = [0]
    async with bench(up=flood) as made:
        wire = await made.connect(receive_buffer=4096)
        wire.send(ASKED)
        assert (await wire.answer()).status == 101
        before = -1
        while before != sent[0]:
            before = sent[0]
            await asyncio.sleep(0.1)
        assert sent[0] < 20 << 20
        while sent[0] == before:
            await wire.exactly(65_536)
        wire.abort()
        await made.until(lambda: made.done and not made.pools["up"].open)

    async def deaf(wire: Wire) -> None:
        await wire.head()
        wire.send(CHANGED)
        await stop.wait()
        while await wire.reader.read(1 << 20):
            pass

    stop = asyncio.Event()
    async with bench(up=deaf) as made:
        wire = await opened(made)
        total = 0
        while True:
            wire.send(b"x" * 65_536)
            try:
                await asyncio.wait_for(wire.writer.drain(), 0.3)
            except TimeoutError:
                break
            total += 65_536
            assert total < 40 << 20
        stop.set()
        await wire.writer.drain()
        wire.close()
        await made.until(lambda: made.done)
        assert made.done[0][2] == total + 65_536


@both_loops
async def test_it_has_deadlines() -> None:
    settings = EdgeSettings(upgrade_idle=10, upgrade_life=100, request=5, idle=5)
    async with bench(up=Echo(), settings=settings) as made:
        wire = await opened(made)
        for _ in range(3):
            made.advance(9)
            wire.send(b"a")
            assert await wire.exactly(2) == b"aa"
        made.advance(10.3)
        assert await wire.rest() == b""
        await made.until(lambda: made.done)
        failure = made.done[0][0].failure
        assert failure is not None and (failure.name, made.done[0][1]) == ("upgrade-idle", 101)

        wire = await opened(made)
        for _ in range(11):
            made.advance(9)
            wire.send(b"a")
            assert await wire.exactly(2) == b"aa"
        made.advance(1.3)
        assert await wire.rest() == b""
        await made.until(lambda: len(made.done) == 2)
        failure = made.done[1][0].failure
        assert failure is not None and failure.name == "upgrade-life"


@both_loops
async def test_a_reload_and_a_drain_leave_it_alone_until_the_end() -> None:
    async def other(exchange: Exchange) -> Response:
        return say(204)

    async with bench(up=Echo()) as made:
        wire = await opened(made)
        made.edge.use(other, made.edge.environment, made.edge.on_done)
        made.edge.configure(EdgeSettings(upgrade_idle=1))
        made.pools["up"].close()
        made.edge.drain()
        made.advance(2)
        wire.send(b"still")
        assert await wire.exactly(10) == b"stillstill"
        made.edge.abort()
        assert await wire.rest() == b""  # an end, no reset
        await made.until(lambda: made.done)
        assert (made.done[0][1], made.done[0][2]) == (101, 5)


@both_loops
async def test_a_side_that_is_lost_ends_the_other() -> None:
    origin = Echo()
    async with bench(up=origin) as made:
        wire = await opened(made)
        wire.abort()
        await made.until(lambda: made.done and not made.pools["up"].open)
        wire = await opened(made, b"abc")
        assert await wire.exactly(6) == b"abcabc"
        origin.wires[1].abort()
        assert await wire.rest() == b""
        assert len(made.done) == 1  # the client may still have something to say, but not for ever
        made.advance(61)
        await made.until(lambda: len(made.done) == 2 and not made.pools["up"].open)

    async def hasty(one: Wire) -> None:
        await one.head()
        one.send(CHANGED + b"all there is")

    async with bench(up=hasty) as made:
        wire = await made.connect()
        wire.send(ASKED)
        assert (await wire.answer()).status == 101
        assert await wire.exactly(12) == b"all there is"
        assert await wire.reader.read() == b""
        wire.close()
        await made.until(lambda: made.done and not made.pools["up"].open)


@both_loops
async def test_a_server_that_speaks_first_waits_for_the_policy() -> None:
    async def hasty(one: Wire) -> None:
        await one.head()
        one.send(CHANGED)
        one.send(b"x" * 300_000)
        await one.rest()

    async def handle(exchange: Exchange) -> Response:
        response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())
        await exchange.environment.clock.sleep(1)
        return response

    async with bench(handle, up=hasty) as made:
        wire = await made.connect()
        wire.send(ASKED)
        await made.until(lambda: made.clock.sleepers)
        await asyncio.sleep(0.05)
        made.advance(1.1)
        assert (await wire.answer()).status == 101
        assert await wire.exactly(300_000) == b"x" * 300_000


@both_loops
async def test_a_mirror_is_not_asked_to_change() -> None:
    async def handle(exchange: Exchange) -> Response:
        exchange.environment.upstreams["copy"].mirror(exchange, UpstreamCall())
        return await forward(exchange)

    copy = Origin()
    async with bench(handle, up=Echo(), copy=copy) as made:
        await opened(made)
        await made.until(lambda: copy.seen)
        assert b"pgrade" not in copy.seen[0]


@both_loops
async def test_websockets_pass_through() -> None:
    async def echo(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=[websockets.Subprotocol("chat")]) as server:
        origin = Origin()
        origin.port = next(iter(server.sockets)).getsockname()[1]
        async with bench(up=to(origin)) as made:
            url = f"ws://127.0.0.1:{made.port}/socket"
            async with websockets.connect(url, subprotocols=[websockets.Subprotocol("chat")], proxy=None) as client:
                assert client.subprotocol == "chat"
                for message in ("hello", b"\x00" * 200_000, "ü" * 70_000):
                    await client.send(message)
                    assert await client.recv() == message
                await asyncio.gather(*[client.send(str(number)) for number in range(100)])
                assert [await client.recv() for _ in range(100)] == [str(number) for number in range(100)]
                await (await client.ping())
            await made.until(lambda: made.done)
            assert made.done[0][1] == 101 and made.done[0][0].failure is None
            assert client.close_code == 1000




@both_loops
async def test_nothing_is_lost_or_added_on_the_way() -> None:
    luck = random.Random(7)
    up, down = luck.randbytes(3_000_000), luck.randbytes(3_000_000)

    async def push(wire: Wire, data: bytes) -> None:
        start = 0
        while start < len(data):
            size = luck.choice([1, 100, 5_000, 200_000])
            wire.send(data[start : start + size])
            start += size
            await wire.writer.drain()
        wire.writer.write_eof()

    async def pull(wire: Wire) -> bytes:
        pieces = []
        while piece := await wire.reader.read(luck.choice([1, 1_000, 100_000])):
            pieces.append(piece)
            if luck.random() < 0.05:
                await asyncio.sleep(0.001)
        return b"".join(pieces)

    async def both_ways(wire: Wire) -> None:
        await wire.head()
        wire.send(CHANGED)
        got.append((await asyncio.gather(pull(wire), push(wire, down)))[0])

    got: list[bytes] = []
    async with bench(up=both_ways) as made:
        wire = await made.connect()
        wire.send(ASKED + up[:70_000])
        assert (await wire.answer()).status == 101
        back, _ = await asyncio.gather(pull(wire), push(wire, up[70_000:]))
        await made.until(lambda: got and made.done)
        assert (got[0] == up, back == down) == (True, True)
        assert made.done[0][1:] == (101, len(up), len(down))


@both_loops
async def test_who_may_have_the_journal_finds_it_in_the_101() -> None:
    class Granted:
        def fields(self, exchange: Exchange, status: int) -> list[Field]:
            return [(b"polgate-journal", b"Polgate-Journal", b"%d" % status)]

    origin = Echo(CHANGED[:-2] + b"Polgate-Journal: theirs\r\n\r\n")
    async with bench(up=origin) as made:
        made.edge.on_done, made.edge.traced = lambda *_: None, True
        shown: list[bytes] = []
        made.edge.grant = lambda exchange, token: shown.append(token) or Granted()
        wire = await made.connect()
        wire.send(ASKED[:-2] + b"Polgate-Trace: a.b\r\n\r\n")
        answer = await wire.answer()
        assert (answer.status, answer["polgate-journal"], answer["x-theirs"]) == (101, "101", "2")
        assert shown == [b"a.b"] and b"polgate-trace" not in origin.seen[0].lower()
        wire.send(b"ab")
        assert await wire.exactly(4) == b"abab"
