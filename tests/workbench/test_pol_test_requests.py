"""Requests of a test: what a row leaves out, and how they come to the policy."""

from __future__ import annotations

import pytest
from workbench.suites import passes, results, said

from policylang.diagnostics.text import render
from policylang.sdk.arrival import one_spelling
from runtime.wire.authority import read_authority


def test_what_is_none_in_a_row_is_left_out() -> None:
    found = results(
        """
        test "${row.n}" for row in [
            { n: 1, from: none, cert: none, as: none, host: none, at: none, scheme: none, body: none, header: none,
              status: none, delay: none, seen: "192.0.2.1", length: 0 },
            { n: 2, from: "2001:DB8:0::7", cert: "c", as: "ann", host: "x.example", at: "gateway", scheme: "https",
              body: "x", header: { B: "b" }, status: 201, delay: 1s, seen: "2001:db8::7", length: 1 },
        ] {
            given certificate("c"), subject: "CN=c"
            given caller("ann"), header: { A: "a" }
            stub orders, status: row.status, delay: row.delay, header: row.header, body: row.body
            post "/orders", from: row.from, cert: row.cert, as: row.as, host: row.host, at: row.at,
                scheme: row.scheme, header: row.header, body: row.body
            expect response.status == (row.status ?? 200) and elapsed == (row.delay ?? 0s)
            expect orders.calls[0].header["X-From"] == row.seen and length(orders.calls[0].text) == row.length
            expect orders.calls[0].header["a"] == (if row.n == 2 then "a" else none)
        }
        """,
        policy="""
        upstream orders { server "http://127.0.0.1:9000" }
        service orders "/orders/**" {
            set request.header["X-From"] = string(client.ip)
            route orders
        }
        """,
    )
    assert [each.outcome for each in found] == ["passed", "passed"], render(found[0].findings + found[1].findings)


def test_zones_may_come_from_a_row() -> None:
    found = results(
        """
        test "${row.zone}" for row in [
            { zone: "Europe/Berlin", at: "2026-03-29T00:00", seen: "2026-03-28T23:00:00.000Z" },
            { zone: "America/New_York", at: "2026-11-01T01:30", seen: "2026-11-01T05:30:00.000Z" },
            { zone: "Europe/Berlin", at: "2026-03-29T02:30", seen: "" },
            { zone: "Nowhere", at: "2026-03-29T02:30", seen: "" },
        ] {
            given time(row.at, zone: row.zone)
            expect string(now) == row.seen
            advance to: "2026-12-01T12:00", zone: row.zone
            expect hour(now, zone: row.zone) == 12
        }
        """
    )
    assert [each.outcome for each in found] == ["passed", "passed", "broken", "broken"]
    assert found[2].findings[0].message == (
        "no clock in Europe/Berlin shows `2026-03-29T02:30`: it goes on to 03:30 there"
    )


def test_a_request_comes_as_the_edge_lets_it_in() -> None:
    policy = """
    upstream a { server "http://127.0.0.1:9000" }
    service shop "/**", host: "shop.example" {
        set request.header["Seen"] = request.header["X-Forwarded-For"] ?? request.header["Forwarded"] ?? "nothing"
        set request.header["Asked"] = "${request.host} ${request.header["Host"] ?? "none"}"
        route a, host: "up.example"
    }
    """
    passes(
        """
        stub a
        get "/", host: "Shop.Example.", header: { "X-Forwarded-For": "10.0.0.1", Forwarded: "for=10.0.0.1" }
        expect response.status == 200 and a.calls[0].header["Seen"] == "nothing"
        expect a.calls[0].header["Asked"] == "shop.example shop.example"
        expect a.calls[0].host == "up.example" and a.calls[0].header["Host"] == "up.example"
        """,
        policy,
    )
    assert "the field `Host` is written as" in said('get "/", header: { Host: "shop.example" }', policy)


@pytest.mark.parametrize(
    ("written", "host"),
    [("A.Example", "a.example"), ("a.example.:8443", "a.example:8443"), ("[2001:DB8::1]:80", "[2001:db8::1]:80"),
     ("a.example:", "a.example")],
)  # fmt: skip
def test_one_spelling_of_a_host(written: str, host: str) -> None:
    assert one_spelling(written) == host == read_authority(written.encode()).decode()


def test_an_address_that_only_a_row_tells() -> None:
    first, second = results(
        """
        test "${n}" for n in ["192.0.2.9", "192.0.2"] {
            stub orders
            get "/orders", from: n
            expect response.status == 401
        }
        """
    )
    assert first.outcome == "passed" and second.outcome == "broken"
    assert second.findings[0].message == '`192.0.2` is no address: write one such as "192.0.2.7"'


def test_the_clock_shows_years_that_a_calendar_has_around_it() -> None:
    policy = """
    service s "/" {
        quota 1/month, per: client.ip, zone: "Pacific/Kiritimati"
        respond 200, body: string(now)
    }
    """
    found = results(
        """
        test "${row}" for row in ["1970-01-01", "8999-12-31T23:59:59", "9000-01-01", "1969-12-31T23:59:59"] {
            given time(row)
            get "/"
            expect response.status == 200
        }
        test "on and on" {
            get "/"
            advance 9_000_000d
        }
        """,
        policy=policy,
    )
    assert [each.outcome for each in found] == ["passed", "passed", "broken", "broken", "broken"]
    assert {each.findings[0].message for each in found[2:]} == {"a test's clock shows the years 1970 to 8999"}
