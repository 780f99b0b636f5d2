"""A gateway's edge with TLS in a process of its own, so that its memory can be measured: `secure_child.py CERT KEY`.

Says its port. Answers `GET /memory` with its resident bytes and how many handshakes and connections it has.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import sys
from pathlib import Path
from typing import Any

from policylang.sdk import Exchange, Response
from runtime.edge.edge import Edge
from runtime.edge.environment import SystemClock
from runtime.edge.loop import new_loop
from runtime.edge.settings import EdgeSettings
from runtime.tls import ServerTls

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Listening


async def serve(cert: str, key: str, handshake: float) -> None:
    loop = asyncio.get_running_loop()
    edge = Edge(EdgeSettings(), loop, SystemClock(loop))

    async def handle(exchange: Exchange) -> Response:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        said = {
            "resident": pages * resource.getpagesize(), "handshakes": len(edge.handshakes),
            "connections": len(edge.connections),
        }  # fmt: skip
        return Response(200, [], json.dumps(said).encode(), made_here=True)

    environment: Any = None
    edge.use(handle, environment)
    tls = ServerTls(Listening(cert=(cert,), key=(key,), handshake=handshake), print)
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    await edge.listen(listening, tls)
    edge.wheel.start(loop)
    print(listening.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it ends


if __name__ == "__main__":
    loop = new_loop()
    loop.run_until_complete(serve(sys.argv[1], sys.argv[2], float(sys.argv[3])))
