"""Signals and other threads' calls, as bytes on a socket that a `select` can wait for."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable
from typing import Any


class Signals:
    """While it is caught, a signal does nothing but arrive here; `close` gives them back."""

    def __init__(self) -> None:
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._previous: dict[int, Any] = {}

    def fileno(self) -> int:
        return self._woken.fileno()

    def catch(self, numbers: Iterable[int]) -> None:
        self._previous = {number: signal.signal(number, _noted) for number in numbers}
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    def wake(self) -> None:
        """From another thread: have a look."""
        try:
            self._waker.send(b"\0")
        except OSError:
            pass  # full: it is awake already; closed: it has ended

    def take(self) -> list[int]:
        """What has arrived; 0 for a call to wake."""
        return list(self._woken.recv(4096))

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._waker.close()
        self._woken.close()


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor has it already."""
