"""Content codings: any body in any of them, whole, cut, spoilt, and bombs."""

from __future__ import annotations

import gzip
import os
import random
import time
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache, partial

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk.coding import LEVELS, Corrupt, TooLong, UnknownCoding, decode, encode, encoder

MIB = 1 << 20
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": lambda data: zlib.compress(data, 9, 31),
    "deflate": zlib.compress,
    "br": lambda data: bytes(brotli.compress(data, quality=3)),
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
codings = st.sampled_from(sorted(PACK))
bodies = st.one_of(
    st.binary(max_size=400),
    st.tuples(st.binary(min_size=1, max_size=20), st.integers(1, 20_000)).map(lambda pair: pair[0] * pair[1]),
)


@given(bodies, codings)
def test_what_was_packed_is_read(body: bytes, coding: str) -> None:
    packed = PACK[coding](body)
    assert decode(packed, coding, len(body)) == body
    assert decode(packed, f" {coding.upper()},, identity", len(body)) == body
    if body:
        with pytest.raises(TooLong):
            decode(packed, coding, len(body) - 1)


@given(bodies, codings, codings)
def test_two_codings_are_taken_off_from_the_last(body: bytes, first: str, second: str) -> None:
    packed = PACK[second](PACK[first](body))
    assert decode(packed, f"{first}, {second}", max(len(body), 10_000)) == body


@given(bodies, codings, st.randoms(use_true_random=False))
def test_what_is_cut_or_has_more_behind_it_is_refused(body: bytes, coding: str, chance: random.Random) -> None:
    packed = PACK[coding](body)
    cut = [packed[: chance.randrange(1, len(packed))], packed[:-1]] if len(packed) > 1 else []
    for spoilt in (*cut, packed + b"\0", packed + b"more bytes"):
        with pytest.raises(Corrupt):
            decode(spoilt, coding, MIB)


def mutated(packed: bytes, chance: random.Random) -> bytes:
    data = bytearray(packed)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.random()
        if kind < 0.5 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind < 0.7:
            data[at:at] = chance.randbytes(chance.randrange(8))
        elif kind < 0.85:
            del data[at : at + chance.randrange(40)]
        else:
            data *= chance.randrange(1, 5)
    return bytes(data)


def test_what_is_spoilt_ends_in_one_of_three_ways_and_soon() -> None:
    chance = random.Random(7)
    bodies = (b"", b"a", b"abc" * 1000, bytes(300_000), chance.randbytes(3000))
    packed = [(coding, pack(body)) for coding, pack in PACK.items() for body in bodies]
    read = 0
    for _ in range(200_000 if os.environ.get("POLGATE_SOAK") == "1" else 3000):
        coding, data = chance.choice(packed)
        begun = time.process_time()
        try:
            decode(mutated(data, chance), coding, MIB)
            read += 1
        except (Corrupt, TooLong):
            pass
        assert time.process_time() - begun < 0.2
    assert read > 100


@given(bodies, codings, st.data())
def test_a_flipped_bit_is_seen_where_there_is_a_sum(body: bytes, coding: str, data: st.DataObject) -> None:
    packed = bytearray(PACK[coding](body))
    at = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[at // 8] ^= 1 << at % 8
    try:
        found = decode(bytes(packed), coding, 4 * MIB)
    except (Corrupt, TooLong):
        return
    # gzip and zlib end with a sum of what they hold; the others have none.
    assert found == body or coding in ("br", "zstd")


@given(st.lists(bodies, min_size=1, max_size=5), st.sampled_from(["gzip", "zstd"]))
def test_members_follow_each_other(parts: list[bytes], coding: str) -> None:
    packed = b"".join(PACK[coding](part) for part in parts)
    whole = b"".join(parts)
    assert decode(packed, coding, len(whole)) == whole


def drained(one: brotli.Decompressor, data: bytes) -> bytes:
    """It may keep some of its output until it is asked again."""
    found = out = one.process(data)
    while out:
        out = one.process(b"")
        found += out
    return bytes(found)


@given(bodies, st.sampled_from(sorted(LEVELS)), st.sampled_from(["fast", "normal", "best"]), st.data())
def test_what_streams_is_read_as_it_comes(body: bytes, coding: str, level: str, data: st.DataObject) -> None:
    packing = encoder(coding, level)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=4)))
    readers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": zlib.decompressobj(31).decompress,
        "br": partial(drained, brotli.Decompressor()),
        "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
    }
    read = readers[coding]
    packed = b""
    seen = b""
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        piece = packing.feed(body[start:end])
        packed += piece
        seen += read(piece)
        assert seen == body[:end]
    assert decode(packed + packing.end(), coding, len(body)) == body
    assert decode(encode(body, coding, level), coding, len(body)) == body


def test_raw_deflate_is_read() -> None:
    packing = zlib.compressobj(wbits=-15)
    packed = packing.compress(b"some text " * 50) + packing.flush()
    assert decode(packed, "deflate", MIB) == b"some text " * 50


@pytest.mark.parametrize("name", ["compress", "aws-chunked", "gzip2", "*", "gzip;q=1", "gzip, gzip, gzip", "\udcff"])
def test_codings_that_are_not_read(name: str) -> None:
    with pytest.raises(UnknownCoding):
        decode(b"", name, MIB)


@pytest.mark.parametrize("coding", sorted(PACK))
def test_no_bytes_are_none(coding: str) -> None:
    assert decode(b"", coding, 10) == b""


@cache
def bomb(coding: str) -> bytes:
    return PACK[coding](bytes(100 * MIB))


@pytest.mark.parametrize("coding", sorted(PACK))
def test_a_bomb_costs_what_its_limit_does(coding: str) -> None:
    packed = bomb(coding)
    assert len(packed) < 110_000
    for data, name in ((packed, coding), (PACK["gzip"](packed), f"{coding}, gzip")):
        tracemalloc.start()
        begun = time.process_time()
        with pytest.raises(TooLong):
            decode(data, name, 10 * MIB)
        took = time.process_time() - begun
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert took < 0.2, f"{took * 1000:.0f} ms"  # 41 ms at most, seen without tracing
        assert peak < 40 * MIB


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_without_end_are_refused(coding: str) -> None:
    begun = time.process_time()
    with pytest.raises(Corrupt, match="more than 1000"):
        decode(PACK[coding](b"") * 300_000, coding, 10 * MIB)
    assert time.process_time() - begun < 0.5
    assert decode(PACK[coding](b"") * 1000, coding, 10 * MIB) == b""


def test_a_window_beyond_eight_megabytes_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packed = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    data = packed.compress(b"text") + packed.flush()
    with pytest.raises(Corrupt, match="too much memory"):
        decode(data, "zstd", 10 * MIB)


def test_large_honest_bodies_are_read() -> None:
    body = os.urandom(5 * MIB) + bytes(5 * MIB)
    for coding, pack in PACK.items():
        assert decode(pack(body), coding, 10 * MIB) == body
