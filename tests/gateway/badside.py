"""An upstream that misbehaves as the path says, a process of its own: `badside.py` prints its port.

/bad/large/MIB      an answer of so many MiB
/bad/endless        chunks for as long as somebody takes them
/bad/raw/NAME       the octets of `raw[NAME]`, then the end; /bad/open/NAME the same without the end
/bad/round/SEED     something that SEED decides, see `Round`
/bad/mutant/SEED    a mutated answer, see `mutants`
/bad/wrong          what was wrong with heads that came, as JSON: nothing may ever be
/bad/connections    how many connections are open (a good answer, as everything else gets)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from mutants import mutated_answer
from strict_http import Wrong, body_of, head_of

PIECE = b"x" * 65536


class Cut(Exception):
    """The connection is to be reset."""


class Upstream:
    def __init__(self, raw: dict[str, bytes]) -> None:
        self.raw = raw
        self.connections = 0
        self.wrong: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.transport.set_write_buffer_limits(high=1 << 16)
        try:
            while await self.one(reader, writer):
                pass
        except Cut:
            one: socket.socket = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):  # with this the end is a reset
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether there may be another one."""
        head = await reader.readuntil(b"\r\n\r\n")
        try:
            request, end = head_of(head)
            if end != len(head) or len(request.all(b"content-length") + request.all(b"transfer-encoding")) > 1:
                raise Wrong("two framings")
        except Wrong as wrong:
            self.wrong.append(f"{wrong}: {head!r}")
            raise Cut from None
        path = request.target.decode()
        what, _, rest = path.removeprefix("/bad/").partition("/")
        if what not in ("round", "mutant"):
            await body_of(head, reader)
        if what == "large":
            size = int(rest) << 20
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // len(PIECE)):
                writer.write(PIECE)
                await writer.drain()
        elif what == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n%b\r\n" % PIECE)
                await writer.drain()
        elif what == "raw":
            writer.write(self.raw[rest])
            await writer.drain()
            return False
        elif what == "open":
            writer.write(self.raw[rest])
            await reader.read()
            return False
        elif what == "round":
            return await misbehave(path, head, reader, writer)
        elif what == "mutant":
            pieces, ends = mutated_answer(rest)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            await body_of(head, reader)
            return not ends
        elif what == "wrong":
            writer.write(good(json.dumps(self.wrong[:5]).encode()))
        elif what == "connections":
            writer.write(good(str(self.connections).encode()))
        else:
            writer.write(good(path.encode()))
        return True


def good(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def misbehave(
    path: str, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Nothing of what is sent here with a false word in it may reach anybody but who asked for this path.

    Every answer that is complete and right says its path. The false ones say `false`.
    """
    luck = random.Random(path)
    kind = luck.randrange(24)
    right = path.encode()
    false = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse"
    nothing = b"HTTP/1.1 304 Not Modified\r\n\r\n"
    if kind >= 22:
        # An early answer: the request's body is not looked at.
        writer.write(good(right))
        await writer.drain()
        return luck.random() < 0.5 and await rest_of(head, reader)
    await body_of(head, reader)
    if kind < 6:
        writer.write(good(right))
        return True
    if kind == 6:
        writer.write(good(right)[: luck.randrange(1, len(good(right)))])
        await writer.drain()
        raise Cut
    if kind == 7:
        writer.write(good(right)[: -luck.randrange(1, len(right))])
    elif kind == 8:
        pass
    elif kind == 9:
        raise Cut
    elif kind == 10:
        writer.write(good(right) + false)
        return True
    elif kind == 11:
        # In one piece: what comes later, nobody can tell from the answer to the request that was sent meanwhile.
        writer.write(good(right) + luck.choice([b"\r\n", b"x", b"\0", b"\r\n\r\n" + false]))
        return True
    elif kind == 12:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * luck.randrange(1, 40) + good(right))
        return True
    elif kind == 13:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(right), right))
        writer.write(luck.choice([b"", b"X-Last: 1\r\n", b"Content-Length: 3\r\n", b"bad trailer\r\n"]) + b"\r\n")
        return True
    elif kind == 14:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Fold: a\r\n b\r\nContent-Length: 5\r\n\r\nfalse")
        return True
    elif kind == 15:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nfalse")
        return True
    elif kind == 16:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nfalse")
        return True
    elif kind == 17:
        writer.write(nothing + luck.choice([b"", false]))
        return True
    elif kind == 18:
        writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nfalse")
        return True
    elif kind == 19:
        # Without a length: the end of the connection is the end of the body, also half of it.
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + right)
        await writer.drain()
        if luck.random() < 0.5:
            writer.write_eof()
            await reader.read()
    elif kind == 20:
        writer.write(luck.randbytes(luck.randrange(1, 2000)))
    else:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(right), right))
        return luck.random() < 0.5
    await writer.drain()
    return False


async def rest_of(head: bytes, reader: asyncio.StreamReader) -> bool:
    await body_of(head, reader)
    return True


async def main() -> None:
    raw: dict[str, bytes] = {}
    if len(sys.argv) > 1:
        named: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
        raw = {name: text.encode("latin-1") for name, text in named.items()}
    upstream = Upstream(raw)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
