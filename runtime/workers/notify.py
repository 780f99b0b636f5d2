"""What the service manager is told, as sd_notify(3) has it: datagrams to `$NOTIFY_SOCKET`; nothing without one."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

SHARE = 0.5
"""Of the watchdog's time after which a sign of life is sent: half, as sd_watchdog_enabled(3) recommends."""


class Notifier:
    """Never waits, never fails: a manager that does not read misses a message. Times in seconds, monotonic.

    `watchdog`: seconds between two signs of life, 0 where none is wanted.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        self.watchdog = watchdog
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address.startswith("@") else address  # unix(7): an abstract name
        self._next = 0.0
        if address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Notifier:
        """From the environment, out of which the variables are taken: they are not meant for the workers."""
        address = environ.pop("NOTIFY_SOCKET", "")
        every, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        wanted = every.isascii() and every.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, int(every) / 1_000_000 * SHARE if wanted else 0.0)

    def ready(self, status: str) -> None:
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        # The clock that sd_notify(3) demands beside RELOADING=1.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reading the policy again")

    def stopping(self, status: str, seconds: float) -> None:
        """`seconds` that the end may take: more time than the unit gives is asked for."""
        self._send("STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def failed(self, text: str) -> None:
        """It ends with this sentence."""
        self._send(f"STATUS={text}")

    def alive(self, now: float, well: bool) -> None:
        """A sign of life when one is due. While the gateway is not `well` there is none, and it will be restarted."""
        if self.watchdog and well and now >= self._next:
            self._next = now + self.watchdog
            self._send("WATCHDOG=1")

    def due(self) -> float | None:
        """When the next sign of life is."""
        return self._next if self.watchdog and self._socket is not None else None

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            data = "\n".join(line.replace("\n", " ") for line in lines).encode("utf-8", "backslashreplace")
            try:
                self._socket.sendto(data, socket.MSG_NOSIGNAL, self._address)
            except OSError:
                pass  # it has gone, or its queue is full

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
