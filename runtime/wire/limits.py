"""How much of a message is taken in, and the error that says no."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Limits of one message, in bytes unless said otherwise.

    `header_bytes` counts the whole head, from the first byte after the message before it to the empty line;
    `request_line` the method, target and version with their two spaces; `fields` the header fields. `chunk_extensions`
    is what the framing of one chunked body may take beyond 16 bytes a chunk: extensions, padded sizes and trailers.
    `interim_answers` is how many 1xx answers may come before the final one.
    """

    header_bytes: int = 32 * 1024
    request_line: int = 8 * 1024
    fields: int = 100
    chunk_extensions: int = 16 * 1024
    interim_answers: int = 16


class WireError(Exception):
    """Bytes that are no acceptable message.

    `status` is the answer that they deserve (a request's 4xx or 5xx, 502 for an answer of an upstream), `name` the
    failure's name in kebab-case, `detail` one line that may be shown to whoever sent them.
    """

    def __init__(self, status: int, name: str, detail: str) -> None:
        super().__init__(status, name, detail)
        self.status = status
        self.name = name
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.status} {self.name}: {self.detail}"
