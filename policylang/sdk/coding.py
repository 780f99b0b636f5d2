"""Content codings (RFC 9110, 8.4): from the bytes of a body to what they stand for, and back.

The libraries are imported where a body is coded, not where this is. Decoding stops at its limit, so that what a bomb
costs depends on the limit and not on the bomb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Any, Final, Protocol, TypeAlias

Decoder: TypeAlias = Callable[[bytes, int], bytes]

MOST_CODINGS: Final = 2
"""Codings of one body, one on top of the other."""
MOST_MEMBERS: Final = 1000
"""Members of one gzip file, or frames of zstd: each costs more to begin than its bytes do."""
MOST_WINDOW: Final = 8 << 20
"""Bytes that a zstd frame may make its reader keep (RFC 9659, 3)."""
_SLICE: Final = 16 * 1024
_ZSTD_SLICE: Final = 256
"""Of zstd, which writes 128 KiB for four bytes and cannot be told to stop before its input ends."""
_STEP: Final = 256 * 1024
"""Bytes that brotli is asked for at a time: its buffer grows beyond what is asked for."""


class UnknownCoding(ValueError):
    """Carries its name."""


class TooLong(ValueError):
    """Decoded, it is longer than the limit."""


class Corrupt(ValueError):
    """Carries what is wrong, as the end of a sentence."""


def decode(data: bytes, codings: str, limit: int) -> bytes:
    """A body without the codings that its Content-Encoding lists. Raises UnknownCoding, TooLong, Corrupt.

    `limit`: bytes, also of what is between two codings. No bytes stay none, as in the answer to HEAD.
    """
    decoders = _decoders(codings)
    if data:
        for decoder in decoders:
            data = decoder(data, limit)
    return data


@lru_cache(maxsize=64)
def _decoders(codings: str) -> tuple[Decoder, ...]:
    """What undoes them: the last one listed was applied last."""
    found: list[Decoder] = []
    for part in reversed(codings.split(",")):
        name = part.strip(" \t").lower()
        if name and name != "identity":
            if name not in _DECODERS:
                raise UnknownCoding(name)
            found.append(_DECODERS[name])
    if len(found) > MOST_CODINGS:
        raise UnknownCoding(codings)
    return tuple(found)


# --- decoders ---


def _gunzip(data: bytes, limit: int) -> bytes:
    """One member or several (RFC 1952, 2.2), and nothing else."""
    import zlib

    parts: list[bytes] = []
    at = members = 0
    while at < len(data):
        members += 1
        if members > MOST_MEMBERS:
            raise Corrupt(f"it has more than {MOST_MEMBERS} members")
        at, limit = _inflate(zlib.decompressobj(31), data, at, limit, parts)
    return b"".join(parts)


def _unwrap(data: bytes, limit: int) -> bytes:
    """`deflate` is the zlib format (RFC 9110, 8.4.1.2), which some leave out around their deflate data."""
    import zlib

    wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0  # RFC 1950, 2.2
    parts: list[bytes] = []
    at, _ = _inflate(zlib.decompressobj(15 if wrapped else -15), data, 0, limit, parts)
    if at < len(data):
        raise Corrupt("bytes follow its end")
    return b"".join(parts)


def _inflate(one: Any, data: bytes, at: int, room: int, parts: list[bytes]) -> tuple[int, int]:
    """Read one stream that begins at `at`; gives where it ends, and the room left. In slices: zlib copies its rest."""
    import zlib

    view = memoryview(data)
    while not one.eof:
        if at >= len(data):
            raise Corrupt("it ends too early")
        piece = view[at : at + _SLICE]
        at += len(piece)
        try:
            out = one.decompress(piece, room + 1)
        except zlib.error:
            raise Corrupt("it is malformed") from None
        room -= len(out)
        if room < 0:
            raise TooLong
        parts.append(out)
    return at - len(one.unused_data), room


def _unbrotli(data: bytes, limit: int) -> bytes:
    import brotli

    one = brotli.Decompressor()  # its window is at most 16 MiB (RFC 7932, 9.1)
    parts: list[bytes] = []
    out = b""
    try:
        for piece in _slices(data, _SLICE):
            # With no room for its output it takes no more input, and what it has left comes for nothing.
            while piece or out:
                out = one.process(piece, output_buffer_limit=min(_STEP, limit + 1))
                piece = b""
                limit -= len(out)
                if limit < 0:
                    raise TooLong
                parts.append(out)
    except brotli.error:  # also for bytes behind its end
        raise Corrupt("it is malformed") from None
    if not one.is_finished():
        raise Corrupt("it ends too early")
    return b"".join(parts)


def _unzstd(data: bytes, limit: int) -> bytes:
    """One frame or several (RFC 8878, 3)."""
    import zstandard

    context = zstandard.ZstdDecompressor(max_window_size=MOST_WINDOW)
    parts: list[bytes] = []
    one: Any = None
    frames = 0
    for piece in _slices(data, _ZSTD_SLICE):
        while piece:
            if one is None:
                frames += 1
                if frames > MOST_MEMBERS:
                    raise Corrupt(f"it has more than {MOST_MEMBERS} frames")
                one = context.decompressobj(write_size=_SLICE)
            try:
                out = one.decompress(piece)
            except zstandard.ZstdError as error:
                raise Corrupt("it needs too much memory" if "memory" in str(error) else "it is malformed") from None
            limit -= len(out)
            if limit < 0:
                raise TooLong
            parts.append(out)
            piece = b""
            if one.eof:
                piece, one = one.unused_data, None
    if one is not None:
        raise Corrupt("it ends too early")
    return b"".join(parts)


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


_DECODERS: Final[dict[str, Decoder]] = {
    "gzip": _gunzip, "x-gzip": _gunzip, "deflate": _unwrap, "br": _unbrotli, "zstd": _unzstd,
}  # fmt: skip
ACCEPTED: Final = "gzip, deflate, br, zstd"
"""The codings that are read, as Accept-Encoding names them."""


# --- encoders ---


class Encoder(Protocol):
    """One body on its way into a coding."""

    def feed(self, data: bytes, flush: bool = True) -> bytes:
        """With `flush`, who decodes what has come so far has all of `data`."""
        ...

    def end(self) -> bytes: ...


class Gzip:
    __slots__ = ("_one", "_sync")

    def __init__(self, level: int) -> None:
        import zlib

        self._one = zlib.compressobj(level, zlib.DEFLATED, 31)
        self._sync = zlib.Z_SYNC_FLUSH

    def feed(self, data: bytes, flush: bool = True) -> bytes:
        out = self._one.compress(data)
        return out + self._one.flush(self._sync) if flush else out

    def end(self) -> bytes:
        return self._one.flush()


class Brotli:
    __slots__ = ("_one",)

    def __init__(self, quality: int) -> None:
        import brotli

        self._one = brotli.Compressor(quality=quality, lgwin=_WINDOW)

    def feed(self, data: bytes, flush: bool = True) -> bytes:
        out: bytes = self._one.process(data)
        return out + self._one.flush() if flush else out

    def end(self) -> bytes:
        out: bytes = self._one.finish()
        return out


class Zstd:
    __slots__ = ("_block", "_one")

    def __init__(self, level: int) -> None:
        import zstandard

        self._one = _new_zstd(level).compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def feed(self, data: bytes, flush: bool = True) -> bytes:
        out: bytes = self._one.compress(data)
        return out + self._one.flush(self._block) if flush else out

    def end(self) -> bytes:
        out: bytes = self._one.flush()
        return out


_WINDOW: Final = 18
"""Window of br and zstd as a power of two: packing a body that streams takes some 1 MiB with it (gzip: 256 KiB)."""
LEVELS: Final[dict[str, dict[str, int]]] = {
    "gzip": {"fast": 1, "normal": 5, "best": 7},
    "br": {"fast": 1, "normal": 4, "best": 6},
    "zstd": {"fast": 1, "normal": 3, "best": 6},
}
"""By coding and by the language's word. What lies above takes many times the time, and 10 to 30 MB, for 2% less."""


def encoder(coding: str, level: str) -> Encoder:
    """For a body that streams. `coding` and `level` as in LEVELS."""
    return _ENCODERS[coding](LEVELS[coding][level])


def encode(data: bytes, coding: str, level: str) -> bytes:
    """A body at once."""
    number = LEVELS[coding][level]
    if coding == "gzip":
        import zlib

        return zlib.compress(data, number, 31)
    if coding == "br":
        import brotli

        packed: bytes = brotli.compress(data, quality=number, lgwin=_WINDOW)
        return packed
    packed = _shared_zstd(number).compress(data)
    return packed


def _new_zstd(level: int) -> Any:
    import zstandard

    settings = zstandard.ZstdCompressionParameters.from_level(level, window_log=_WINDOW)
    return zstandard.ZstdCompressor(compression_params=settings)


_shared_zstd = cache(_new_zstd)
"""One works on one body at a time: those that stream have one each."""
_ENCODERS: Final[dict[str, Callable[[int], Encoder]]] = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}
