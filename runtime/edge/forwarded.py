"""What trusted proxies say of the client: `Forwarded` (RFC 7239) and the `X-Forwarded-` fields.

A chain is read from the right, as each proxy adds at the end whom it was asked by: while that is a proxy that is
trusted too, what it had been told counts; the first other one is the client. What stands left of it anybody may have
written, so it is neither read nor passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from runtime.edge.networks import Networks
from runtime.wire.authority import read_authority
from runtime.wire.limits import WireError

HOPS: Final = 32
"""So many addresses of a chain are looked at."""

_SCHEMES: Final = {b"http": "http", b"https": "https"}
_PORT: Final = rb"(?::(?P<port>[0-9]{1,5}))?"
_IPV4: Final = re.compile(rb"(?P<host>[0-9.]{7,15})" + _PORT)
_BRACKETED: Final = re.compile(rb"\[(?P<host>[0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,44})\]" + _PORT)
_BARE_IPV6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
# RFC 7239 4. A comma within quotes would let one proxy's element be read as two, or two as one: no address, scheme or
# host has one, so what has is unreadable.
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = rb'"(?P<quoted>(?:[^"\\,\x00-\x08\x0a-\x1f\x7f]|\\[!-~ ])*)"'
_PAIR: Final = re.compile(rb"(?P<name>%b)=(?:(?P<token>%b)|%b)" % (_TOKEN, _TOKEN, _QUOTED))
_ESCAPED: Final = re.compile(rb"\\(.)")


class Told(NamedTuple):
    """What is believed. `chain`: from the client to the proxy that is our peer, without that. `port` 0: not said.

    `scheme` and `host`: how and for whom the client asked the outermost trusted proxy; empty where nobody says.
    """

    ip: str
    port: int
    chain: tuple[str, ...]
    scheme: str
    host: str


class Claims(NamedTuple):
    """The fields as they came, repeated ones joined with commas; None where there is none."""

    forwarded: bytes | None = None
    addresses: bytes | None = None  # X-Forwarded-For
    scheme: bytes | None = None  # X-Forwarded-Proto
    host: bytes | None = None  # X-Forwarded-Host


def believe(peer: str, claims: Claims, trusted: Networks) -> Told:
    """What a trusted `peer` tells of the client.

    Where it sends both kinds of fields, one of them may be the client's own, which the proxy does not know and lets
    through. Nobody can tell which: they must agree about the client, and a scheme or host counts if both name it.
    Raises WireError 400 where they contradict each other.
    """
    if claims.forwarded is None:
        return _from_x_fields(peer, claims, trusted)
    told = _from_forwarded(peer, claims.forwarded, trusted)
    if claims.addresses is None and claims.scheme is None and claims.host is None:
        return told
    other = _from_x_fields(peer, claims, trusted)
    if claims.addresses is not None and other.ip != told.ip:
        raise _contradiction("the client's address")
    if other.scheme and told.scheme and other.scheme != told.scheme:
        raise _contradiction("the scheme")
    if other.host and told.host and other.host != told.host:
        raise _contradiction("the host")
    return told._replace(
        scheme=told.scheme if other.scheme else "", host=told.host if other.host else "", port=told.port or other.port
    )


def _contradiction(what: str) -> WireError:
    detail = f"`Forwarded` and the `X-Forwarded-` fields contradict each other about {what}: a proxy must drop"
    return WireError(400, "contradicting-proxies", f"{detail} the ones that it does not write")


def _from_x_fields(peer: str, claims: Claims, trusted: Networks) -> Told:
    values = _last(claims.addresses) if claims.addresses is not None else []
    chain, port = _walk(peer, (read_address(value) for value in reversed(values)), trusted)
    steps = len(chain)  # how many values from the right were believed
    scheme = host = ""
    if claims.scheme is not None:
        scheme = _SCHEMES.get(_value_of(_last(claims.scheme), steps, len(values)).lower(), "")
    if claims.host is not None:
        host = _read_host(_value_of(_last(claims.host), steps, len(values)))
    return Told(chain[0] if chain else peer, port, tuple(chain), scheme, host)


def _value_of(said: list[bytes], steps: int, addresses: int) -> bytes:
    """Of a list that goes along with the addresses the client's; of any other the one that our peer has written."""
    return said[-steps] if steps and len(said) == addresses else said[-1]


def _from_forwarded(peer: str, field: bytes, trusted: Networks) -> Told:
    elements = [_read_element(value) for value in reversed(_last(field))]
    chain, port = _walk(peer, (read_node(element.get(b"for", b"")) for element in elements), trusted)
    # Without a readable address our peer may still say how it was asked.
    said = elements[max(len(chain), 1) - 1]
    scheme = _SCHEMES.get(said.get(b"proto", b"").lower(), "")
    return Told(chain[0] if chain else peer, port, tuple(chain), scheme, _read_host(said.get(b"host", b"")))


def _last(field: bytes) -> list[bytes]:
    """The last values of a list, at most HOPS."""
    values = [value.strip(b" \t") for value in field.rsplit(b",", HOPS)]
    return values[-HOPS:]


def _walk(peer: str, from_the_right: Iterable[tuple[str, int] | None], trusted: Networks) -> tuple[list[str], int]:
    """The chain as far as it is believed, the client first, and the client's port."""
    chain: list[str] = []
    port = 0
    for found in from_the_right:
        if found is None:
            break
        ip, port = found
        chain.insert(0, ip)
        if ip not in trusted:
            break
    return chain, port


def read_address(value: bytes) -> tuple[str, int] | None:
    """Address and port (0: none) of an entry of X-Forwarded-For: `10.0.0.1`, `10.0.0.1:80`, `::1`, `[::1]:80`."""
    if _BARE_IPV6.fullmatch(value) and value.count(b":") > 1:
        return _address(value, None)
    return read_node(value)


def read_node(value: bytes) -> tuple[str, int] | None:
    """Address and port of a `for=`, unquoted; None for what hides itself (`unknown`, `_secret`) or is no node."""
    match = _IPV4.fullmatch(value) or _BRACKETED.fullmatch(value)
    return None if match is None else _address(match["host"], match["port"])


def _address(host: bytes, port: bytes | None) -> tuple[str, int] | None:
    number = int(port) if port else 0
    if number > 65535:
        return None
    text = host.decode("ascii")
    try:
        if ":" not in text:
            return str(IPv4Address(text)), number
        address = IPv6Address(text)
    except AddressValueError:
        return None
    return str(address.ipv4_mapped or address), number


def _read_element(value: bytes) -> dict[bytes, bytes]:
    """The pairs of one element by lower-case name; none where it breaks the grammar or says a thing twice."""
    pairs: dict[bytes, bytes] = {}
    position = 0
    while True:
        while value[position : position + 1] == b";":  # a pair may be left out
            position += 1
        if position == len(value):
            return pairs
        match = _PAIR.match(value, position)
        if match is None:
            return {}
        name = match["name"].lower()
        if name in pairs:
            return {}
        token: bytes | None = match["token"]
        pairs[name] = token if token is not None else _ESCAPED.sub(rb"\1", match["quoted"])
        position = match.end()
        if position < len(value) and value[position : position + 1] != b";":
            return {}


def _read_host(value: bytes) -> str:
    if not value:
        return ""
    try:
        return read_authority(value).decode("ascii")
    except WireError:
        return ""
