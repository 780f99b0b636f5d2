"""Clients over TLS: which certificate they get, whose certificate they must show, and how their connections end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import os
import random
import ssl
import sys
import warnings
import weakref
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Authority, Told, authority
from edges import Bench, Wire, bench, both_loops, request, run, say

from policylang.sdk import Exchange, Response, UpstreamCall
from runtime.edge.settings import EdgeSettings


async def forward(exchange: Exchange) -> Response:
    exchange.response = await exchange.environment.upstreams["up"].send(exchange, UpstreamCall())
    return exchange.response


async def whoami(exchange: Exchange) -> Response:
    cert = exchange.client.cert
    return say(200, b"nobody" if cert is None else cert.subject.encode())


def shown(wire: Wire) -> set[str]:
    cert = wire.writer.get_extra_info("peercert")
    return {value for _, value in cert["subjectAltName"]}


def gate() -> tuple[str, str]:
    return authority().issue("gate.example", file="gate")


async def refused(made: Bench, context: ssl.SSLContext, name: str = "gate.example") -> str:
    """Why a client cannot use the listener. In TLS 1.3 it may hear so only after its own part of the handshake."""
    try:
        wire = await made.connect(tls=context, server_name=name)
        wire.send(request("GET /"))
        await wire.answer()
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError) as error:
        return str(getattr(error, "reason", None) or error)
    raise AssertionError("it was let in")


@both_loops
async def test_a_request_over_tls() -> None:
    seen: list[tuple[str, str]] = []

    async def handle(exchange: Exchange) -> Response:
        seen.append((exchange.request.scheme, exchange.client.ip))
        return await forward(exchange)

    async with bench(handle, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client())
        assert wire.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        for _ in range(3):
            answer = await wire.ask("POST /orders", b"abc")
            assert answer.status == 200
            assert answer.body.endswith(b"\r\n\r\nabc")
        assert b"proto=https" in answer.body.lower()
        assert seen == [("https", "127.0.0.1")] * 3
        assert not made.edge.handshakes


@both_loops
async def test_alpn_announces_what_is_spoken() -> None:
    async with bench(tls=Told().server(gate())) as made:
        context = authority().client()
        context.set_alpn_protocols(["h2", "http/1.1"])
        wire = await made.connect(tls=context)
        assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


@both_loops
async def test_the_name_chooses_the_certificate() -> None:
    tls = Told().server(
        gate(), authority().issue("*.shop.example", "shop.example", file="shop"), authority().issue("a.shop.example")
    )
    wanted = {
        "gate.example": "gate.example", "shop.example": "shop.example", "B.Shop.Example": "*.shop.example",
        "a.shop.example": "a.shop.example", "x.b.shop.example": "gate.example", "other.example": "gate.example",
    }  # fmt: skip
    async with bench(tls=tls) as made:
        for name, cert in wanted.items():
            context = authority().client(check_hostname=False)
            wire = await made.connect(tls=context, server_name=name)
            assert cert in shown(wire), name
            assert (await wire.ask("GET /")).status == 200


@both_loops
async def test_old_versions_and_ciphers_are_refused() -> None:
    async with bench(tls=Told().server(gate())) as made:
        old = authority().client()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("DEFAULT:@SECLEVEL=0")
        assert await refused(made, old)
        weak = authority().client(maximum_version=ssl.TLSVersion.TLSv1_2)
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA")
        assert "HANDSHAKE_FAILURE" in await refused(made, weak)
        newer = authority().client(maximum_version=ssl.TLSVersion.TLSv1_2)
        wire = await made.connect(tls=newer)
        assert wire.writer.get_extra_info("cipher")[0].startswith("ECDHE-ECDSA-")
        assert (await wire.ask("GET /")).status == 200
    async with bench(tls=Told().server(gate(), min_tls="1.3")) as made:
        assert await refused(made, authority().client(maximum_version=ssl.TLSVersion.TLSv1_2))
        assert (await (await made.connect(tls=authority().client())).ask("GET /")).status == 200


@both_loops
async def test_plain_text_on_a_secure_listener() -> None:
    async with bench(tls=Told().server(gate())) as made:
        wire = await made.connect()
        wire.send(request("GET /"))
        said = await wire.rest()
        assert said == b"" or said[0] == 21  # an alert
        await made.until(lambda: not made.edge.handshakes)
        assert not made.done


# --- certificates of clients ---


@both_loops
async def test_a_client_must_show_a_certificate() -> None:
    ann = authority().issue("ann.example", organization_name="Acme", common_name="ann", file="ann")
    stranger = Authority(authority().folder, "stranger").issue("eve.example")
    told = Told()
    tls = told.server(gate(), client_ca=authority().file)
    async with bench(whoami, tls=tls) as made:
        wire = await made.connect(tls=authority().client(ann))
        assert b"CN=ann" in (await wire.ask("GET /")).body
        assert "CERTIFICATE_REQUIRED" in await refused(made, authority().client())
        assert "UNKNOWN_CA" in await refused(made, authority().client(stranger))
        assert "UNKNOWN_CA" in await refused(made, authority().client(stranger))
        assert len(made.done) == 1
        assert len(told.lines) == 2
        assert "has turned away a client from `127.0.0.1`: peer did not return a certificate" in told.lines[0]
        assert "unable to get local issuer certificate" in told.lines[1]


@both_loops
async def test_a_client_may_show_a_certificate() -> None:
    ann = authority().issue("ann.example", common_name="ann", file="ann2")
    stranger = Authority(authority().folder, "stranger2").issue("mallory.example")
    tls = Told().server(gate(), client_ca=authority().file, client_cert="optional")
    async with bench(whoami, tls=tls) as made:
        assert b"CN=ann" in (await (await made.connect(tls=authority().client(ann))).ask("GET /")).body
        assert (await (await made.connect(tls=authority().client())).ask("GET /")).body == b"nobody"
        assert "UNKNOWN_CA" in await refused(made, authority().client(stranger))


@both_loops
async def test_what_policy_sees_of_a_certificate() -> None:
    pair = authority().issue("ann.example", "10.1.2.3", "ann@acme.example", common_name="ann", file="ann3")
    got: list[Any] = []

    async def handle(exchange: Exchange) -> Response:
        got.append(exchange.client.cert)
        return say(200)

    async with bench(handle, tls=Told().server(gate(), client_ca=authority().file)) as made:
        wire = await made.connect(tls=authority().client(pair))
        await wire.ask("GET /")
        await wire.ask("GET /")
        der = ssl.PEM_cert_to_DER_cert(Path(pair[0]).read_text().partition("-----END")[0] + "-----END CERTIFICATE-----")
        first = got[0]
        assert first is got[1]
        import hashlib

        assert first.fingerprint == hashlib.sha256(der).hexdigest()
        assert first.names == ["ann.example", "10.1.2.3", "ann@acme.example"]
        assert first.issuer.startswith("CN=") or "O=" in first.issuer
        assert int(first.serial, 16) > 0
        assert first.serial == first.serial.lower()
        assert first.not_after.epoch > made.clock.wall() - 1e9


@both_loops
async def test_a_revoked_certificate() -> None:
    ann = authority().issue("ann.example", file="ann4")
    bob = authority().issue("bob.example", file="bob4")
    crl = authority().revoke(bob[0], file="crl4.pem")
    told = Told()
    tls = told.server(gate(), client_ca=authority().file, crl=crl)
    async with bench(tls=tls) as made:
        kept = await made.connect(tls=authority().client(ann))
        assert (await kept.ask("GET /")).status == 200
        assert "REVOKED" in await refused(made, authority().client(bob))
        authority().revoke(bob[0], ann[0], file="crl4.pem")
        told.look()
        assert len(told.lines) == 1
        assert told.lines[0].endswith("has turned away a client from `127.0.0.1`: certificate revoked")
        assert "REVOKED" in await refused(made, authority().client(ann))
        assert (await kept.ask("GET /")).status == 200


def test_a_list_that_has_expired_lets_nobody_in_and_says_so() -> None:
    ann = authority().issue("ann.example", file="ann5")
    crl = authority().revoke(file="crl5.pem", days=-1)
    with pytest.raises(ValueError, match=r"crl5.pem` has expired on .*: renew it"):
        Told().server(gate(), client_ca=authority().file, crl=crl)
    authority().revoke(file="crl5.pem", days=1)
    told = Told()
    now = [0.0]
    tls = told.server(gate(), client_ca=authority().file, crl=crl, wall=lambda: now[0])
    told.lines.clear()
    now[0] = 4e9
    told.look()
    told.look()
    assert sum("crl5.pem` has expired" in line for line in told.lines) == 1
    authority().revoke(file="crl5.pem", days=-1)
    told.look()
    assert "goes on with the files it has" in told.lines[-1]

    async def test() -> None:
        async with bench(tls=tls) as made:
            assert (await (await made.connect(tls=authority().client(ann))).ask("GET /")).status == 200

    run(test)


# --- files ---


@both_loops
async def test_a_certificate_is_taken_up_again() -> None:
    folder = authority().folder
    cert, key = authority().issue("gate.example", "old.example", file="turning")
    told = Told()
    async with bench(tls=told.server((cert, key))) as made:
        kept = await made.connect(tls=authority().client())
        assert "old.example" in shown(kept)
        fresh = authority().issue("gate.example", "new.example", file="fresh")
        os.replace(fresh[0], cert)
        told.watch.look()
        told.watch.look()  # only half of the pair is there
        assert len(told.lines) == 1
        assert f"the key `{key}` does not belong to the certificate `{cert}`" in told.lines[0]
        told.look()
        assert len(told.lines) == 1
        assert "old.example" in shown(await made.connect(tls=authority().client()))
        os.replace(fresh[1], key)
        told.look()
        assert "new.example" in shown(await made.connect(tls=authority().client()))
        assert (await kept.ask("GET /")).status == 200
        (folder / "turning.pem").unlink()
        told.look()
        assert "there is no such file" in told.lines[-1]
        assert "new.example" in shown(await made.connect(tls=authority().client()))


def test_a_broken_pair_holds_up_no_other() -> None:
    one = authority().issue("one.example", file="one")
    two = authority().issue("two.example", file="two")
    told = Told()
    tls = told.server(one, two, gate())
    before = tls.context
    Path(one[0]).write_text("nothing")
    fresh = authority().issue("two.example", "more.example", file="two")
    assert fresh == two
    told.look()
    assert len(told.lines) == 1
    assert "one.pem` holds no certificate in PEM" in told.lines[0]
    assert tls.context is before

    async def test() -> None:
        async with bench(tls=tls) as made:
            for name, wanted in (("one.example", "one.example"), ("two.example", "more.example")):
                assert wanted in shown(await made.connect(tls=authority().client(), server_name=name))

    run(test)
    authority().issue("one.example", file="one")
    told.look()
    assert len(told.lines) == 1
    assert tls.context is not before


def test_contexts_are_freed_at_once() -> None:
    tls = Told().server(gate(), authority().issue("other.example"))
    context = weakref.ref(tls.context)
    gc.disable()
    try:
        del tls
        assert context() is None
    finally:
        gc.enable()


def test_a_pair_that_changes_within_a_look_is_no_error() -> None:
    cert, key = authority().issue("gate.example", file="quick")
    told = Told()
    tls = told.server((cert, key))
    before = tls.context
    fresh = authority().issue("gate.example", file="quick2")
    os.replace(fresh[0], cert)
    told.watch.look()
    os.replace(fresh[1], key)
    told.look()
    assert told.lines == []
    assert tls.context is not before


def test_errors_name_the_file_and_the_cure(tmp_path: Path) -> None:
    cert, key = gate()
    other = authority().issue("other.example")
    text = tmp_path / "text"
    text.write_text("no certificate")
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n")
    absent = str(tmp_path / "absent.pem")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"pairs": [(absent, key)]}, f"cannot read `{absent}`: there is no such file"),
        ({"pairs": [(cert, absent)]}, f"cannot read `{absent}`: there is no such file"),
        ({"pairs": [(str(text), key)]}, "holds no certificate in PEM"),
        ({"pairs": [(cert, str(text))]}, "holds no private key in PEM"),
        ({"pairs": [(cert, other[1])]}, f"the key `{other[1]}` does not belong to the certificate `{cert}`"),
        ({"pairs": [(cert, str(locked))]}, f"the key `{locked}` is encrypted"),
        ({"client_ca": str(text)}, "holds no certificate in PEM"),
        ({"client_ca": authority().file, "crl": str(text)}, "holds no revocation list in PEM"),
        (
            {"client_ca": Authority(tmp_path, "else").file, "crl": authority().revoke()},
            "no revocation list in `.*` is of an issuer in",
        ),
    ]
    for given, said in cases:
        pairs = given.pop("pairs", [(cert, key)])
        with pytest.raises(ValueError, match=said.replace("(", r"\(")) as caught:
            Told().server(*pairs, **given)
        assert "\n" not in str(caught.value)
        assert not str(caught.value).endswith(".")


def test_an_expired_certificate_is_shown_and_reported() -> None:
    now = [0.0]
    told = Told()
    until = datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC)
    pair = authority().issue("gate.example", file="short", not_after=until)
    tls = told.server(pair, wall=lambda: now[0])
    assert "is not valid before" in told.lines[0]
    now[0] = until.timestamp() + 1
    told.look()
    told.look()
    assert sum("has expired on" in line for line in told.lines) == 1
    ((name, not_after),) = tls.expiries()
    assert (name, not_after) == ("gate.example", until.timestamp())


# --- how it ends ---


@both_loops
async def test_a_handshake_has_a_deadline_and_counts_as_a_connection() -> None:
    settings = EdgeSettings(connections=2)
    async with bench(settings=settings, tls=Told().server(gate())) as made:
        silent, slow = await made.connect(), await made.connect()
        await made.until(lambda: len(made.edge.handshakes) == 2)
        third = await made.connect()
        with pytest.raises(ConnectionError):
            if not await third.rest():
                raise ConnectionResetError
        made.advance(5)
        slow.send(b"\x16\x03\x01")
        await asyncio.sleep(0.05)
        assert len(made.edge.handshakes) == 2
        made.advance(6)
        for wire in (silent, slow):
            with pytest.raises(ConnectionError):
                if not await wire.rest():
                    raise ConnectionResetError
        assert not made.edge.handshakes
        assert (await (await made.connect(tls=authority().client())).ask("GET /")).status == 200


@both_loops
async def test_the_end_is_announced() -> None:
    """`close_notify` tells the end of an answer from a cut, and a cut has none."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        await wire.head()

    async with bench(up=script, tls=Told().server(gate())) as made:
        context = authority().client()
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        wire = await made.connect(tls=context)
        answer = await wire.ask("GET /\nHost: a b")
        assert answer.status == 400
        assert await wire.rest() == b""
        wire = await made.connect(tls=context)
        wire.send(request("GET /"))
        await wire.head()
        await wire.exactly(3)
        made.advance(31)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await wire.rest()
            if sys.version_info:  # asyncio's stream takes an end without `close_notify` for a proper one
                raise ConnectionResetError
        assert made.done[-1][1] == 200


