"""What a process has at hand: the things asked for last, as many as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Final

from policylang.sdk import Field
from runtime.edge.answer import FRAMED_ANEW
from runtime.edge.request import ReceivedResponse
from runtime.wire.fields import HTTP_1_1
from runtime.wire.response import ResponseHead

ROOM: Final = 16 * 1024 * 1024
"""Bytes, with what Python needs for them, roughly."""
LARGEST: Final = 8
"""What takes more than one part in so many of the room is not held."""
OVERHEAD: Final = 1500
OF_A_FIELD: Final = 250
_SECOND: Final = 1_000_000_000


class Held:
    """An answer. `born`, `dies`, `checked`: monotonic ns: when it was kept, until when it may be used, and when it was
    last seen in the store.

    What goes out of it, `head`, is put together once a second, as Age and Cache-Status say no more. Until `turns` there
    is nothing new to think about for whoever asks with the same `longest`.
    """

    __slots__ = (
        "_age", "_headers", "body", "born", "checked", "dies", "head", "longest", "size", "status", "turns",
    )  # fmt: skip

    def __init__(
        self, status: int, headers: list[Field], body: bytes, age: float, born: int, dies: int, checked: int
    ) -> None:
        self.status = status
        self.body = body
        self.born = born
        self.dies = dies
        self.checked = checked
        self.size = OVERHEAD + len(body) + sum(OF_A_FIELD + len(name) + len(value) for _, name, value in headers)
        self._headers = headers
        self._age = age
        self.turns = self.longest = -1
        self.head: ResponseHead

    def response(self) -> ReceivedResponse:
        head = self.head
        response = ReceivedResponse(self.status, head.headers, self.body)
        response.head = head
        response.late = None
        return response

    def turn(self, now: int, longest: int, again: int) -> None:
        """It is good now, for one who wants nothing older than `longest`; at `again` it is to be looked at anew."""
        self.longest = longest
        self.turns = min(now + _SECOND - (now - self.born) % _SECOND, self.dies, self.born + longest, again)
        told: list[Field] = [
            (b"content-length", b"Content-Length", b"%d" % len(self.body)),  # for the answer to HEAD
            (b"age", b"Age", b"%d" % (self._age + (now - self.born) / 1e9)),
            (b"cache-status", b"Cache-Status", b"polgate; hit; ttl=%d" % ((self.dies - now) // _SECOND)),
        ]
        if self.status == 204:
            del told[0]
        self.head = head = ResponseHead(self.status, b"", HTTP_1_1, self._headers + told)
        named = b"".join([b"%b: %b\r\n" % field[1:] for field in head.headers if field[0] not in FRAMED_ANEW])
        # Whoever hands on a list of Proxy-Status adds himself (RFC 9209 2), and there the careful way knows how.
        head.lines = b"" if any(field[0] == b"proxy-status" for field in head.headers) else named


class Variants:
    """Under a name there are several answers: `names` are the fields that tell them apart."""

    __slots__ = ("checked", "dies", "mark", "names", "size")
    turns = -1  # there is something to think about each time

    def __init__(self, mark: bytes, names: tuple[bytes, ...], dies: int, checked: int) -> None:
        self.mark = mark
        self.names = names
        self.dies = dies
        self.checked = checked
        self.size = OVERHEAD


class Value:
    """The bytes of a value."""

    __slots__ = ("checked", "data", "dies", "size")

    def __init__(self, data: bytes, dies: int, checked: int) -> None:
        self.data = data
        self.dies = dies
        self.checked = checked
        self.size = OVERHEAD // 3 + len(data)


class Near:
    """`used`: bytes. Who asks looks himself whether what he gets is still good."""

    def __init__(self, room: int = ROOM) -> None:
        self.used = 0
        self._room = room
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self.look = self._held.get

    def __len__(self) -> int:
        return len(self._held)

    def touch(self, key: Hashable) -> None:
        """It was asked for last."""
        self._held.move_to_end(key)

    def put(self, key: Hashable, thing: Held | Variants | Value) -> None:
        self.drop(key)
        if thing.size > self._room // LARGEST:
            return
        self._held[key] = thing
        self.used += thing.size
        while self.used > self._room:
            _, last = self._held.popitem(last=False)
            self.used -= last.size

    def drop(self, key: Hashable) -> None:
        thing = self._held.pop(key, None)
        if thing is not None:
            self.used -= thing.size
