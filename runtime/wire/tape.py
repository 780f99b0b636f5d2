"""What llhttp said about the piece of input that it was given last.

The readers do not act inside the parser's callbacks: there an exception loses its type, and a sink that feeds or
pauses the reader would enter the parser a second time. The callbacks only note; the reader acts when the parser has
returned.
"""

from __future__ import annotations

from typing import Final

from runtime.wire.fields import FRAMING, Field

_PIECES: Final = 16


class Tape:
    """Notes of one message; httptools finds the callbacks by their names.

    What a piece of input says beyond the end of the message must not colour it (an upstream may send a second answer
    behind the first), so the head is put aside when it ends (`head_*`), and the end of the message marks how much of
    the rest is its own (`own_body` pieces; `bad_trailers`: trailers that belong into a head). `heads` and `ends`
    count since `rewind`.
    """

    __slots__ = (
        "bad_trailers",
        "body",
        "chunks",
        "ends",
        "fields",
        "framing",
        "head_fields",
        "head_framing",
        "head_start",
        "heads",
        "on_body",
        "on_header",
        "on_status",
        "on_url",
        "own_body",
        "start",
    )

    def __init__(self) -> None:
        self.start: list[bytes] = []
        self.fields: list[Field] = []
        self.framing: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.head_start = b""
        self.head_fields: list[Field] = []
        self.head_framing: list[tuple[bytes, bytes]] = []
        self.heads = self.ends = self.chunks = self.own_body = 0
        self.bad_trailers = False
        # Methods of the lists themselves spare a Python call for each event; so the lists live as long as the tape.
        self.on_url = self.on_status = self.start.append
        self.on_body = self.body.append
        keep, mark, looked_at = self.fields.append, self.framing.append, FRAMING

        def on_header(name: bytes, value: bytes) -> None:
            lower = name.lower()
            # llhttp leaves white space behind a value, which is not part of it (RFC 9110 5.5).
            value = value.strip()
            keep((lower, name, value))
            if lower in looked_at:
                mark((lower, value))

        self.on_header = on_header

    def on_headers_complete(self) -> None:
        self.heads += 1
        if self.heads == 1:
            self.head_start = self.start[0] if len(self.start) == 1 else b"".join(self.start)
            self.head_fields = self.fields.copy()
            self.head_framing = self.framing.copy()
            self.start.clear()
            self.fields.clear()
            self.framing.clear()

    def on_message_complete(self) -> None:
        self.ends += 1
        if self.ends == 1:
            self.own_body = len(self.body)
            self.bad_trailers = bool(self.framing)

    def on_chunk_header(self) -> None:
        self.chunks += 1

    def take_body(self) -> bytes:
        """The message's body bytes since the last call, in one piece."""
        pieces = self.body
        if not pieces:
            return b""
        own = pieces[: self.own_body] if self.ends else pieces
        data = own[0] if len(own) == 1 else b"".join(own)
        pieces.clear()
        if self.ends:
            self.own_body = 0
        return data

    def gather(self) -> None:
        """Make one piece of a start line that trickles in: small pieces take forty times their bytes."""
        if len(self.start) > _PIECES:
            self.start[:] = [b"".join(self.start)]

    def drop_trailers(self) -> None:
        """Forget the trailers so far, but not that some of them belong into a head."""
        if self.fields:
            self.fields.clear()
            del self.framing[1:]

    def rewind(self) -> None:
        """Be ready for the next message."""
        self.heads = self.ends = self.chunks = 0
        # Trailers (checked by then, and dropped) and whatever came behind the message.
        if self.fields:
            self.fields.clear()
            self.framing.clear()
        if self.start:
            self.start.clear()
        if self.body:
            self.body.clear()

    def forget(self) -> None:
        """Nothing is read any more: what was refused must not be held for as long as its connection takes to end."""
        self.rewind()
        self.head_fields = []
        self.head_framing = []