@both_loops
async def test_an_early_refusal_is_read_by_who_still_sends() -> None:
    """The answer survives though the client has sent far more than was read (half-close under TLS)."""

    async def handle(exchange: Exchange) -> Response:
        return say(403, b"no" * 1000)

    async with bench(handle, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client())
        wire.send(request("POST /\nContent-Length: 3000000"))
        wire.send(b"x" * 1_000_000)
        answer = await wire.answer()
        assert (answer.status, len(answer.body)) == (403, 2000)
        made.advance(1.5)
        assert await wire.rest() == b""
        made.advance(3)


@both_loops
async def test_a_client_that_leaves_without_a_word_has_left() -> None:
    async with bench(tls=Told().server(gate()), up=_silent) as made:
        wire = await made.connect(tls=authority().client())
        wire.send(request("GET /"))
        await made.until(lambda: made.origins["up"].wires)
        one = wire.writer.get_extra_info("socket")
        os.dup2(os.open(os.devnull, os.O_RDWR), one.fileno())  # its end comes without `close_notify`
        await made.until(lambda: made.done)
        assert made.done[0][1] == 499
        wire.abort()


async def _silent(wire: Wire) -> None:
    await wire.head()
    await wire.rest()


@both_loops
async def test_large_bodies_both_ways() -> None:
    size = 3 << 20

    async def script(wire: Wire) -> None:
        await wire.head()
        body = await wire.exactly(size)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for start in range(0, size, 1 << 18):
            wire.send(body[start : start + (1 << 18)])
            await wire.writer.drain()

    async with bench(up=script, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client(), receive_buffer=1 << 16)
        body = os.urandom(size)
        wire.send(request(f"POST /\nContent-Length: {size}"))
        for start in range(0, size, 1 << 18):
            wire.send(body[start : start + (1 << 18)])
            await wire.writer.drain()
        answer = await wire.answer()
        assert answer.body == body


