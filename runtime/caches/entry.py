"""How an answer lies in the store: what it was kept under, then what it was.

    4  b"pgc" and the layout's version       8  wall time at which it was kept (double, seconds)
    1  kind: Answer, Variants, Dropped, J    8  wall time at which its life ends
    4  bytes of the whole                    8  wall time of the last drop that is known of
    4  CRC-32 of what follows, but the body  4  bytes of the name, and the name

An answer goes on with 8 bytes of age (double, seconds, when it was kept), 2 of status, 2 for the number of fields, for
each field 2 for the name's length, 4 for the value's, and both; 4 for the body's length, and the body. Variants go on
with an 8 byte mark, that is a part of the names of all that are kept under it, and the names of fields, one a line. J
goes on with a value as JSON, as its body. (That no byte of a body has changed is the stores' own care.)
Whatever is not exactly that is nothing.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from zlib import crc32

from policylang.sdk import Field

LAYOUT: Final = b"pgc\x01"
ANSWER, VARIANTS, DROPPED, VALUE = b"A", b"V", b"D", b"J"
MARK: Final = 8

_HEAD: Final = struct.Struct(">4s c I I")
_COMMON: Final = struct.Struct(">d d d I")
_ANSWER: Final = struct.Struct(">d H H")
_FIELD: Final = struct.Struct(">H I")
_LENGTH: Final = struct.Struct(">I")
_BREAKS: Final = (b"\r", b"\n", b"\0")


class Entry(NamedTuple):
    """`kept`, `until`, `dropped`: wall times in seconds. Of an answer the last four count, of variants `mark`, `names`.

    `dropped`: what was asked for before is not to come here any more; 0 where nothing was.
    """

    kind: bytes
    kept: float
    until: float
    name: bytes
    mark: bytes = b""
    names: tuple[bytes, ...] = ()
    age: float = 0.0
    status: int = 0
    headers: list[Field] = []
    body: bytes = b""
    dropped: float = 0.0


def packed(entry: Entry) -> bytes:
    parts = [_COMMON.pack(entry.kept, entry.until, entry.dropped, len(entry.name)), entry.name]
    if entry.kind == ANSWER:
        parts.append(_ANSWER.pack(entry.age, entry.status, len(entry.headers)))
        for _, name, value in entry.headers:
            parts += (_FIELD.pack(len(name), len(value)), name, value)
        parts.append(_LENGTH.pack(len(entry.body)))
    elif entry.kind == VARIANTS:
        parts += (entry.mark, b"\n".join(entry.names))
    rest, body = b"".join(parts), entry.body
    return b"".join((_HEAD.pack(LAYOUT, entry.kind, _HEAD.size + len(rest) + len(body), crc32(rest)), rest, body))


def unpacked(data: bytes | None, name: bytes) -> Entry | None:
    """What lies under a name; None for what is cut, of another layout, or another name's."""
    if data is None or len(data) < _HEAD.size + _COMMON.size:
        return None
    layout, kind, size, check = _HEAD.unpack_from(data)
    if layout != LAYOUT or size != len(data):
        return None
    kept, until, dropped, length = _COMMON.unpack_from(data, _HEAD.size)
    at = _HEAD.size + _COMMON.size
    if data[at : at + length] != name:
        return None
    try:
        found = _rest(kind, kept, until, name, data, at + length)
    except struct.error:
        return None
    if found is None or check != crc32(memoryview(data)[_HEAD.size : len(data) - len(found.body)]):
        return None
    return found._replace(dropped=dropped) if dropped else found


def _rest(kind: bytes, kept: float, until: float, name: bytes, data: bytes, at: int) -> Entry | None:
    if kind == DROPPED:
        return Entry(kind, kept, until, name) if at == len(data) else None
    if kind == VALUE:
        return Entry(kind, kept, until, name, body=data[at:])
    if kind == VARIANTS:
        names = tuple(data[at + MARK :].split(b"\n"))
        return Entry(kind, kept, until, name, data[at : at + MARK], names) if all(names) else None
    if kind != ANSWER:
        return None
    age, status, count = _ANSWER.unpack_from(data, at)
    at += _ANSWER.size
    headers: list[Any] = []
    for _ in range(count):
        of_name, of_value = _FIELD.unpack_from(data, at)
        at += _FIELD.size
        field, value = data[at : at + of_name], data[at + of_name : at + of_name + of_value]
        if any(one in field or one in value for one in _BREAKS):
            return None  # whoever could write into the store could write an answer of his own behind it
        headers.append((field.lower(), field, value))
        at += of_name + of_value
    (length,) = _LENGTH.unpack_from(data, at)
    body = data[at + _LENGTH.size :]
    if length != len(body) or not 200 <= status <= 599:
        return None
    return Entry(kind, kept, until, name, b"", (), age, status, headers, body)


def name_bytes(name: tuple[Any, ...]) -> bytes:
    """A name as bytes, without collisions: each part with its kind and its length.

    A part that is a tuple, what requests say in some fields, may be private: its digest stands for it.
    """
    parts: list[bytes] = []
    for part in name:
        if isinstance(part, tuple):
            tag, text = b"t", blake2b(name_bytes(part), digest_size=32).digest()
        elif part is None:
            tag, text = b"n", b""
        elif isinstance(part, str):
            tag, text = b"s", part.encode("utf-8", "surrogatepass")
        else:
            tag, text = b"y", bytes(part)
        parts += (tag, _LENGTH.pack(len(text)), text)
    return b"".join(parts)
