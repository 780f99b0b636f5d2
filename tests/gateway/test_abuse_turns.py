"""Who asks for much does not make others wait, however many do."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from edges import bench, both_loops, request, say

from policylang.sdk import Exchange, Response


@both_loops
async def test_one_request_waits_for_no_flood() -> None:
    """Once each of the greedy was served in each turn of the loop: with 20 of them the others waited for seconds."""
    served: list[str] = []

    async def handle(exchange: Exchange) -> Response:
        served.append(exchange.request.path)
        return say(200)

    async with bench(handle) as made:
        greedy = [await made.connect() for _ in range(40)]
        modest = await made.connect()
        assert (await modest.ask("GET /before")).status == 200
        for wire in greedy:
            wire.send(request("GET /greedy") * 1000)
        await made.until(lambda: len(served) > 700)
        before = len(served)
        assert (await modest.ask("GET /modest")).status == 200
        # A turn of the loop serves 16 of one; a request and its answer take a few turns of this one.
        assert served.index("/modest") - before < 400
        await made.until(lambda: len(served) == 40_002)


@both_loops
async def test_what_waits_is_bounded_while_nobody_reads() -> None:
    """Reading stopped only while a request was being served: else a client that reads nothing was swallowed whole."""

    async def handle(exchange: Exchange) -> Response:
        return say(200, b"x" * 1000)

    async with bench(handle) as made:
        wire = await made.connect(receive_buffer=4096)
        wire.writer.transport.set_write_buffer_limits(high=1 << 30)
        wire.send(request("GET /") * 400_000)
        await made.until(lambda: any(one.congested for one in made.edge.connections))
        (connection,) = made.edge.connections
        waiting = [connection._reader.pending]
        for _ in range(200):
            await asyncio.sleep(0)  # a turn of the loop
            waiting.append(connection._reader.pending)
        assert max(waiting) <= 64 * 1024 + 256 * 1024
        assert connection._full
