"""A copy of a body that goes on to somebody else."""

from __future__ import annotations

from collections.abc import Callable

from policylang.sdk import Failure
from runtime.edge.stream import BodyStream


class Copy:
    """Gathers at most `limit` bytes. One of these is called, once: `whole` with all of it, or `failed`.

    `failed` gets None when nobody wanted the rest, else False: it was too long, or cut.
    """

    def __init__(
        self, source: BodyStream, limit: int, whole: Callable[[bytes], None], failed: Callable[[bool | None], None]
    ) -> None:
        self._source = source
        self._limit = limit
        self._whole = whole
        self._failed = failed
        self._parts: list[bytes] = []
        self._size = 0

    def body_data(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= self._limit:
            self._parts.append(data)
        else:
            self._source.copy = None
            self._parts.clear()
            self._failed(False)

    def body_end(self) -> None:
        self._whole(b"".join(self._parts))

    def body_failed(self, failure: Failure) -> None:
        self._parts.clear()
        self._failed(None if failure.name == "body-refused" else False)
