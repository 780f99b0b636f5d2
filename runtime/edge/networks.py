"""Sets of addresses, as settings name them."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


class Networks:
    """`text in networks`: whether an address (as `Peer.ip` has it) belongs to one of them.

    A network of IPv4-mapped addresses (`::ffff:10.0.0.0/104`) is the IPv4 one. Two are equal where they say the same.
    Raises ValueError for what is no network.
    """

    __slots__ = ("_masks", "_said")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._said = frozenset(_plain(ip_network(text)) for text in texts)
        self._masks: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in self._said:
            self._masks[network.version].append((int(network.netmask), int(network.network_address)))

    def __contains__(self, text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        number = int(address)
        return any(number & mask == start for mask, start in self._masks[address.version])

    def __bool__(self) -> bool:
        return bool(self._said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._said == other._said

    def __hash__(self) -> int:
        return hash(self._said)


def _plain(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network
