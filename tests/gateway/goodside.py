"""The good side of a test of abuse, a process of its own: an upstream, and a client that must notice nothing.

`goodside.py` prints the upstream's port. `go PORT` on standard input begins 100 requests a second through the gateway
there, each with an id that its answer must carry; `stop` ends them and prints what was seen as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from strict_http import body_of

INTERVAL = 0.01
PATIENCE = 5.0
"""Seconds after which a request counts as failed."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say the path of each request."""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await body_of(head, reader)
            path = head.split(b" ")[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))
    writer.close()


class Client:
    def __init__(self, port: int) -> None:
        self.port = port
        self.times: list[float] = []
        self.errors: list[str] = []
        self.free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopped = False

    async def run(self) -> None:
        """Begin a request at each moment, whether those before were answered or not."""
        number, due = 0, time.monotonic()
        while not self.stopped:
            task = asyncio.create_task(self.once(number))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            number += 1
            due = max(due + INTERVAL, time.monotonic() - 1.0)
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*self.tasks)

    async def once(self, number: int) -> None:
        began = time.monotonic()
        try:
            await asyncio.wait_for(self.ask(f"{'here' if number % 2 else 'good'}/{number}"), PATIENCE)
        except Exception as error:
            self.errors.append(f"{number}: {error!r}")
        else:
            self.times.append(time.monotonic() - began)

    async def ask(self, path: str) -> None:
        while self.free:
            reader, writer = self.free.pop()
            if not reader.at_eof() and await self.over(path, reader, writer):
                return
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        if not await self.over(path, reader, writer):
            raise ValueError(f"{path}: no answer on a new connection")

    async def over(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """False where the connection has ended without a word, as idle ones may: any client tries again then."""
        try:
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: good.example\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            said = head[9:12] + await reader.readexactly(length)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return False
        except ConnectionError:
            return False
        except BaseException:
            writer.close()
            raise
        if not said.startswith(b"200") or path.rpartition("/")[2] not in said.decode().split("/")[-1]:
            raise ValueError(f"{path}: {said!r}")
        self.free.append((reader, writer))
        return True

    def seen(self) -> dict[str, Any]:
        times = sorted(self.times) or [0.0]
        return {
            "answers": len(self.times),
            "errors": self.errors[:5],
            "failed": len(self.errors),
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
            "longest": times[-1],
        }


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    client, running = Client(0), None
    while line := await lines.readline():
        word, *rest = line.split()
        if word == b"go":
            client = Client(int(rest[0]))
            running = asyncio.create_task(client.run())
        elif running is not None:
            client.stopped = True
            await running
            print(json.dumps(client.seen()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
