"""Clients over TLS: which certificate they get, whose certificate they must show, and how their connections end."""

from __future__ import annotations

import asyncio
import ssl
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Authority, Told, authority
from edges import Bench, Wire, bench, both_loops, request, run, say

from policylang.sdk import Exchange, Response, UpstreamCall


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
