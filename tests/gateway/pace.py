"""A client that asks at a steady rate, whatever comes back, and keeps count of what did not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import uvloop

DEADLINE = 10.0
"""Seconds for one answer."""


class Paced:
    """`with Paced(port, path, rate) as load: …`; each request takes the connection that has been idle for longest.

    `answers`: by status and body; `failures`: what became of the others, in words; `dropped`: connections that were
    closed while nothing was asked on them.
    """

    def __init__(self, port: int, path: str, rate: float, *, host: str = "127.0.0.1") -> None:
        self.port, self.host, self.rate = port, host, rate
        self.answers: Counter[tuple[int, bytes]] = Counter()
        self.failures: list[tuple[float, str]] = []
        self.dropped = 0
        self.slowest = 0.0
        self._request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Paced:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._thread.join(DEADLINE + 5)
        assert not self._thread.is_alive()

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def _run(self) -> None:
        loop = uvloop.new_event_loop()
        try:
            loop.run_until_complete(self._ask_all())
        finally:
            loop.close()

    async def _ask_all(self) -> None:
        tasks: set[asyncio.Task[Any]] = set()
        began, number = time.monotonic(), 0
        while not self._done.is_set():
            while number < (time.monotonic() - began) * self.rate:
                number += 1
                task = asyncio.create_task(self._ask())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(0.002)
        if tasks:
            await asyncio.wait(tasks, timeout=DEADLINE)
        for _, writer in self._idle:
            writer.close()

    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE):
                status, body = await self._exchange()
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.failures.append((began, f"{type(error).__name__}: {error}"))
        else:
            self.answers[status, body] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)

    async def _exchange(self) -> tuple[int, bytes]:
        while self._idle:
            reader, writer = self._idle.pop(0)
            if not reader.at_eof():
                break
            self.dropped += 1
            writer.close()  # no request is lost by that
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head[9:12]), body
