"""Requests and answers through the edge: framing, order, fields."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from policylang.sdk import Exchange, Response, UpstreamCall

sys.path.insert(0, str(Path(__file__).parent))
from edges import Origin, bench, both_loops, forward, replying, request, say


@both_loops
async def test_a_request_goes_through_and_back_and_the_connections_are_kept() -> None:
    async with bench() as made:
        wire = await made.connect()
        for number in range(3):
            answer = await wire.ask(f"GET /a/{number}?q=%20x")
            assert answer.status == 200
            assert answer.body.startswith(b"GET /a/%d?q=%%20x HTTP/1.1\r\nHost: gate.example\r\n" % number)
        assert len(made.origins["up"].wires) == 1
        assert len(made.edge.connections) == 1


@both_loops
async def test_pipelined_requests_are_answered_in_order() -> None:
    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path.startswith("/wait"):
            return await forward(exchange)
        return say(200, exchange.request.path.encode())

    async with bench(handle) as made:
        wire = await made.connect()
        paths = [("/wait" if number % 3 else "/now") + f"/{number}" for number in range(60)]
        wire.send(b"".join(request(f"GET {path}") for path in paths))
        for path in paths:
            assert path.encode() in (await wire.answer()).body
        # and byte by byte
        for byte in b"".join(request(f"POST {path}", b"xyz") for path in paths[:4]):
            wire.send(bytes([byte]))
            await asyncio.sleep(0)
        for path in paths[:4]:
            assert path.encode() in (await wire.answer()).body


@both_loops
async def test_bodies_stream_up_with_length_and_in_chunks() -> None:
    async with bench() as made:
        wire = await made.connect()
        wire.send(request("POST /a\nContent-Length: 6"))
        await made.until(lambda: made.origins["up"].wires)
        wire.send(b"abc")
        await asyncio.sleep(0.01)
        wire.send(b"def")
        assert (await wire.answer()).body.endswith(b"Content-Length: 6\r\n\r\nabcdef")
        wire.send(request("POST /b\nTransfer-Encoding: chunked"), b"3\r\nabc\r\n")
        await asyncio.sleep(0.01)
        wire.send(b"3;x=y\r\ndef\r\n0\r\nX-Checksum: t\r\n\r\n")
        body = (await wire.answer()).body
        assert body.endswith(b"Transfer-Encoding: chunked\r\n\r\nabcdef")
        # a body that came with its head needs no chunks
        wire.send(request("POST /c\nTransfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n")
        assert (await wire.answer()).body.endswith(b"Content-Length: 3\r\n\r\nabc")


@both_loops
async def test_answers_stream_down_with_length_in_chunks_and_to_the_end() -> None:
    async def script(wire: Any) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: x-secret\r\nX-Secret: 1\r\n\r\nabc")
        await asyncio.sleep(0.01)
        wire.send(b"def")
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.01)
        wire.send(b"3\r\ndef\r\n0\r\n\r\n")
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await asyncio.sleep(0.01)
        wire.send(b"def")

    async with bench(up=script) as made:
        wire = await made.connect()
        answer = await wire.ask("GET /")
        assert (answer["content-length"], answer["transfer-encoding"], answer.body) == ("6", None, b"abcdef")
        assert answer["x-secret"] is None and answer["connection"] is None
        answer = await wire.ask("GET /")
        assert (answer["content-length"], answer["transfer-encoding"], answer.body) == (None, "chunked", b"abcdef")
        answer = await wire.ask("GET /")
        assert (answer["content-length"], answer["transfer-encoding"], answer.body) == (None, "chunked", b"abcdef")
        assert len(made.origins["up"].wires) == 1


@both_loops
async def test_an_answer_that_came_whole_leaves_with_its_length() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with bench(up=replying(chunked)) as made:
        answer = await (await made.connect()).ask("GET /")
        assert (answer["content-length"], answer["transfer-encoding"], answer.body) == ("3", None, b"abc")


@both_loops
async def test_head_204_and_304_end_with_their_heads() -> None:
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: "x"\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    async with bench(up=replying(*answers)) as made:
        wire = await made.connect()
        assert (await wire.ask("HEAD /", method="HEAD"))["content-length"] == "1234"
        answer = await wire.ask("GET /")
        assert (answer.status, answer["content-length"], answer["transfer-encoding"]) == (204, None, None)
        answer = await wire.ask("GET /")
        assert (answer.status, answer["content-length"], answer["etag"]) == (304, "99", '"x"')
        assert (await wire.ask("GET /")).body == b"ok"
        assert len(made.origins["up"].wires) == 1


@both_loops
async def test_head_of_what_the_policy_says_itself_has_the_length_and_no_body() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(200, b"hello")

    async with bench(handle) as made:
        wire = await made.connect()
        answer = await wire.ask("HEAD /", method="HEAD")
        assert answer["content-length"] == "5"
        assert (await wire.ask("GET /")).body == b"hello"
        assert (await wire.ask("GET /"))["date"] == "Fri, 15 Jan 2027 08:16:40 GMT"


@both_loops
async def test_a_status_that_nobody_knows_is_passed_on() -> None:
    async with bench(up=replying(b"HTTP/1.1 799 What\r\nContent-Length: 2\r\n\r\nok")) as made:
        answer = await (await made.connect()).ask("GET /")
        assert (answer.status, answer.body) == (799, b"ok")


@both_loops
async def test_interim_answers_are_not_passed_on() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with bench(up=replying(hint + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as made:
        answer = await (await made.connect()).ask("GET /")
        assert (answer.status, answer.body, answer["link"]) == (200, b"ok", None)


@both_loops
async def test_old_clients() -> None:
    async def script(wire: Any) -> None:
        for _ in range(2):
            assert b"\r\nVia: 1.0 polgate\r\n" in await wire.head()
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.01)
        wire.send(b"0\r\n\r\n")

    async with bench(up=script) as made:
        wire = await made.connect()
        answer = await wire.ask("GET / HTTP/1.0\nConnection: keep-alive")
        assert (answer["connection"], answer.body) == ("keep-alive", b"ok")
        answer = await wire.ask("GET / HTTP/1.0")
        assert (answer["connection"], answer.body) == ("close", b"ok")
        assert await wire.rest() == b""
        # without a length the end of the connection is the end of the body
        wire = await made.connect()
        answer = await wire.ask("GET / HTTP/1.0\nConnection: keep-alive")
        assert (answer["connection"], answer["transfer-encoding"], answer.body) == ("close", None, b"abc")


@both_loops
async def test_connection_close_is_honoured() -> None:
    async with bench() as made:
        wire = await made.connect()
        answer = await wire.ask("GET /\nConnection: close")
        assert answer["connection"] == "close"
        assert await wire.rest() == b""
        await made.until(lambda: not made.edge.connections)


@both_loops
async def test_an_upgrade_may_be_offered_in_vain() -> None:
    async with bench() as made:
        wire = await made.connect()
        answer = await wire.ask("GET /chat\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x")
        assert answer.status == 200
        assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in answer.body
        assert b"pgrade" not in (await wire.ask("GET /")).body


@both_loops
async def test_what_the_client_claims_is_replaced() -> None:
    async with bench() as made:
        wire = await made.connect()
        answer = await wire.ask(
            """GET /
            Forwarded: for=1.2.3.4
            X-Forwarded-For: 1.2.3.4
            X-Forwarded-Proto: https
            X-Forwarded-Host: evil
            X-Real-IP: 1.2.3.4
            Via: 1.0 front
            X-Request-ID: abc-123
            Connection: X-Hop
            X-Hop: 1
            Keep-Alive: 5
            TE: trailers
            Proxy-Authorization: Basic x
            X-Under_score: 1
            X-End: to end"""
        )
        head = answer.body.decode()
        assert "1.2.3.4" not in head and "evil" not in head and "https" not in head
        for line in (
            "Via: 1.0 front, 1.1 polgate", "Forwarded: for=127.0.0.1;host=gate.example;proto=http",
            "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: gate.example",
            "X-Request-ID: abc-123", "X-End: to end",
        ):  # fmt: skip
            assert head.count(f"\r\n{line}\r\n") == 1, line
        for name in ("X-Hop", "Keep-Alive", "TE:", "Proxy-", "Under", "Connection"):
            assert name not in head
        # nothing of it stays with the connection
        head = (await wire.ask("GET /\nHost: other.example:81")).body.decode()
        assert '\r\nForwarded: for=127.0.0.1;host="other.example:81";proto=http\r\n' in head
        assert "\r\nHost: other.example:81\r\nVia: 1.1 polgate\r\n" in head
        assert "abc-123" not in head


@both_loops
async def test_request_ids_are_made_where_none_is_sane() -> None:
    seen: list[str] = []

    async def handle(exchange: Exchange) -> Response:
        seen.append(exchange.request.id)
        assert exchange.request.header(b"x-forwarded-for") is None
        return say(204)

    async with bench(handle) as made:
        wire = await made.connect()
        fields = ("X-Request-ID: a b", "X-Request-ID: " + "x" * 200, "X-Request-ID: a\nX-Request-ID: b", "X-A: 1")
        for line in fields:
            await wire.ask(f"GET /\n{line}\nX-Forwarded-For: 9.9.9.9")
        assert len(set(seen)) == 4 and all(len(id) == 24 and id.isalnum() for id in seen)


@both_loops
async def test_a_request_that_goes_in_circles_is_stopped() -> None:
    async with bench() as made:
        wire = await made.connect()
        answer = await wire.ask("GET /\nVia: " + ", ".join(["1.1 polgate"] * 10))
        assert answer.status == 508


@both_loops
async def test_the_policy_may_change_what_goes_upstream() -> None:
    async def handle(exchange: Exchange) -> Response:
        asked = exchange.request
        if asked.path == "/query":
            asked.set_query(b"b=2")
        elif asked.path == "/path":
            asked.path = "/other"
        elif asked.path == "/header":
            asked.set_header(b"x-new", b"X-New", b"1")
            asked.remove_header(b"x-old")
        elif asked.path == "/method":
            asked.method = "PURGE"
        elif asked.path == "/body":
            asked.set_body(b"longer than it was")
        elif asked.path == "/target":
            call = UpstreamCall(b"/chosen?c=3", host="api.internal")
            return await exchange.environment.upstreams["up"].send(exchange, call)
        elif asked.path == "/host":
            return await exchange.environment.upstreams["up"].send(exchange, UpstreamCall(None, host="a\r\nb"))
        elif asked.path == "/unsendable":
            asked.path = "/a b"
        return await forward(exchange)

    async with bench(handle) as made:
        wire = await made.connect()
        assert b"GET /query?b=2 HTTP/1.1\r\n" in (await wire.ask("GET /query?a=1")).body
        assert b"GET /other?a=1 HTTP/1.1\r\n" in (await wire.ask("GET /path?a=1")).body
        body = (await wire.ask("GET /header\nX-Old: 1")).body
        assert b"\r\nX-New: 1\r\n" in body and b"X-Old" not in body
        assert (await wire.ask("GET /method")).body.startswith(b"PURGE /method ")
        assert (await wire.ask("POST /body", b"short")).body.endswith(b"\r\n\r\nlonger than it was")
        body = (await wire.ask("GET /target?a=1")).body
        assert body.startswith(b"GET /chosen?c=3 HTTP/1.1\r\nHost: api.internal\r\nVia: 1.1 polgate\r\n")
        assert body.count(b"Host:") == 2  # the other is in X-Forwarded-Host
        assert (await wire.ask("GET /unsendable")).status == 400
        assert (await wire.ask("GET /host")).status == 400
        assert (await wire.ask("GET /fine")).status == 200
        assert len(made.origins["up"].wires) == 1


@both_loops
async def test_refusals_of_the_wire_are_problem_documents() -> None:
    cases = {
        b"GET / HTTP/1.1\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n": 400,
        b"GET /%2F HTTP/1.1\r\nHost: a\r\n\r\n": 400,
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": 505,
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n": 414,
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 40000 + b"\r\n\r\n": 431,
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n": 501,
        b"\x16\x03\x01\x02\x00\x01\x00": 400,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": 400,
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: a-cake\r\nContent-Length: 3\r\n\r\n": 417,
    }
    async with bench() as made:
        for data, status in cases.items():
            wire = await made.connect()
            wire.send(data)
            answer = await wire.answer()
            assert answer.status == status, data[:60]
            assert (answer["content-type"], answer["connection"]) == ("application/problem+json", "close")
            document = json.loads(answer.body)
            assert document["status"] == status and document["detail"] and "Traceback" not in document["detail"]
            assert await wire.rest() == b""
        assert len(made.refused) == len(cases)
        assert not made.done or {status for _, status, _, _ in made.done} == {400}
        # what is good in front of what is bad is answered first
        wire = await made.connect()
        wire.send(request("GET /good") + b"nonsense\r\n\r\n")
        assert b"/good" in (await wire.answer()).body
        assert (await wire.answer()).status in (400, 501)


@both_loops
async def test_a_mistake_of_ours_is_500_and_says_nothing() -> None:
    async def handle(exchange: Exchange) -> Response:
        if exchange.request.path == "/late":
            await forward(exchange)
        raise ZeroDivisionError("secret")

    async with bench(handle) as made:
        wire = await made.connect()
        for path in ("/", "/late"):
            answer = await wire.ask(f"GET {path}")
            assert answer.status == 500
            assert b"secret" not in answer.body and b"d1" in answer.body
        assert [type(error) for error in made.defects] == [ZeroDivisionError] * 2


@both_loops
async def test_the_asterisk_form_reaches_the_policy() -> None:
    async def handle(exchange: Exchange) -> Response:
        return say(200, exchange.request.path.encode())

    async with bench(handle) as made:
        assert (await (await made.connect()).ask("OPTIONS *")).body == b"*"


@both_loops
async def test_the_hook_is_told_what_went_by() -> None:
    async with bench(up=Origin()) as made:
        wire = await made.connect()
        answer = await wire.ask("POST /a", b"12345")
        exchange, status, received, sent = made.done[0]
        assert (status, received, sent) == (200, 5, len(answer.body))
        trace = exchange.request.trace  # type: ignore[attr-defined]
        assert (trace.attempts, trace.status) == (1, 200) and trace.server.startswith("127.0.0.1:")
        assert exchange.client.ip == "127.0.0.1" and exchange.client.port == wire.writer.get_extra_info("sockname")[1]
