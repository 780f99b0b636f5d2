"""Who the client is according to trusted proxies: strict reading, from the right, and nothing of what others wrote."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk.arrival import trace_id_of
from runtime.edge.forwarded import HOPS, Claims, Told, believe, read_address, read_node
from runtime.edge.forwarding import NOTICED, inspect, opening
from runtime.edge.networks import Networks
from runtime.wire.limits import WireError

PEER = "10.0.0.1"
TRUSTED = Networks(["10.0.0.0/8", "fd00::/8", "192.168.7.7"])


def addresses(text: str, **claims: bytes) -> Told:
    return believe(PEER, Claims(addresses=text.encode(), **claims), TRUSTED)


def forwarded(text: str, **claims: bytes) -> Told:
    return believe(PEER, Claims(forwarded=text.encode(), **claims), TRUSTED)


@pytest.mark.parametrize(
    "said, ip, port, chain",
    [
        ("1.2.3.4", "1.2.3.4", 0, ("1.2.3.4",)),
        ("6.6.6.6, 1.2.3.4", "1.2.3.4", 0, ("1.2.3.4",)),
        ("6.6.6.6, 1.2.3.4,10.0.0.9 ,\t10.0.0.8", "1.2.3.4", 0, ("1.2.3.4", "10.0.0.9", "10.0.0.8")),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9", 0, ("10.0.0.9", "10.0.0.8")),
        ("1.2.3.4:5678, 10.0.0.8:1", "1.2.3.4", 5678, ("1.2.3.4", "10.0.0.8")),
        ("2001:DB8:0::1", "2001:db8::1", 0, ("2001:db8::1",)),
        ("[2001:db8::1]", "2001:db8::1", 0, ("2001:db8::1",)),
        ("[2001:db8::1]:99, fd00::7", "2001:db8::1", 99, ("2001:db8::1", "fd00::7")),
        ("::ffff:1.2.3.4, ::ffff:10.0.0.7", "1.2.3.4", 0, ("1.2.3.4", "10.0.0.7")),
        ("1.2.3.4, unknown, 10.0.0.7", "10.0.0.7", 0, ("10.0.0.7",)),
        ("1.2.3.4, fe80::1%eth0, 10.0.0.7", "10.0.0.7", 0, ("10.0.0.7",)),
        ("1.2.3.4,", PEER, 0, ()),
        ("unknown", PEER, 0, ()),
        ("1.2.3", PEER, 0, ()),
        ("01.2.3.4", PEER, 0, ()),
        ("1.2.3.4:65536", PEER, 0, ()),
        ("[2001:db8::1]x", PEER, 0, ()),
        ("[1.2.3.4]", PEER, 0, ()),
        ("2001:db8::1:", PEER, 0, ()),
    ],
)
def test_addresses_from_the_right(said: str, ip: str, port: int, chain: tuple[str, ...]) -> None:
    told = addresses(said)
    assert (told.ip, told.port, told.chain) == (ip, port, chain)


@pytest.mark.parametrize(
    "said, ip, port, scheme, host",
    [
        ("for=1.2.3.4;proto=https;host=a.example", "1.2.3.4", 0, "https", "a.example"),
        ('For="1.2.3.4:80"; by=x', PEER, 0, "", ""),
        ('For="1.2.3.4:80";by=x', "1.2.3.4", 80, "", ""),
        ('for="[2001:db8::1]:47011";PROTO=HTTP', "2001:db8::1", 47011, "http", ""),
        ("for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.4;proto=http", "1.2.3.4", 0, "https", ""),
        ("for=1.2.3.4;;proto=https;", "1.2.3.4", 0, "https", ""),
        ('for="1\\.2.3.4"', "1.2.3.4", 0, "", ""),
        ("for=_hidden, for=10.0.0.4;proto=https", "10.0.0.4", 0, "https", ""),
        ("for=unknown;proto=https", PEER, 0, "https", ""),
        ("proto=https", PEER, 0, "https", ""),
        ("for=1.2.3.4;proto=ftp;host=\"a b\"", "1.2.3.4", 0, "", ""),
        ('for=1.2.3.4;host="A.Example:8080"', "1.2.3.4", 0, "", "a.example:8080"),
        # what the client has written cannot swallow what the proxy adds, nor pass for it
        ('for=", for=1.2.3.4', "1.2.3.4", 0, "", ""),
        ('for="6.6.6.6, for="[2001:db8::1]"', "2001:db8::1", 0, "", ""),
        ('for=6.6.6.6;x="\\, for=1.2.3.4', "1.2.3.4", 0, "", ""),
        ("for=1.2.3.4;for=6.6.6.6", PEER, 0, "", ""),
        ("for=2001:db8::1", PEER, 0, "", ""),
        ("for = 1.2.3.4", PEER, 0, "", ""),
        ('for="1.2.3.4', PEER, 0, "", ""),
        ("", PEER, 0, "", ""),
    ],
)
def test_forwarded_from_the_right(said: str, ip: str, port: int, scheme: str, host: str) -> None:
    told = forwarded(said)
    assert (told.ip, told.port, told.scheme, told.host) == (ip, port, scheme, host)


def test_schemes_and_hosts_of_the_x_fields() -> None:
    assert addresses("1.2.3.4", scheme=b"HTTPS", host=b"A.Example").scheme == "https"
    assert addresses("1.2.3.4", scheme=b"https", host=b"A.Example").host == "a.example"
    # a list beside a list: the client's; any other: what our peer has written
    assert addresses("6.6.6.6, 1.2.3.4, 10.0.0.3", scheme=b"http, https, http").scheme == "https"
    assert addresses("6.6.6.6, 1.2.3.4", scheme=b"http, http, https").scheme == "https"
    assert addresses("1.2.3.4", scheme=b"wss", host=b"a b") == Told("1.2.3.4", 0, ("1.2.3.4",), "", "")
    only = believe(PEER, Claims(scheme=b"https"), TRUSTED)
    assert (only.ip, only.scheme, only.chain) == (PEER, "https", ())


def test_both_kinds_must_agree() -> None:
    assert forwarded("for=1.2.3.4", addresses=b"6.6.6.6, 1.2.3.4").ip == "1.2.3.4"
    assert forwarded("for=1.2.3.4;proto=https", addresses=b"1.2.3.4", scheme=b"https").scheme == "https"
    # one of them may be the client's: what only one says does not count
    told = forwarded("for=1.2.3.4;proto=https;host=evil", addresses=b"1.2.3.4")
    assert told == Told("1.2.3.4", 0, ("1.2.3.4",), "", "")
    assert forwarded("for=1.2.3.4", scheme=b"https").scheme == ""
    for claims in (
        Claims(b"for=6.6.6.6", b"1.2.3.4"),
        Claims(b"for=unknown", b"1.2.3.4"),
        Claims(b"for=1.2.3.4", b"unknown"),
        Claims(b"for=1.2.3.4;proto=http", b"1.2.3.4", b"https"),
        Claims(b"for=1.2.3.4;proto=http", None, b"https"),
        Claims(b"for=1.2.3.4;host=a", b"1.2.3.4", None, b"b"),
    ):
        with pytest.raises(WireError, match="400 contradicting-proxies"):
            believe(PEER, claims, TRUSTED)


IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
JUNK = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(st.lists(st.one_of(IPS, JUNK), max_size=5), IPS, st.lists(st.sampled_from(["10.1.2.3", "fd00::5"]), max_size=4))
def test_nothing_left_of_the_client_matters(before: list[str], client: str, hops: list[str]) -> None:
    plain = str(getattr(IPv6Address(client), "ipv4_mapped", None) or IPv6Address(client)) if ":" in client else client
    told = addresses(", ".join([*before, client, *hops]))
    if plain not in TRUSTED:
        assert (told.ip, told.chain) == (plain, (plain, *hops))
    nodes = [f'"[{each}]"' if ":" in each else each for each in (client, *hops)]
    again = forwarded(", ".join([*before, *[f"for={node}" for node in nodes]]))
    if plain not in TRUSTED:
        assert (again.ip, again.chain) == (plain, (plain, *hops))


@given(st.binary(max_size=80), st.binary(max_size=30))
def test_whatever_is_said_is_believed_or_not(one: bytes, two: bytes) -> None:
    for claims in (Claims(one), Claims(None, one, two), Claims(None, None, one, two), Claims(b"for=" + one)):
        told = believe(PEER, claims, TRUSTED)
        for ip in (told.ip, *told.chain):
            assert str(IPv6Address(ip) if ":" in ip else IPv4Address(ip)) == ip
        head = opening(PEER, "a.example", "http", "1.1", b"", told)
        assert head.count(b"\r\n") == 7 and head.isascii()


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=50))
def test_addresses_are_read_or_refused(text: str) -> None:
    for read in (read_address, read_node):
        found = read(text.encode())
        if found is not None:
            assert "%" not in found[0] and not found[0].startswith("::ffff:") and 0 <= found[1] < 65536


def test_a_long_chain_is_bounded() -> None:
    told = addresses(", ".join(["1.2.3.4"] + ["10.0.0.9"] * 5000))
    assert told.chain == ("10.0.0.9",) * HOPS and told.ip == "10.0.0.9"
    told = forwarded(", ".join(["for=1.2.3.4"] + ["for=10.0.0.9"] * 5000))
    assert told.chain == ("10.0.0.9",) * HOPS


def test_networks() -> None:
    networks = Networks(["10.0.0.0/8", "::ffff:192.168.0.0/112", "2001:db8::/32", "1.2.3.4"])
    for ip in ("10.255.0.1", "192.168.4.4", "2001:db8:ffff::1", "1.2.3.4"):
        assert ip in networks
    for ip in ("11.0.0.1", "192.169.0.1", "2001:db9::1", "1.2.3.5", "", "x", "::a00:1"):
        assert ip not in networks
    assert not Networks() and "10.0.0.1" not in Networks()
    assert Networks(["10.0.0.0/8", "::/0"]) == Networks(["::/0", "10.0.0.0/8"]) != Networks(["::/0"])


def test_what_goes_upstream_of_a_chain() -> None:
    told = Told("2001:db8::1", 5, ("2001:db8::1", "10.0.0.9"), "https", "shop.example:8443")
    assert opening(PEER, "inner", "http", "1.1", b"1.1 front", told).decode().split("\r\n") == [
        " HTTP/1.1",
        "Host: inner",
        "Via: 1.1 front, 1.1 polgate",
        'Forwarded: for="[2001:db8::1]";host="shop.example:8443";proto=https, for=10.0.0.9, '
        "for=10.0.0.1;host=inner;proto=http",
        "X-Forwarded-For: 2001:db8::1, 10.0.0.9, 10.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop.example:8443",
        "X-Request-ID: ",
    ]


PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "parent, good",
    [
        (PARENT, True),
        (b"cc" + PARENT[2:], True),
        (b"cc" + PARENT[2:] + b"-what-comes", True),
        (PARENT + b"-what-comes", False),
        (b"cc" + PARENT[2:] + b".x", False),
        (b"ff" + PARENT[2:], False),
        (PARENT.upper(), False),
        (PARENT[:-1], False),
        (PARENT.replace(b"0af7651916cd43dd8448eb211c80319c", b"0" * 32), False),
        (PARENT.replace(b"b7ad6b7169203331", b"0" * 16), False),
        (b"", False),
    ],
)
def test_traces_pass_where_they_are_sane(parent: bytes, good: bool) -> None:
    assert trace_id_of(parent) == ("0af7651916cd43dd8448eb211c80319c" if good else "")
    fields = [(name.lower(), name, value) for name, value in ((b"Traceparent", parent), (b"TraceState", b"a=b"))]
    other = (b"baggage", b"Baggage", b"a=b")
    seen = inspect([*fields, other])
    assert seen.headers == ([*fields, other] if good else [other])
    assert bool(seen.trace_id) is good
    assert inspect([*fields, fields[0]]).headers == []
    assert inspect([fields[1]]).headers == []


def test_a_closer_look_is_needed_for_what_it_looks_at() -> None:
    fields = [(name, name.title(), b"1.2.3.4") for name in sorted(NOTICED)]
    seen = inspect(fields, trusted=True)
    assert {field[0] for field in seen.headers} == {b"via", b"x-request-id"}
    assert seen.claims == Claims(*[b"1.2.3.4"] * 4) and inspect(fields).claims is None