@both_loops
async def test_a_slow_reader_holds_the_upstream_back() -> None:
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        wire.writer.transport.set_write_buffer_limits(high=1 << 16)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        for _ in range(256):
            wire.send(b"x" * (1 << 18))
            sent += 1 << 18
            await wire.writer.drain()

    async with bench(up=script, tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client(), receive_buffer=1 << 14)
        wire.send(request("GET /"))
        await wire.head()
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 32 << 20
        (connection,) = made.edge.connections
        transport: Any = connection.transport
        assert connection.congested
        assert 0 < transport.unsent < 1 << 20
        read = 0
        while read < 16 << 20:
            read += len(await wire.reader.read(1 << 16))
        assert sent > before


@both_loops
async def test_messages_in_any_pieces() -> None:
    """Records that come byte by byte, and many requests within one read."""
    async with bench(tls=Told().server(gate())) as made:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
        wire = await made.connect()

        async def until(step: Any) -> Any:
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        wire.send(bytes([byte]))
                        if byte % 16 == 0:
                            await asyncio.sleep(0)
                    incoming.write(await wire.reader.read(1 << 16))

        await until(client.do_handshake)
        client.write(request("GET /1"))
        assert b"GET /1" in await until(lambda: client.read(65536))
        for number in range(30):
            client.write(request(f"GET /{number}", b"b" * 20_000))
        wire.send(outgoing.read())
        said = b""
        while said.count(b"\r\n\r\n" + b"b" * 20_000) < 30:
            said += await until(lambda: client.read(65536))
        assert said.count(b"HTTP/1.1 200 OK") == 30


