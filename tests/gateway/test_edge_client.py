"""What a policy, an upstream and the log learn of the client, with trusted proxies in front and without."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import pytest

from policylang.sdk import Exchange, Response
from runtime.edge.entry import KEPT, LONGEST
from runtime.edge.networks import Networks
from runtime.edge.peer import plain_ip
from runtime.edge.request import ReceivedRequest
from runtime.edge.settings import EdgeSettings, edge_settings

sys.path.insert(0, str(Path(__file__).parent))
from edges import Wire, bench, both_loops, forward, say

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRUSTING = EdgeSettings(trusted=Networks(["127.0.0.0/8"]))


async def tell(exchange: Exchange) -> Response:
    client, asked = exchange.client, exchange.request
    return say(200, f"{client.ip} {client.port} {asked.scheme} {asked.host}".encode())


@both_loops
async def test_a_trusted_proxy_is_believed_and_nobody_else() -> None:
    claims = "X-Forwarded-For: 6.6.6.6, 1.2.3.4\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil.example"
    async with bench(tell) as made:
        wire = await made.connect()
        own = wire.writer.get_extra_info("sockname")[1]
        for _ in range(2):
            assert (await wire.ask(f"GET /\n{claims}")).body == f"127.0.0.1 {own} http gate.example".encode()
    async with bench(tell, settings=TRUSTING) as made:
        wire = await made.connect()
        for _ in range(2):
            assert (await wire.ask(f"GET /\n{claims}")).body == b"1.2.3.4 0 https gate.example"
            assert (await wire.ask("GET /\nForwarded: for=9.9.9.9;proto=http")).body == b"9.9.9.9 0 http gate.example"
            # the next request is another client's, or nobody's word
            assert b"127.0.0.1" in (await wire.ask("GET /")).body
        assert [exchange.client.ip for exchange, *_ in made.done[:2]] == ["1.2.3.4", "9.9.9.9"]
        answer = await wire.ask("GET /\nForwarded: for=9.9.9.9\nX-Forwarded-For: 1.2.3.4")
        assert answer.status == 400 and b"contradicting-proxies" in answer.body


@both_loops
async def test_an_upstream_gets_the_chain_as_far_as_it_is_believed() -> None:
    async with bench(forward, settings=TRUSTING) as made:
        wire = await made.connect()
        answer = await wire.ask(
            """GET /
            X-Forwarded-For: 6.6.6.6, 1.2.3.4
            X-Forwarded-For: 127.0.0.9
            X-Forwarded-Proto: https
            X-Forwarded-Port: 1
            X-Real-IP: 6.6.6.6
            X-Mine: 1"""
        )
        said = answer.body.decode()
        assert "\r\nX-Forwarded-For: 1.2.3.4, 127.0.0.9, 127.0.0.1\r\n" in said and "6.6.6.6" not in said
        ways = "host=gate.example;proto=http"
        assert f"Forwarded: for=1.2.3.4;{ways}s, for=127.0.0.9, for=127.0.0.1;{ways}\r\n" in said
        assert "X-Forwarded-Proto: https\r\n" in said and "X-Mine: 1\r\n" in said
        assert said.lower().count("x-forwarded-for") == 1 and "forwarded-port" not in said.lower()


@both_loops
async def test_what_was_found_once_is_found_again() -> None:
    async def handle(exchange: Exchange) -> Response:
        asked = exchange.request
        if asked.path == "/edit":
            asked.set_header(b"x-mine", b"X-Mine", b"2")
            asked.remove_header(b"accept")
            asked.add_header(b"x-new", b"X-New", b"3")
        return await forward(exchange)

    lines = "X-Forwarded-For: 1.2.3.4\nAccept: */*\nVia: 1.0 a\nX-Mine: 1\nX-Request-ID: one-1\ntracestate: a=b"
    for settings, chain in ((EdgeSettings(), b"127.0.0.1"), (TRUSTING, b"1.2.3.4, 127.0.0.1")):
        async with bench(handle, settings=settings) as made:
            wire = await made.connect()
            for path in ("/", "/edit") * 3:
                said = (await wire.ask(f"GET {path}\n{lines}")).body
                own = b"X-Mine: 2\r\nX-New: 3\r\n" if path == "/edit" else b"Accept: */*\r\nX-Mine: 1\r\n"
                assert said.endswith(b"\r\nX-Request-ID: one-1\r\n%b\r\n" % own), said
                assert b"\r\nVia: 1.0 a, 1.1 polgate\r\n" in said and b"X-Forwarded-For: %b\r\n" % chain in said
                assert b"tracestate" not in said


@both_loops
async def test_who_is_trusted_may_change_on_an_open_connection() -> None:
    async with bench(tell, settings=TRUSTING) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /\nX-Forwarded-For: 1.2.3.4")).body.startswith(b"1.2.3.4")
        made.edge.configure(EdgeSettings())
        assert (await wire.ask("GET /\nX-Forwarded-For: 1.2.3.4")).body.startswith(b"127.0.0.1")
        made.edge.configure(TRUSTING)
        assert (await wire.ask("GET /\nX-Forwarded-For: 1.2.3.4")).body.startswith(b"1.2.3.4")


@both_loops
async def test_what_is_remembered_of_proxies_is_bounded() -> None:
    async with bench(tell, settings=TRUSTING) as made:
        wire = await made.connect()
        for number in range(40):
            await wire.ask(f"GET /\nX-Forwarded-For: 1.2.3.{number}")
        assert len(made.edge.behind_proxies) == 40
        await wire.ask(f"GET /\nX-Forwarded-For: 1.2.3.4\nVia: {'1.1 x, ' * LONGEST}1.1 y")
        assert len(made.edge.behind_proxies) == 40
        one = next(iter(made.edge.behind_proxies.items()))
        made.edge.behind_proxies.update({(*one[0][:4], b"%d" % number, one[0][5]): one[1] for number in range(KEPT)})
        await wire.ask("GET /\nX-Forwarded-For: 1.2.4.1")
        assert len(made.edge.behind_proxies) == 1


@both_loops
async def test_traces_go_on_where_they_are_sane() -> None:
    async with bench() as made:
        wire = await made.connect()
        said = (await wire.ask(f"GET /\ntraceparent: {PARENT}\ntracestate: a=b\nbaggage: c=d")).body.decode()
        assert f"traceparent: {PARENT}\r\ntracestate: a=b\r\nbaggage: c=d\r\n" in said
        said = (await wire.ask("GET /\ntraceparent: 00-x-01\ntracestate: a=b\nbaggage: c=d")).body.decode()
        assert "trace" not in said and "baggage: c=d" in said
        ids = []
        for exchange, *_ in made.done:
            assert isinstance(exchange.request, ReceivedRequest) and exchange.request.trace is not None
            ids.append(exchange.request.trace.trace_id)
        assert ids == [PARENT[3:35], ""]


@both_loops
async def test_an_address_of_ipv6_is_one_everywhere() -> None:
    async with bench(forward) as made:
        try:
            listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError:
            pytest.skip("no IPv6 here")
        await made.edge.listen(listening)
        wire = Wire(*await asyncio.open_connection("::1", listening.getsockname()[1]))
        made.wires.append(wire)
        said = (await wire.ask("GET /\nHost: [0:0::1]:80")).body.decode()
        assert 'Forwarded: for="[::1]";host="[::1]:80";proto=http\r\nX-Forwarded-For: ::1\r\n' in said
        assert made.done[0][0].client.ip == "::1"


@pytest.mark.parametrize(
    "text, ip",
    [
        ("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("::FFFF:a00:1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"), ("2001:DB8:0:0::1", "2001:db8::1"),
    ],
)  # fmt: skip
def test_addresses_of_sockets_have_one_spelling(text: str, ip: str) -> None:
    assert plain_ip(text) == ip


def test_the_settings_are_read() -> None:
    class One:
        def __init__(self, name: str, values: dict[str, object]) -> None:
            self.name = name
            self.values = values

    made = edge_settings(
        [One("trusted_proxies", {"networks": ["10.0.0.0/8"]}), One("server_timing", {"networks": ["::1"]})]
    )
    assert "10.1.2.3" in made.trusted and "::1" in made.timed and "::1" not in made.trusted
