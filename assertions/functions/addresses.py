"""Addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any

from policylang.sdk import Failed, Failure, Ip, Kind, function
from policylang.sdk.networks import Networks, read_address


@function(docs={"text": "An IPv4 or IPv6 address."})
def ip(text: str) -> Ip | None:
    """The address that text names, `none` where it names none.

        ip("10.0.0.1") in ["10.0.0.0/8"]
    """
    address = read_address(text.strip())
    return None if address is None else Ip(address.compressed)


@lru_cache(maxsize=1024)
def _network(text: str) -> Networks:
    return Networks((text,))


def _in_network(ip: str, network: str) -> bool:
    try:
        return ip in _network(network)
    except ValueError as error:
        raise Failed(Failure("bad-network", 400, str(error), kind=Kind.ERROR)) from None


def _prepare(constants: Mapping[str, Any]) -> Callable[..., Any]:
    if isinstance(text := constants.get("network"), str):
        network = Networks((text,))
        return lambda ip, _: ip in network
    return _in_network


@function(docs={"ip": "An address.", "network": "A network such as `10.0.0.0/8`."}, prepare=_prepare)
def in_network(ip: Ip, network: str) -> bool:
    """Whether an address lies in a network.

        in_network(client.ip, "10.0.0.0/8") or true
    """
    return _in_network(ip, network)


def _of_address(ip: str, v4: int, v6: int) -> str:
    try:
        return _network_of(ip, v4, v6)
    except (OSError, ValueError):
        raise Failed(Failure("wrong-type", 400, "not an address", kind=Kind.ERROR)) from None


@function(docs={"ip": "An address.", "v4": "Bits kept of an IPv4 address.", "v6": "Bits kept of an IPv6 address."},
          defaults={"v4": "32", "v6": "64"}, prepare=lambda constants: _of_address)  # fmt: skip
def network_of(ip: Ip, *, v4: int, v6: int) -> str:
    """The network of an address: one IPv6 user owns a whole /64, so count by that.

        network_of(client.ip, v6: 64) != ""
    """
    return _of_address(ip, v4, v6)


@lru_cache(maxsize=16384)
def _network_of(ip: str, v4: int, v6: int) -> str:
    """Raises OSError or ValueError for what is no address."""
    family = AF_INET6 if ":" in ip else AF_INET
    packed = inet_pton(family, ip)
    if packed.startswith(_MAPPED):  # RFC 4291 2.5.5.2
        family, packed = AF_INET, packed[len(_MAPPED):]
    width = len(packed) * 8
    bits = max(0, min(int(v4 if family is AF_INET else v6), width))
    kept = int.from_bytes(packed) >> (width - bits) << (width - bits)
    return f"{inet_ntop(family, kept.to_bytes(len(packed)))}/{bits}"


_MAPPED = bytes(10) + b"\xff\xff"

FUNCTIONS = (in_network, ip, network_of)
