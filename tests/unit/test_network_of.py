"""`network_of`: what a limit counts by where one user has many addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.catalog import load_catalog
from policylang.sdk import Failed, Ip

network_of = load_catalog().functions["network_of"].call
ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**32 - 1).map(lambda low: IPv6Address(0xFFFF << 32 | low)),
)  # fmt: skip


@given(ADDRESSES, st.integers(-3, 40), st.integers(-3, 140))
def test_it_is_the_network_that_python_knows(address: IPv4Address | IPv6Address, v4: int, v6: int) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    bits = max(0, min(v4 if plain.version == 4 else v6, plain.max_prefixlen))
    found = network_of(Ip(address.compressed), v4, v6)
    assert ip_network(found) == ip_network((plain, bits), strict=False)


@given(ADDRESSES, ADDRESSES)
def test_two_addresses_have_one_key_where_they_are_of_one_network(
    one: IPv4Address | IPv6Address, other: IPv4Address | IPv6Address
) -> None:
    keys = [network_of(Ip(each.compressed), 32, 64) for each in (one, other)]
    assert (keys[0] == keys[1]) == (ip_network(keys[0]) == ip_network(keys[1]))
    again = ip_network(keys[0])[0]
    assert network_of(Ip(again.compressed), 32, 64) == keys[0]


@pytest.mark.parametrize("text", ["", "10.0.0", "010.0.0.1", "::g", "fe80::1%eth0", "10.0.0.1/8"])
def test_what_is_no_address_has_none(text: str) -> None:
    with pytest.raises(Failed):
        network_of(Ip(text), 32, 64)


def test_neighbours_of_one_subscriber() -> None:
    assert {network_of(Ip(f"2001:db8:1:2::{end}"), 32, 64) for end in ("1", "2", "ffff:1")} == {"2001:db8:1:2::/64"}
    assert network_of(Ip("::ffff:192.0.2.7"), 32, 64) == network_of(Ip("192.0.2.7"), 32, 64) == "192.0.2.7/32"
    assert ip_address("192.0.2.7") in ip_network(network_of(Ip("192.0.2.7"), 24, 64))
