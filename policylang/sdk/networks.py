"""Addresses and networks, read once when the policy is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class Networks:
    """A set of networks and addresses to look one up in.

    A network is text such as `10.0.0.0/8`, `2001:db8::/32` or `192.0.2.7`. Raises ValueError, in words for the author,
    on what is none. An IPv4 address written inside IPv6 (`::ffff:192.0.2.7`, RFC 4291 2.5.5.2) counts as IPv4.
    """

    __slots__ = ("_ranges",)

    def __init__(self, texts: Iterable[str]) -> None:
        ranges: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for text in texts:
            network = read_network(text)
            ranges[network.version].append((int(network.network_address), int(network.netmask)))
        self._ranges = {version: tuple(found) for version, found in ranges.items()}

    def __contains__(self, ip: object) -> bool:
        number = _number(ip) if isinstance(ip, str) else None
        if number is None:
            return False
        version, value = number
        return any(value & mask == network for network, mask in self._ranges[version])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._ranges == other._ranges

    def __hash__(self) -> int:
        return hash((self._ranges[4], self._ranges[6]))

    def covers(self, other: Networks) -> bool:
        """Whether each network of the other is part of one of these."""
        return all(
            any(inner & mask == mask and network & mask == wide for wide, mask in self._ranges[version])
            for version, found in other._ranges.items() for network, inner in found
        )  # fmt: skip


def read_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        wider = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"`{text}` is neither an address nor a network such as `10.0.0.0/8`") from None
    raise ValueError(f"`{text}` has bits beyond its prefix; write `{wider}`")


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, IPv4 inside IPv6 unwrapped; None where the text is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=16384)
def _number(text: str) -> tuple[int, int] | None:
    address = read_address(text)
    return None if address is None else (address.version, int(address))


def check_networks(texts: object) -> str | None:
    """A sentence for the author when one of these is no network; None when all are, or are not known yet."""
    if isinstance(texts, (tuple, list)):
        try:
            Networks(texts)
        except ValueError as error:
            return str(error)
    return None
