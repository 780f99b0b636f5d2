"""What the readers of `runtime.wire` report, written down so that it can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from runtime.wire.limits import WireError, WireLimits
from runtime.wire.request import RequestHead, RequestReader
from runtime.wire.response import ResponseHead, ResponseReader

LIMITS = WireLimits()


def seen(head: RequestHead | ResponseHead) -> dict[str, Any]:
    """What a head says; whether it was known before is no part of that."""
    return {name: getattr(head, name) for name in head.__slots__ if name not in ("known", "lines")}


class Record:
    """Both sinks in one. Bodies are joined: how their bytes were split is nobody's business."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.heads: list[Any] = []

    def request_head(self, head: RequestHead | ResponseHead) -> None:
        self.heads.append(head)
        self.events.append(("head", seen(head)))

    def request_body(self, data: bytes) -> None:
        assert data
        if self.events[-1][0] == "body":
            data = self.events.pop()[1] + data
        self.events.append(("body", data))

    def request_end(self) -> None:
        self.events.append(("end",))

    def request_error(self, error: WireError) -> None:
        assert str(error).count("\n") == 0
        self.events.append(("error", error.status, error.name))

    def informational(self, status: int, headers: list[tuple[bytes, bytes, bytes]]) -> None:
        self.events.append(("informational", status, headers))

    response_head = request_head
    response_body = request_body
    response_end = request_end
    response_error = request_error

    @property
    def kinds(self) -> str:
        """The events in short: `head body end`, an error by its name."""
        return " ".join(str(event[-1] if event[0] == "error" else event[0]) for event in self.events)

    @property
    def error(self) -> tuple[int, str] | None:
        last = self.events[-1] if self.events else ("",)
        return (last[1], last[2]) if last[0] == "error" else None

    @property
    def body(self) -> bytes:
        return b"".join(event[1] for event in self.events if event[0] == "body")

    @property
    def ends(self) -> int:
        return self.events.count(("end",))


def split(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """`data` in the pieces that begin at `cuts`."""
    position = 0
    for cut in sorted({cut for cut in cuts if 0 < cut < len(data)}):
        yield data[position:cut]
        position = cut
    yield data[position:]


def read_requests(data: bytes, cuts: Iterable[int] = (), limits: WireLimits = LIMITS) -> Record:
    record = Record()
    reader = RequestReader(record, limits)
    for piece in split(data, cuts):
        reader.feed(piece)
    return record


def read_response(
    data: bytes, method: str = "GET", cuts: Iterable[int] = (), eof: bool = False, limits: WireLimits = LIMITS
) -> tuple[Record, ResponseReader]:
    record = Record()
    reader = ResponseReader(record, limits)
    reader.expect(method)
    for piece in split(data, cuts):
        reader.feed(piece)
    if eof:
        reader.eof()
    return record, reader
