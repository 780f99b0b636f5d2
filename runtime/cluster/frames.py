"""Requests to members and their answers as bytes: keys and values are byte arrays and nothing else.

The client's serializers are not asked. They would read a pickle, if somebody had put one there, and run what is in it;
and they take most of a call's time.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from hazelcast.protocol.client_message import (
    REQUEST_HEADER_SIZE,
    RESPONSE_HEADER_SIZE,
    SIZE_OF_FRAME_LENGTH_AND_FLAGS,
    create_initial_buffer,
)
from hazelcast.protocol.codec import (
    map_get_codec,
    map_put_if_absent_codec,
    map_remove_if_same_codec,
    map_replace_if_same_codec,
    map_size_codec,
)
from hazelcast.serialization.data import Data
from hazelcast.serialization.serialization_const import CONSTANT_TYPE_BYTE_ARRAY

_FRAME = struct.Struct("<iH")
_FINAL = 1 << 13
_BYTES = struct.Struct(">iii")
"""What a byte array begins with: the hash that decides its partition, the type, the length."""
_VALUE_AT = _BYTES.size
_TYPE = CONSTANT_TYPE_BYTE_ARRAY.to_bytes(4, "big", signed=True)
_NOBODY = 0
"""The thread on whose behalf: only locks would care, and none is used."""
_MAP_TTL = -1
_FETCH_ENTRIES = 0x013800
_FETCH_BATCH_AT = REQUEST_HEADER_SIZE
_FETCH_FRAME = REQUEST_HEADER_SIZE + 4
_POINTER = struct.Struct("<ii")
FIRST_POINTERS = _POINTER.pack(0x7FFFFFFF, -1)
"""From where a listing of a partition begins."""


_CODECS: tuple[Any, ...] = (
    map_get_codec, map_put_if_absent_codec, map_replace_if_same_codec, map_remove_if_same_codec, map_size_codec,
)  # fmt: skip


class NotOurs(Exception):
    """What is stored there is no byte array: somebody else has written it."""


def packed(payload: bytes, partition_hash: int = 0) -> bytes:
    """As members store it. A `partition_hash` other than 0 stands for the key's own hash, which Python computes slowly;
    members look at it before the key, whoever asks."""
    return _BYTES.pack(partition_hash, CONSTANT_TYPE_BYTE_ARRAY, len(payload)) + payload


def packed_key(key: bytes) -> tuple[int, bytes]:
    """The hash that says which partition it is in, and the key as members store it."""
    number = (zlib.crc32(key) & 0x7FFFFFFF) or 1
    return number, packed(key, number)


def unpacked(stored: bytes) -> bytes:
    """Raises NotOurs."""
    if stored[4:8] != _TYPE:
        raise NotOurs(f"type {int.from_bytes(stored[4:8], 'big', signed=True)}")
    return bytes(stored[_VALUE_AT:])


class MapRequests:
    """The requests about one map; what is the same in all of them is put together once."""

    __slots__ = ("_fetch", "_get", "_put", "_remove", "_replace", "size")

    def __init__(self, name: str) -> None:
        data: Any = Data
        start: Any = create_initial_buffer
        none, empty = data(b""), SIZE_OF_FRAME_LENGTH_AND_FLAGS
        get, put, replace, remove, size = _CODECS
        self._get = bytes(get.encode_request(name, none, _NOBODY).buf[:-empty])
        self._put = bytes(put.encode_request(name, none, none, _NOBODY, _MAP_TTL).buf[: -2 * empty])
        self._replace = bytes(replace.encode_request(name, none, none, none, _NOBODY).buf[: -3 * empty])
        self._remove = bytes(remove.encode_request(name, none, none, _NOBODY).buf[: -2 * empty])
        self.size = bytes(size.encode_request(name).buf)
        text = name.encode()
        self._fetch = bytes(start(_FETCH_FRAME, _FETCH_ENTRIES)) + _FRAME.pack(len(text) + empty, 0) + text

    def get(self, key: bytes) -> bytearray:
        return bytearray().join((self._get, _FRAME.pack(len(key) + 6, _FINAL), key))

    def put_if_absent(self, key: bytes, value: bytes) -> bytearray:
        return bytearray().join((self._put, _FRAME.pack(len(key) + 6, 0), key,
                                 _FRAME.pack(len(value) + 6, _FINAL), value))  # fmt: skip

    def replace_if_same(self, key: bytes, old: bytes, new: bytes) -> bytearray:
        return bytearray().join((self._replace, _FRAME.pack(len(key) + 6, 0), key, _FRAME.pack(len(old) + 6, 0), old,
                                 _FRAME.pack(len(new) + 6, _FINAL), new))  # fmt: skip

    def remove_if_same(self, key: bytes, old: bytes) -> bytearray:
        return bytearray().join((self._remove, _FRAME.pack(len(key) + 6, 0), key,
                                 _FRAME.pack(len(old) + 6, _FINAL), old))  # fmt: skip

    def fetch(self, pointers: bytes, count: int) -> bytearray:
        """Some `count` entries of one partition, from where the last answer left off."""
        request = bytearray().join((self._fetch, _FRAME.pack(len(pointers) + 6, _FINAL), pointers))
        struct.pack_into("<i", request, _FETCH_BATCH_AT, count)
        return request


def data_answer(message: Any) -> bytes | None:
    """A value as stored, or None."""
    frame = message.start_frame.next
    return None if frame.is_null_frame() else frame.buf


def bool_answer(message: Any) -> bool:
    return bool(message.start_frame.buf[RESPONSE_HEADER_SIZE])


def int_answer(message: Any) -> int:
    return int(struct.unpack_from("<i", message.start_frame.buf, RESPONSE_HEADER_SIZE)[0])


def fetch_answer(message: Any) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Where to go on (empty: that was all), and entries as stored."""
    frame = message.start_frame.next
    pointers = frame.buf
    index, _ = _POINTER.unpack_from(pointers, len(pointers) - _POINTER.size)
    found = []
    frame = frame.next.next  # behind the frame that begins the list
    while not frame.is_end_frame():
        found.append((frame.buf, frame.next.buf))
        frame = frame.next.next
    return (b"" if index < 0 else pointers), found
