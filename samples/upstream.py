"""The small upstream of the samples: answers every request with what it received, as JSON.

    python samples/upstream.py 9000 [NAME]

With `slow=SECONDS` in the query the answer takes so long.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

import httptools

BODY_LIMIT = 16 * 1024 * 1024


class Echo(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self.name = name
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1")] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > BODY_LIMIT:
            self.transport.close()

    def on_message_complete(self) -> None:
        received = {
            "upstream": self.name,
            "method": self.parser.get_method().decode(),
            "target": self.target.decode("latin-1"),
            "headers": self.headers,
            "body": self.body.decode("utf-8", "replace"),
        }
        body = json.dumps(received, indent=2).encode() + b"\n"
        closing = not self.parser.should_keep_alive()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        answer = head if received["method"] == "HEAD" else head + body
        slow = re.search(rb"[?&]slow=(\d{1,2}(?:\.\d+)?)", self.target)
        asyncio.get_running_loop().call_later(float(slow[1]) if slow else 0, self.answer, answer, closing)

    def answer(self, answer: bytes, closing: bool) -> None:
        self.transport.write(answer)
        if closing:
            self.transport.close()


async def main(port: int, name: str) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Echo(name), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "upstream"))
    except KeyboardInterrupt:
        pass
