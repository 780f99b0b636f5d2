"""What goes upstream, read by another, strict reader, is what the client's bytes mean to that reader too.

Mutated requests, from seeds: POLGATE_SEED sets the first.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "gateway"))
from edges import Bench, Wire, bench, run
from mutants import request_of as mutated_request
from mutants import slip
from strict_http import Request, Wrong, body_of, head_of, request_of, requests_of

COUNT = 20_000 if os.environ.get("POLGATE_SOAK") else 250
SEED = int(os.environ.get("POLGATE_SEED", random.SystemRandom().randrange(1 << 32)))

_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
HOPS = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip
OURS = {
    b"host", b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto",
    b"x-real-ip", b"x-request-id", b"content-length", b"expect", b"traceparent", b"tracestate", b"polgate-trace",
}  # fmt: skip
"""What the gateway writes by itself, or drops from clients that nobody vouches for."""


def end_to_end(request: Request) -> list[tuple[bytes, bytes]]:
    named = {option.strip().lower() for value in request.all(b"connection") for option in value.split(b",")}
    named -= {b"host", b"content-length"}
    return sorted(
        (name, value) for name, value in request.fields if name not in HOPS | OURS | named and b"_" not in name
    )


def differences(meant: list[Request], sent: list[Request]) -> list[str]:
    found = []
    if len(sent) > len(meant):
        extra = sent[len(meant)]
        found.append(f"{len(sent)} requests of {len(meant)}: {extra.method!r} {extra.target!r}")
    for ours, theirs in zip(sent, meant, strict=False):
        if (ours.method, ours.body) != (theirs.method, theirs.body):
            found.append(f"{ours.method!r} {ours.body[:40]!r} for {theirs.method!r} {theirs.body[:40]!r}")
        if _PLAIN.fullmatch(theirs.target) and ours.target != theirs.target:
            found.append(f"{ours.target!r} for {theirs.target!r}")
        if end_to_end(ours) != end_to_end(theirs):
            found.append(f"{end_to_end(ours)} for {end_to_end(theirs)}")
        if len(ours.all(b"content-length") + ours.all(b"transfer-encoding")) > 1:
            found.append("two framings")
        if set(dict(ours.fields)) & (HOPS - {b"transfer-encoding", b"connection", b"upgrade"}):
            found.append(f"hop-by-hop fields in {ours.fields}")
    return found


def said_by(seed: int) -> bytes:
    luck = random.Random(seed)
    data = b"".join(mutated_request(luck) for _ in range(luck.choice([1, 1, 2, 3])))
    return slip(luck, data) if luck.random() < 0.5 else data


def test_what_goes_upstream_is_what_was_meant() -> None:
    latest: list[list[Request]] = [[]]
    strange: list[str] = []

    async def origin(wire: Wire) -> None:
        sent = latest[0]
        while True:
            head = await wire.head()
            try:
                request, end = head_of(head)
                assert end == len(head)
                body = Recorder(wire)
                await body_of(head, body)  # type: ignore[arg-type]
                request, end = request_of(head + body.seen)
                assert end == len(head + body.seen)
            except Wrong as wrong:
                strange.append(f"{wrong}: {head!r}")
                return
            sent.append(request)
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def one(made: Bench, seed: int) -> None:
        sent = latest[0] = []
        data = said_by(seed)
        wire = await made.connect()
        wire.send(data)
        try:
            async with asyncio.timeout(0.01):
                await wire.rest()
        except (TimeoutError, ConnectionError):
            pass
        wire.abort()
        made.wires.clear()
        await made.until(lambda: not made.edge.connections)
        made.advance(5)  # which ends the upstream's connections: the next client gets its own
        meant, _ = requests_of(data)
        found = differences(meant, sent.copy())
        assert not found, (f"POLGATE_SEED={seed}", found, data)
        counts[0] += len(sent)
        counts[1] += len(meant)

    counts = [0, 0]

    async def test() -> None:
        async with bench(up=origin) as made:
            for seed in range(SEED, SEED + COUNT):
                await one(made, seed)
            assert not strange, (f"POLGATE_SEED={SEED}", strange[:3])
            assert not made.defects, made.defects[:3]

    run(test, patience=60 + COUNT / 50)
    print(f"\n[differential] {COUNT} connections, {counts[0]} requests sent on of {counts[1]}")
    assert counts[0] > COUNT / 5


class Recorder:
    """A reader that remembers."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.seen = b""

    async def readexactly(self, size: int) -> bytes:
        data = await self._wire.exactly(size)
        self.seen += data
        return data

    async def readuntil(self, separator: bytes) -> bytes:
        data = await self._wire.reader.readuntil(separator)
        self.seen += data
        return data
