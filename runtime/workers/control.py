"""The line between supervisor and worker: JSON frames, and sockets handed over, on a Unix stream socket.

A frame is its length (4 bytes, big-endian) and one JSON object. Sockets travel as SCM_RIGHTS with the frame's first
byte. Neither side ever waits on it: what cannot be written is kept, what has come is read.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeAlias

import orjson

Message: TypeAlias = dict[str, Any]

MAX_FRAME = 512 * 1024 * 1024
"""Bytes; a policy with all its maps travels in one frame."""
MAX_SOCKETS = 200
"""Of one frame; Linux takes 253 (SCM_MAX_FD)."""
_READ = 256 * 1024
_LENGTH = struct.Struct(">I")


class ChannelBroken(Exception):
    """The other side sent what no frame can be."""


class Channel:
    """One end. `closed` is set when the other end is gone; writing to it is then harmless and does nothing."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self.end = end
        self.closed = False
        self._incoming = bytearray()
        self._received: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()

    def fileno(self) -> int:
        return self.end.fileno()

    @property
    def unsent(self) -> bool:
        return bool(self._outgoing)

    def send(self, message: Message, sockets: Sequence[int] = ()) -> None:
        """Queue one frame and write what can be written now. Sockets may be closed by the caller afterwards."""
        if self.closed:
            return
        if len(sockets) > MAX_SOCKETS:
            raise ValueError(f"more than {MAX_SOCKETS} sockets in one message")
        data = orjson.dumps({**message, "sockets": len(sockets)})
        frame = memoryview(_LENGTH.pack(len(data)) + data)
        self._outgoing.append((frame, [os.dup(number) for number in sockets]))
        self.flush()

    def flush(self) -> None:
        while self._outgoing and not self.closed:
            frame, sockets = self._outgoing[0]
            try:
                sent = socket.send_fds(self.end, [frame], sockets) if sockets else self.end.send(frame)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            for number in sockets:
                os.close(number)
            if sent == len(frame):
                self._outgoing.popleft()
            else:
                self._outgoing[0] = (frame[sent:], [])

    def receive(self) -> list[tuple[Message, list[socket.socket]]]:
        """Every whole frame that has come. Sets `closed` at the end of the stream. Raises ChannelBroken."""
        while not self.closed:
            try:
                data, numbers, _, _ = socket.recv_fds(self.end, _READ, MAX_SOCKETS)
            except BlockingIOError:
                break
            except OSError:
                self._lost()
                break
            for number in numbers:
                os.set_inheritable(number, False)  # recv_fds of Python 3.11 passes no flags on to recvmsg
            self._received.extend(numbers)
            if not data:
                self._lost()
                break
            self._incoming += data
        return self._frames()

    def _frames(self) -> list[tuple[Message, list[socket.socket]]]:
        frames: list[tuple[Message, list[socket.socket]]] = []
        buffer = self._incoming
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > MAX_FRAME:
                raise ChannelBroken(f"a frame of {length} bytes")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            try:
                message = orjson.loads(memoryview(buffer)[start + _LENGTH.size : end])
                sockets = [socket.socket(fileno=self._received.popleft()) for _ in range(message.get("sockets", 0))]
            except (orjson.JSONDecodeError, AttributeError, IndexError) as error:
                raise ChannelBroken(str(error)) from None
            frames.append((message, sockets))
            start = end
        if start:
            del buffer[:start]
        return frames

    def _lost(self) -> None:
        self.closed = True
        for _, sockets in self._outgoing:
            for number in sockets:
                os.close(number)
        self._outgoing.clear()

    def close(self) -> None:
        if not self.closed:
            self._lost()
        while self._received:
            os.close(self._received.popleft())
        self.end.close()
