"""Large bodies pass through small memory: a slow reader, and a slow upstream, of more than the process may grow.

POLGATE_STREAM_MIB sets how much goes through (64 by default; 1024 is what the promise says).
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from edges import Wire, bench, request, run

SIZE = int(os.environ.get("POLGATE_STREAM_MIB", "64")) << 20
GROWTH = 10 << 20
PIECE = b"x" * (1 << 18)
LAST = b"0\r\n\r\n"


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def pour(wire: Wire, chunked: bool) -> None:
    for _ in range(SIZE // len(PIECE)):
        wire.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)
        await wire.writer.drain()
    if chunked:
        wire.send(LAST)


async def sip(wire: Wire, chunked: bool) -> tuple[int, int]:
    """Read a body slowly: with pauses in which everything in between fills up. Gives bytes and the process's peak."""
    read, peak, turns, tail = 0, 0, 0, b""
    while tail != LAST if chunked else read < SIZE:
        data = await wire.reader.read(1 << 16)
        assert data, "cut"
        read += len(data)
        tail = (tail + data)[-len(LAST) :]
        turns += 1
        if turns % 64 == 0:
            await asyncio.sleep(0.002)
            peak = max(peak, resident())
    return read, peak


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_answer_to_a_slow_reader(chunked: bool) -> None:
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"

    async def script(wire: Wire) -> None:
        wire.writer.transport.set_write_buffer_limits(high=1 << 16)
        await wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        await pour(wire, chunked)

    async def test() -> None:
        async with bench(up=script) as made:
            wire = await made.connect(receive_buffer=1 << 16)
            await made.connect()
            before = resident()
            wire.send(request("GET /"))
            await wire.head()
            read, peak = await sip(wire, chunked)
            assert read >= SIZE
            assert peak - before < GROWTH

    run(test, patience=20 + SIZE / (8 << 20))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_large_upload_to_a_slow_upstream(chunked: bool) -> None:
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    peaks: list[int] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        read, peak = await sip(wire, chunked)
        peaks.append(peak)
        assert read >= SIZE
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

    async def test() -> None:
        async with bench(up=script) as made:
            wire = await made.connect()
            wire.writer.transport.set_write_buffer_limits(high=1 << 16)
            before = resident()
            wire.send(request(f"POST /\n{framing}"))
            await pour(wire, chunked)
            assert (await wire.answer()).status == 200
            assert peaks[0] - before < GROWTH

    run(test, patience=20 + SIZE / (8 << 20))