@both_loops
async def test_damage_ends_the_connection() -> None:
    async with bench(tls=Told().server(gate())) as made:
        wire = await made.connect(tls=authority().client())
        assert (await wire.ask("GET /")).status == 200
        raw = wire.writer.get_extra_info("socket")
        os.write(raw.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await wire.exactly(1)
        await made.until(lambda: not made.edge.connections)


@both_loops
async def test_what_comes_behind_the_end_is_not_kept() -> None:
    async with bench(tls=Told().server(gate()), up=_silent) as made:
        wire, client, outgoing = await by_hand(made)
        client.write(request("POST /\nContent-Length: 1000000000"))
        wire.send(outgoing.read())
        await made.until(lambda: made.edge.connections)
        (connection,) = made.edge.connections
        transport: Any = connection.transport
        with contextlib.suppress(ssl.SSLError):
            client.unwrap()
        wire.send(outgoing.read())
        await made.until(lambda: made.done)
        for _ in range(20):
            wire.send(b"\x17\x03\x03\x40\x00" + b"x" * 0x4000)
        await asyncio.sleep(0.05)
        assert transport._incoming.pending == 0


async def by_hand(made: Bench) -> tuple[Wire, ssl.SSLObject, ssl.MemoryBIO]:
    """A connection whose handshake is done, in the test's hands."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
    wire = await made.connect()
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            wire.send(outgoing.read())
            incoming.write(await wire.reader.read(1 << 16))
    return wire, client, outgoing


@pytest.mark.parametrize("seed", range(8))
def test_mutated_records_do_no_harm(seed: int) -> None:
    """Handshakes and requests with bytes changed, left out, doubled or cut: each connection serves or ends."""
    draw = random.Random(seed)
    told = Told()
    tls = told.server(gate(), client_ca=authority().file, client_cert="optional")

    def mutated(data: bytes) -> bytes:
        at = draw.randrange(len(data)) if data else 0
        kind = draw.randrange(5)
        if kind == 0:
            return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]
        if kind == 1:
            return data[:at] + data[at + draw.randrange(1, 20) :]
        if kind == 2:
            return data[:at] + data[max(0, at - 20) :]
        return data[:at] + draw.randbytes(30) if kind == 3 else data

    async def attack(made: Bench) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = authority().client().wrap_bio(incoming, outgoing, server_hostname="gate.example")
        wire = await made.connect()
        done = False
        with contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError):
            for _ in range(12):
                try:
                    if not done:
                        client.do_handshake()
                        done = True
                    client.write(request("GET /", b"abc"))
                    client.read(1 << 16)
                except ssl.SSLWantReadError:
                    pass
                wire.send(mutated(outgoing.read()) if draw.random() < 0.4 else outgoing.read())
                async with asyncio.timeout(0.02):
                    data = await wire.reader.read(1 << 16)
                if not data:
                    break
                incoming.write(data)
        wire.abort()

    async def test() -> None:
        loop = asyncio.get_running_loop()
        errors: list[Any] = []
        loop.set_exception_handler(lambda _, context: errors.append(context))
        async with bench(tls=tls) as made:
            for _ in range(25):
                await attack(made)
            await made.until(lambda: not made.edge.handshakes)
            assert (await (await made.connect(tls=authority().client())).ask("GET /")).status == 200
            assert made.defects == []
        assert errors == []

    run(test, fast=seed % 2 == 0)


@both_loops
async def test_drain_does_not_wait_for_handshakes() -> None:
    async with bench(tls=Told().server(gate())) as made:
        wire = await made.connect()
        idle = await made.connect(tls=authority().client())
        await made.until(lambda: made.edge.handshakes and made.edge.connections)
        made.edge.drain()
        assert await idle.rest() == b""
        await made.edge.emptied()
        with pytest.raises(ConnectionError):
            if not await wire.rest():
                raise ConnectionResetError
        assert not made.edge.handshakes
