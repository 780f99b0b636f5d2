"""Who is at the other end of a client's connection, as far as the connection itself says."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import Any

from runtime.edge.transport import LoopTransport


class Peer:
    """`ip`: shortest form, without a zone; of an IPv4-mapped address (`::ffff:10.0.0.1`) the IPv4 one; empty for none.

    `scheme`: `http`, or `https` where the connection speaks TLS. `cert`: the `Certificate` that the client has shown,
    or None. `tls`: its version (`TLSv1.3`), `server_name`: the name the client asked for (SNI); both empty without.
    """

    __slots__ = ("cert", "ip", "port", "scheme", "server_name", "tls")

    def __init__(
        self, ip: str, port: int, scheme: str = "http", cert: Any = None, tls: str = "", server_name: str = ""
    ) -> None:
        self.ip = ip
        self.port = port
        self.scheme = scheme
        self.cert = cert
        self.tls = tls
        self.server_name = server_name


def peer_at(transport: LoopTransport, source: tuple[str, int] | None = None) -> Peer:
    """The peer of a connection that is made. `source`: the address in its PROXY header."""
    if source is None:
        name = transport.detail("peername")
        source = (plain_ip(name[0]), name[1]) if isinstance(name, tuple) and len(name) >= 2 else ("", 0)
    ssl_object = transport.detail("ssl_object")
    if ssl_object is None:
        return Peer(*source)
    from runtime.tls import peer_of  # without TLS nobody needs `ssl` in memory

    cert, version, server_name = peer_of(ssl_object)
    return Peer(*source, "https", cert, version, server_name)


def plain_ip(text: str) -> str:
    """A socket's address as `Peer` wants it."""
    if ":" not in text:
        return text
    address = IPv6Address(text.partition("%")[0])
    mapped = address.ipv4_mapped
    return str(address if mapped is None else mapped)
