"""The PROXY header: what is read from it, what is refused, and that no byte of what follows is taken for it."""

from __future__ import annotations

import contextlib
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.wire.proxy_header import LONGEST_BINARY, BadProxyHeader, crc32c, header_size, read_source

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4, V6 = "192.0.2.1", "2001:db8::1"


def binary(command: int = 0x21, family: int = 0x11, addresses: bytes | None = None, records: bytes = b"") -> bytes:
    if addresses is None:
        addresses = struct.pack("!4s4sHH", IPv4Address(V4).packed, IPv4Address("10.0.0.1").packed, 5000, 443)
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses) + len(records)) + addresses + records


def record(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def six(source: str) -> bytes:
    return struct.pack("!16s16sHH", IPv6Address(source).packed, IPv6Address("::1").packed, 5000, 443)


def with_checksum(right: bool) -> bytes:
    blank = binary(records=record(0x04, b"pad") + record(0x03, bytes(4)))
    return blank[:-4] + (crc32c(blank) ^ (not right)).to_bytes(4, "big")


GOOD: list[tuple[bytes, tuple[str, int] | None]] = [
    (b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n", (V4, 5000)),
    (b"PROXY TCP6 2001:DB8::1 ::1 0 65535\r\n", (V6, 0)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 5000 443\r\n", (V4, 5000)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (binary(), (V4, 5000)),
    (binary(family=0x21, addresses=six(V6)), (V6, 5000)),
    (binary(family=0x21, addresses=six("::ffff:192.0.2.1")), (V4, 5000)),
    (binary(records=record(0x02, b"a.example") + record(0x20, b"\x01" + bytes(4))), (V4, 5000)),
    (with_checksum(True), (V4, 5000)),
    (binary(command=0x20), None),
    (binary(command=0x20, family=0x99, addresses=b"what ever"), None),
    (binary(family=0x00, addresses=b"what ever"), None),
    (binary(family=0x31, addresses=bytes(216)), None),
]
BAD = [
    b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\n",
    b"PROXY TCP4  192.0.2.1 10.0.0.1 5000 443\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 5000\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 05000 443\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
    b"PROXY TCP4 192.0.2.01 10.0.0.1 5000 443\r\n",
    b"PROXY TCP4 2001:db8::1 ::1 5000 443\r\n",
    b"PROXY TCP6 192.0.2.1 10.0.0.1 5000 443\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 5000 443\r\n",
    b"PROXY UDP4 192.0.2.1 10.0.0.1 5000 443\r\n",
    b"proxy UNKNOWN\r\n",
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01",
    b"\r\n\r\n\0\r\nQUIX",
    binary(command=0x31),
    binary(command=0x22),
    binary(family=0x12),
    binary(family=0x22, addresses=six(V6)),
    binary(addresses=bytes(11)),
    binary(records=b"\x02\x00"),
    binary(records=b"\x02\x00\x05four"),
    with_checksum(False),
    binary(records=record(0x03, b"short"[:3])),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, LONGEST_BINARY + 1),
]


@pytest.mark.parametrize("header, source", GOOD)
def test_what_is_said(header: bytes, source: tuple[str, int] | None) -> None:
    for behind in (b"", b"G", b"\r\n", header):
        assert header_size(header + behind) == len(header)
    for size in range(len(header)):
        assert header_size(header[:size]) is None
    assert read_source(header) == source


@pytest.mark.parametrize("header", BAD)
def test_what_is_wrong(header: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        size = header_size(header)
        assert size is not None
        read_source(header[:size])


STARTS = st.one_of(st.binary(max_size=300), st.sampled_from([good for good, _ in GOOD]))


@given(STARTS, st.binary(max_size=40), st.data())
@example(SIGNATURE + b"\x21\x11\x0f\xff" + bytes(4096), b"", None)
def test_whatever_comes_is_measured_or_refused(start: bytes, rest: bytes, data: st.DataObject | None) -> None:
    if data is not None and start:
        at = data.draw(st.integers(0, len(start) - 1))
        start = start[:at] + rest[:1] + start[at:]
    with contextlib.suppress(BadProxyHeader):
        size = header_size(start + rest)
        if size is not None:
            source = read_source((start + rest)[:size])
            assert source is None or 0 <= source[1] < 65536


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720 B.4
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
