"""Servers over TLS: they are who they must be, or get no byte of a request."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Authority, Told, authority
from edges import Bench, Origin, Wire, bench, both_loops, replying, request

from policylang.check import check_files
from policylang.sdk import Failure
from runtime.tls import WATCH, UpstreamTls
from runtime.upstream.settings import (
    RetrySettings,
    ServerAddress,
    UpstreamSettings,
    server_address,
    upstream_settings,
)  # fmt: skip


class SecureOrigin(Origin):
    """`asked`: the names that were asked for (SNI); `shown`: clients' certificates."""

    def __init__(self, pair: tuple[str, str], script: Any = None, client_ca: str | None = None, **given: Any) -> None:
        super().__init__(script)
        self.asked: list[str | None] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.context.sni_callback = lambda side, name, context: self.asked.append(name)
        if client_ca is not None:
            self.context.load_verify_locations(client_ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        for name, value in given.items():
            setattr(self.context, name, value)

    async def start(self) -> SecureOrigin:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


def settings(origin: Origin, host: str = "127.0.0.1", tls: UpstreamTls | None = None, **given: Any) -> UpstreamSettings:
    wanted = tls or UpstreamTls(ca=authority().file)
    once = RetrySettings(count=0)
    return UpstreamSettings((ServerAddress(host, origin.port, secure=True),), tls=wanted, retries=once, **given)


def local(**given: Any) -> tuple[str, str]:
    return authority().issue("127.0.0.1", "localhost", file="local", **given)


def failure(made: Bench) -> Failure:
    found = made.done[-1][0].failure
    assert isinstance(found, Failure)
    return found


def kind_of(found: Failure) -> str:
    """The error type of its Proxy-Status."""
    return dict(found.headers)["Proxy-Status"].removeprefix("polgate; error=")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(WATCH, "tell", lines.append)
    return lines


@both_loops
async def test_a_verified_server_gets_its_requests() -> None:
    origin = await SecureOrigin(local()).start()
    async with bench(up=settings(origin), named=settings(origin, "localhost")) as made:
        wire = await made.connect()
        for _ in range(3):
            assert b"GET /7" in (await wire.ask("GET /7")).body
        body = os.urandom(1 << 20)
        assert (await wire.ask("POST /", body)).body.endswith(body)
        assert len(origin.wires) == 1
        assert origin.asked == [None]  # RFC 6066 3: an address is no name
    await origin.stop()


@both_loops
async def test_the_name_is_asked_for_and_verified() -> None:
    origin = await SecureOrigin(local()).start()
    other = UpstreamTls(ca=authority().file, server_name="wrong.example")
    async with bench(up=settings(origin, "localhost")) as made:
        assert (await (await made.connect()).ask("GET /")).status == 200
        assert origin.asked == ["localhost"]
    async with bench(up=settings(origin, "localhost", other)) as made:
        answer = await (await made.connect()).ask("GET /")
        assert answer.status == 502
        assert b"upstream-unreachable" in answer.body
        assert b"wrong.example" not in answer.body
        assert origin.asked[-1] == "wrong.example"
        found = failure(made)
        assert kind_of(found) == "tls_certificate_error"
        assert "hostname mismatch" in found.reason
    await origin.stop()


@both_loops
async def test_who_is_not_trusted_gets_nothing() -> None:
    stranger = Authority(authority().folder, "upstranger").issue("127.0.0.1", file="upstranger1")
    past = local_past()
    lines: list[str] = []
    WATCH.tell = lines.append
    for pair, tls, reason in (
        (stranger, None, "unable to get local issuer certificate"),
        (local(), UpstreamTls(), "unable to get local issuer certificate"),
        (authority().issue("10.0.0.9", file="elsewhere"), None, "ip address mismatch"),
        (past, None, "certificate has expired"),
    ):
        origin = await SecureOrigin(pair).start()
        async with bench(up=settings(origin, tls=tls)) as made:
            wire = await made.connect()
            assert (await wire.ask("GET /")).status == 502
            assert (await wire.ask("GET /")).status == 502
            assert reason in failure(made).reason
            assert kind_of(failure(made)) == "tls_certificate_error"
            assert origin.seen == []
        await origin.stop()
    assert len(lines) == 4  # once each, not for every request
    assert "no TLS with 127.0.0.1:" in lines[0]
    origin = await SecureOrigin(stranger).start()
    async with bench(up=settings(origin, tls=UpstreamTls(verify=False))) as made:
        assert (await (await made.connect()).ask("GET /")).status == 200
    await origin.stop()


def local_past() -> tuple[str, str]:
    import datetime

    then = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    return authority().issue(
        "127.0.0.1", file="past", not_before=then, not_after=then + datetime.timedelta(days=1)
    )


@both_loops
async def test_the_gateway_shows_its_certificate() -> None:
    ours = authority().issue("gateway.example", file="ours")
    origin = await SecureOrigin(local(), client_ca=authority().file).start()
    shown = UpstreamTls(ca=authority().file, cert=ours[0], key=ours[1])
    async with bench(up=settings(origin, tls=shown)) as made:
        assert (await (await made.connect()).ask("GET /")).status == 200
        assert origin.wires[0].writer.get_extra_info("peercert")["subjectAltName"] == (("DNS", "gateway.example"),)
    async with bench(up=settings(origin)) as made:
        assert (await (await made.connect()).ask("GET /")).status == 502
    await origin.stop()


@both_loops
async def test_why_a_server_breaks_tls_off_is_told() -> None:
    """A gateway behind a gateway: in TLS 1.3 it says only after the handshake that it wants a certificate."""
    lines: list[str] = []
    WATCH.tell = lines.append
    origin = Origin()
    async with bench(tls=Told().server(local(), client_ca=authority().file)) as behind:
        origin.port = behind.port
        async with bench(up=settings(origin)) as made:
            assert (await (await made.connect()).ask("GET /")).status == 502
            assert failure(made).name == "upstream-broken"
            assert len(lines) == 1
            assert lines[0].endswith("has broken TLS off: tlsv13 alert certificate required")
        ours = authority().issue("gateway.example", file="ours")
        shown = UpstreamTls(ca=authority().file, cert=ours[0], key=ours[1])
        async with bench(up=settings(origin, tls=shown)) as made:
            wire = await made.connect()
            body = os.urandom(1 << 20)
            assert (await wire.ask("POST /", body)).body.endswith(body)


@both_loops
async def test_old_tls_is_not_spoken() -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        origin = SecureOrigin(local(), maximum_version=ssl.TLSVersion.TLSv1_1, minimum_version=ssl.TLSVersion.TLSv1)
    origin.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    await origin.start()
    async with bench(up=settings(origin)) as made:
        assert (await (await made.connect()).ask("GET /")).status == 502
        assert kind_of(failure(made)) in ("tls_protocol_error", "tls_alert_received")
    await origin.stop()


@both_loops
async def test_a_server_that_speaks_no_tls() -> None:
    async def shout(wire: Wire) -> None:
        wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await wire.rest()

    origin = await Origin(shout).start()
    async with bench(up=settings(origin)) as made:
        answer = await (await made.connect()).ask("GET /")
        assert answer.status == 502
        assert kind_of(failure(made)) == "tls_protocol_error"
    await origin.stop()


@both_loops
async def test_the_deadline_covers_the_handshake() -> None:
    async def dumb(wire: Wire) -> None:
        await wire.rest()

    origin = await Origin(dumb).start()
    async with bench(up=settings(origin, connect=2.0)) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        await made.until(lambda: origin.wires)
        await asyncio.sleep(0.05)
        made.advance(3)
        answer = await wire.answer()
        assert answer.status == 504
        assert kind_of(failure(made)) == "connection_timeout"
        assert await origin.wires[0].rest() == b""  # nothing is left open
    await origin.stop()


@both_loops
async def test_a_server_that_leaves_within_the_handshake() -> None:
    async def leave(wire: Wire) -> None:
        await wire.exactly(10)

    origin = await Origin(leave).start()
    async with bench(up=settings(origin)) as made:
        assert (await (await made.connect()).ask("GET /")).status == 502
    await origin.stop()


@both_loops
async def test_a_body_that_ends_with_the_connection_needs_its_announcement() -> None:
    async def whole(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await asyncio.sleep(0.05)

    async def cut(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await asyncio.sleep(0.05)
        one = wire.writer.get_extra_info("socket")
        os.dup2(os.open(os.devnull, os.O_RDWR), one.fileno())

    origin = await SecureOrigin(local(), whole).start()
    async with bench(up=settings(origin)) as made:
        assert (await (await made.connect()).ask("GET /")).body == b"all of it"
    await origin.stop()
    origin = await SecureOrigin(local(), cut).start()
    async with bench(up=settings(origin)) as made:
        wire = await made.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await wire.ask("GET /")
        assert made.done[-1][0].failure is not None
    await origin.stop()


@both_loops
async def test_a_reset_ends_no_body_without_tls_either() -> None:
    import socket
    import struct

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await asyncio.sleep(0.05)
        wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.abort()

    async with bench(up=script) as made:
        wire = await made.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await wire.ask("GET /")


@both_loops
async def test_a_kept_connection_that_has_ended_is_replaced() -> None:
    origin = await SecureOrigin(local(), replying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).start()

    async def once(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await asyncio.sleep(0.02)

    origin.script = once
    async with bench(up=settings(origin)) as made:
        wire = await made.connect()
        for _ in range(3):
            assert (await wire.ask("GET /")).body == b"ok"
            await asyncio.sleep(0.05)
        assert len(origin.wires) == 3
    await origin.stop()


@both_loops
async def test_a_tunnel_with_tls_on_both_sides() -> None:
    async def echo(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi")
        while data := await wire.reader.read(1 << 16):
            wire.send(data)
        wire.send(b"bye")

    origin = await SecureOrigin(local(), echo).start()
    gate = authority().issue("gate.example", file="gate")
    async with bench(up=settings(origin), tls=Told().server(gate)) as made:
        wire = await made.connect(tls=authority().client())
        wire.send(request("GET /\nConnection: Upgrade\nUpgrade: echo"))
        assert (await wire.head()).startswith(b"HTTP/1.1 101 ")
        assert await wire.exactly(2) == b"hi"
        sent = os.urandom(3 << 20)
        wire.send(sent)
        assert await wire.exactly(len(sent)) == sent
        origin.wires[0].send(b"last")
        origin.wires[0].close()
        assert await wire.rest() == b"last"
    await origin.stop()


@both_loops
async def test_files_of_an_upstream_are_taken_up_again() -> None:
    told = Told()
    later = Authority(authority().folder, "later")
    ca = authority().folder / "turning-ca.pem"
    ca.write_bytes(Path(authority().file).read_bytes())
    origin = await SecureOrigin(later.issue("127.0.0.1", file="later1")).start()
    async with bench(up=settings(origin, tls=UpstreamTls(ca=str(ca)))) as made:
        wire = await made.connect()
        assert (await wire.ask("GET /")).status == 502
        ca.write_text("nothing")
        WATCH.look()
        WATCH.look()
        ca.write_bytes(Path(later.file).read_bytes())
        WATCH.look()
        WATCH.look()
        assert (await wire.ask("GET /")).status == 200
    assert told.lines == []
    await origin.stop()


def checked(text: str) -> Any:
    name = str(authority().folder / "policy.pol")
    outcome = check_files([name], lambda _: text.encode())
    assert outcome.program is not None, outcome.diagnostics
    return outcome.program.upstreams[0].settings


def test_settings_of_the_policy() -> None:
    local()
    made = upstream_settings(checked(
        'upstream a {\n server "https://localhost"\n server "https://127.0.0.1:8443"\n'
        ' tls ca: "ca.pem", cert: "local.pem", key: "local.key", server_name: "localhost"\n}\n'
        'service s "/**" { route a }\n'
    ))
    folder = authority().folder
    assert [(one.host, one.port, one.secure) for one in made.servers] == [
        ("localhost", 443, True), ("127.0.0.1", 8443, True)
    ]
    assert made.tls == UpstreamTls(
        str(folder / "ca.pem"), str(folder / "local.pem"), str(folder / "local.key"), "localhost"
    )


@pytest.mark.parametrize(("server", "tls", "said"), [
    ("https://a", 'ca: "absent.pem"', "absent.pem`: there is no such file"),
    ("https://a", 'cert: "local.pem", key: "gate.key"', "does not belong to the certificate"),
    ("http://a", 'ca: "ca.pem"', "`tls` is for servers with `https://`"),
])  # fmt: skip
def test_wrong_settings_are_refused_at_load(server: str, tls: str, said: str) -> None:
    local()
    authority().issue("gate.example", file="gate")
    with pytest.raises(ValueError, match=said):
        upstream_settings(checked(
            f'upstream a {{\n server "{server}"\n tls {tls}\n}}\nservice s "/**" {{ route a }}\n'
        ))


def test_addresses() -> None:
    assert server_address("HTTPS://[::1]:8443") == ServerAddress("::1", 8443, secure=True)
    assert server_address("https://a.example").port == 443
    assert server_address("http://a.example").port == 80
    with pytest.raises(ValueError, match="`https://` with a host"):
        server_address("ftp://a.example")


