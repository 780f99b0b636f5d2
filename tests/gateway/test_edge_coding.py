"""Bodies in content codings through real sockets: bombs, what goes on as it came, and answers that are compressed."""

from __future__ import annotations

import asyncio
import gzip
import random
import sys
import time
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard

from policylang.check import check_text
from policylang.sdk import BodyLimits
from policylang.sdk.coding import decode
from policylang.tree import compile_program

sys.path.insert(0, str(Path(__file__).parent))
from edges import Answer, Wire, bench, both_loops, replying, request, run

from runtime.edge.settings import edge_settings

MIB = 1 << 20
TEXT = b"a text that is said again and again; " * 100
SERVICE = 'upstream up {{\n    server "http://127.0.0.1:9"\n}}\nservice s "/**" {{\n{}\n}}\n'
ROUTED = SERVICE.format("route up\ncompress response")


def tree(text: str) -> Any:
    """The handler of a policy, or of a service's body."""
    checked = check_text(text if "service " in text else SERVICE.format(text))
    assert checked.program is not None, [each.message for each in checked.diagnostics]
    return compile_program(checked.program).handle


def resident() -> int:
    """Bytes of memory, from which `peak` counts on."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@cache
def bomb(coding: str = "gzip") -> bytes:
    """100 MB in some kilobytes, packed piece by piece: the test's own memory must not hide the gateway's."""
    piece = bytes(MIB)
    if coding == "gzip":
        one: Any = zlib.compressobj(9, zlib.DEFLATED, 31)
    elif coding == "br":
        one = brotli.Compressor(quality=5)
        return b"".join([one.process(piece) for _ in range(100)]) + bytes(one.finish())
    else:
        one = zstandard.ZstdCompressor().compressobj()
    return b"".join([one.compress(piece) for _ in range(100)]) + bytes(one.flush())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_bomb_is_refused_at_once(coding: str, framing: str) -> None:
    data = bomb(coding)

    async def test() -> None:
        async with bench(tree("require request.json != none\nroute up")) as made:
            wire = await made.connect()
            small = gzip.compress(b"[1]")
            assert (await wire.ask("POST /\nContent-Encoding: gzip", small)).status == 200
            memory, took = resident(), []
            for _ in range(3):
                begun = time.process_time()
                head = f"POST /\nContent-Encoding: {coding}"
                if framing == "length":
                    wire.send(request(head, data))
                else:
                    wire.send(request(f"{head}\nTransfer-Encoding: chunked"))
                    wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
                answer = await wire.answer()
                assert answer.status == 413 and b"body-too-large" in answer.body
                took.append(time.process_time() - begun)
            assert min(took) < 0.1  # 25 ms, with what the client's side takes
            assert peak() - memory < 48 * MIB
            assert (await wire.ask("POST /\nContent-Encoding: gzip", small)).status == 200
            assert made.defects == []

    run(test)


@both_loops
async def test_an_upstreams_bomb_is_a_bad_gateway() -> None:
    data = bomb()
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)
    async with bench(tree("route up\nrequire response.json != none"), up=replying(answer, answer)) as made:
        wire = await made.connect()
        for _ in range(2):
            assert (await wire.ask("GET /")).status == 502


@both_loops
async def test_a_body_that_was_read_goes_on_as_it_came() -> None:
    async with bench(tree("require request.json.a == 1\nroute up")) as made:
        wire = await made.connect()
        for coding, packed in (
            ("gzip", gzip.compress(b'{"a": 1}')), ("br", brotli.compress(b'{"a": 1}')), ("identity", b'{"a": 1}'),
            ("deflate, gzip", gzip.compress(zlib.compress(b'{"a": 1}'))),
        ):  # fmt: skip
            said = (await wire.ask(f"POST /\nContent-Encoding: {coding}", packed)).body
            assert b"\r\nContent-Encoding: %b\r\n" % coding.encode() in said and said.endswith(b"\r\n\r\n" + packed)
        answer = await wire.ask("POST /\nContent-Encoding: lzma", b"x")
        assert answer.status == 415 and answer["accept-encoding"] == "gzip, deflate, br, zstd"


@both_loops
async def test_a_body_that_is_written_goes_on_without_its_coding() -> None:
    async with bench(tree("set request.json = [request.json]\nroute up")) as made:
        wire = await made.connect()
        said = (await wire.ask("POST /\nContent-Encoding: gzip", gzip.compress(b"1"))).body
        assert b"Content-Encoding" not in said and said.endswith(b"Content-Length: 3\r\n\r\n[1]")


def test_limits_reach_the_edge() -> None:
    text = "gateway {\n    limits body: 1KiB, decoded: 2KiB, json_depth: 3, xml_depth: 4, xml_text: 5B\n}\n"
    checked = check_text(text + SERVICE.format("respond 200"))
    assert checked.program is not None
    assert edge_settings(checked.program.gateway).bodies == BodyLimits(1024, 2048, 3, 4, 5)
    assert edge_settings(()).bodies == BodyLimits()


@both_loops
async def test_a_size_limit_after_the_body_has_gone_on_is_as_one_on_a_held_body() -> None:
    for policy in ("route up\nlimit_size request, 9B", 'route up\nlimit_size request, 9B\nrequire request.text != ""'):
        async with bench(tree(policy)) as made:
            wire = await made.connect()
            for body, status in ((b"123456789", 200), (b"1234567890", 413)):
                wire.send(request("POST /\nTransfer-Encoding: chunked"))
                await made.until(lambda: made.edge.connections)
                wire.send(b"%x\r\n%b\r\n" % (len(body), body))
                await asyncio.sleep(0.01)
                wire.send(b"0\r\n\r\n")
                answer = await wire.answer()
                assert answer.status == status
                assert status == 200 or b"request-too-large" in answer.body


# --- compress ---


def plain(body: bytes = TEXT, *fields: str, status: int = 200) -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("Content-Type: text/plain", 'ETag: "1"', *fields))
    return f"HTTP/1.1 {status} OK\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def in_chunks(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def unpacked(answer: Answer) -> bytes:
    assert answer["content-encoding"] is not None
    return decode(answer.body, answer["content-encoding"] or "", 64 * MIB)


@both_loops
async def test_answers_of_every_kind_of_framing() -> None:
    long = TEXT * 200  # more than one read: it streams
    answers = (plain(), in_chunks(TEXT, TEXT), plain(long), in_chunks(*[long] * 3))
    async with bench(tree(ROUTED), up=replying(*answers * 3)) as made:
        wire = await made.connect()
        for coding in ("zstd", "br", "gzip"):
            for body in (TEXT, TEXT * 2, long, long * 3):
                answer = await wire.ask(f"GET /\nAccept-Encoding: {coding}")
                assert answer["content-encoding"] == coding and unpacked(answer) == body
                assert answer["vary"] == "Accept-Encoding" and len(answer.body) < len(body) / 4
        assert made.done[-1][3] == len(answer.body)  # what was sent is what is logged


@both_loops
async def test_the_answer_to_head_has_the_fields_of_that_to_get() -> None:
    head_only = plain()[: -len(TEXT)]
    async with bench(tree(ROUTED), up=replying(plain(), head_only, plain(), head_only)) as made:
        wire = await made.connect()
        for accept in ("gzip", "identity"):
            get = await wire.ask(f"GET /\nAccept-Encoding: {accept}")
            head = await wire.ask(f"HEAD /\nAccept-Encoding: {accept}", method="HEAD")
            same_fields(get, head)
    made_here = tree(SERVICE.format(f'respond 200, body: "{TEXT.decode()}"') + "global after { compress response }")
    async with bench(made_here) as made:
        wire = await made.connect()
        for accept in ("gzip", "identity"):
            get = await wire.ask(f"GET /\nAccept-Encoding: {accept}")
            head = await wire.ask(f"HEAD /\nAccept-Encoding: {accept}", method="HEAD")
            same_fields(get, head)
            assert get["content-encoding"] == ("gzip" if accept == "gzip" else None)


def same_fields(get: Answer, head: Answer) -> None:
    for name in ("content-encoding", "vary", "etag", "content-type"):
        assert get[name] == head[name]
    assert head["content-length"] in (None, get["content-length"])


@both_loops
async def test_an_old_client_gets_it_up_to_the_end_of_the_connection() -> None:
    async with bench(tree(ROUTED), up=replying(in_chunks(*[TEXT] * 500))) as made:
        wire = await made.connect()
        answer = await wire.ask("GET / HTTP/1.0\nAccept-Encoding: gzip")
        assert answer["transfer-encoding"] is None and unpacked(answer) == TEXT * 500


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_events_go_out_as_they_come(coding: str) -> None:
    step = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(4):
            event = b"data: %d\n\n" % number
            wire.send(b"%x\r\n%b\r\n" % (len(event), event))
            await step.wait()
            step.clear()
        wire.send(b"0\r\n\r\n")

    async def test() -> None:
        readers: dict[str, Any] = {
            "gzip": zlib.decompressobj(31).decompress, "br": brotli.Decompressor().process,
            "zstd": zstandard.ZstdDecompressor().decompressobj().decompress,
        }  # fmt: skip
        read = readers[coding]
        async with bench(tree(ROUTED), up=script) as made:
            wire = await made.connect()
            wire.send(request(f"GET /\nAccept-Encoding: {coding}"))
            await wire.head()
            seen = b""
            for number in range(4):
                while not seen.endswith(b"data: %d\n\n" % number):  # before the next one is made
                    size = int(await wire.reader.readuntil(b"\r\n"), 16)
                    seen += read((await wire.exactly(size + 2))[:-2])
                step.set()
            assert await wire.chunked() is not None

    run(test)


@both_loops
async def test_a_cut_answer_is_seen_as_one() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.send(in_chunks(TEXT)[:-5])
        await wire.exactly(1)

    async with bench(tree(ROUTED), up=script) as made:
        wire = await made.connect()
        wire.send(request("GET /\nAccept-Encoding: gzip"))
        head = await wire.head()
        assert b"chunked" in head
        await made.until(lambda: made.origins["up"].wires)
        made.origins["up"].wires[0].abort()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.chunked()


@both_loops
async def test_a_limit_counts_what_is_received() -> None:
    handle = tree("route up\nlimit_size response, 1MB\ncompress response")
    async with bench(handle, up=replying(in_chunks(*[TEXT] * 400))) as made:
        wire = await made.connect()
        wire.send(request("GET /\nAccept-Encoding: br"))
        await wire.head()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await wire.chunked()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_slow_reader_of_a_long_answer_takes_no_memory(coding: str) -> None:
    noise = random.Random(1).randbytes(256 * 1024).hex().encode()  # half of it remains
    pieces = 48

    async def script(wire: Wire) -> None:
        wire.writer.transport.set_write_buffer_limits(high=1 << 16)
        await wire.head()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(pieces):
            wire.send(b"%x\r\n%b\r\n" % (len(noise), noise))
            await wire.writer.drain()
        wire.send(b"0\r\n\r\n")

    async def test() -> None:
        async with bench(tree(ROUTED), up=script) as made:
            wire = await made.connect(receive_buffer=1 << 16)
            wire.send(request(f"GET /\nAccept-Encoding: {coding}"))
            await wire.head()
            memory, read, tail = resident(), 0, b""
            while tail != b"0\r\n\r\n":
                data = await wire.reader.read(1 << 16)
                assert data
                read += len(data)
                tail = (tail + data)[-5:]
                if read % (1 << 19) < (1 << 16):
                    await asyncio.sleep(0.001)
            assert read > pieces * len(noise) / 3
            assert peak() - memory < 16 * MIB

    run(test)
