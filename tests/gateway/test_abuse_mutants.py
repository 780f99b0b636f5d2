"""A client and an upstream that say almost the right thing, in every way that chance can find.

POLGATE_MUTANTS sets the seconds (4; with POLGATE_SOAK 1800), POLGATE_SEED the first seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import re
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from attack import MIB, SOAK, Gate, bad_side, figure, settle, undisturbed
from mutants import mutated_requests

SECONDS = float(os.environ.get("POLGATE_MUTANTS", "1800" if SOAK else "4"))
SEED = int(os.environ.get("POLGATE_SEED", secrets.randbelow(1 << 32)))
CLIENTS = 16
OWN = re.compile(rb'"type":"urn:polgate:[a-z-]+","title":"[^"]*","status":(5[0-9][0-9])')
EXPECTED = frozenset({b"501", b"502", b"503", b"504", b"505", b"508"})
DEADLINE = 30.0
"""Seconds in which a connection on which nothing more is sent must be closed."""
SETTINGS = """
    timeouts header: 1s, idle: 1s, request: 2s, upgrade_idle: 1s, upgrade_life: 5s
    trusted_proxies ["127.0.0.0/8"]
    server_timing ["127.0.0.1"]
"""
POLICY = """
upstream bad {
    server "http://127.0.0.1:BAD"
    timeouts head: 1s, between: 1s
}
service bad "/bad/**" {
    route bad
    compress response
}
service body "/body" {
    let text? = request.text
    respond 200, body: text ?? ""
}
service json "/json" {
    let value? = request.json
    respond 200, json: { value: value, cookie: request.cookie.a ?? "", x: request.query.x ?? "" }
}
service xml "/xml" {
    let value? = xpath("string(/*)", in: request)
    route bad, path: "/bad/good"
    set response.header["X-Value"] = value ?? "none"
    remove response.header["Set-Cookie"]
}
"""


class Mutants:
    """`findings`: seeds, and what was wrong."""

    def __init__(self, made: Gate, first: int) -> None:
        self.made = made
        self.next = first
        self.findings: list[str] = []
        self.statuses: dict[str, int] = {}
        self.until = 0.0

    async def run(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        await asyncio.gather(*(self.client() for _ in range(CLIENTS)))

    async def client(self) -> None:
        while time.monotonic() < self.until and len(self.findings) < 10:
            seed, self.next = self.next, self.next + 1
            with contextlib.suppress(OSError):  # the gateway may close while we speak
                await self.one(seed)

    async def one(self, seed: int) -> None:
        luck = random.Random(seed)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.made.port)
        said = b""
        try:
            for piece in mutated_requests(seed):
                writer.write(piece)
                await asyncio.wait_for(writer.drain(), DEADLINE)
                if luck.random() < 0.2:
                    await asyncio.sleep(0.001)
            patient = luck.random() < 0.04
            if luck.random() < 0.3:
                writer.write_eof()
                patient = True
            try:
                async with asyncio.timeout(DEADLINE if patient else 0.05 + luck.random() / 4):
                    while data := await reader.read(1 << 16):
                        said += data
            except TimeoutError:
                if patient:
                    self.findings.append(f"seed {seed}: neither answered nor closed")
        finally:
            self.judge(seed, said)
            writer.transport.abort()

    def judge(self, seed: int, said: bytes) -> None:
        if said and not said.startswith(b"HTTP/1.1 "):
            self.findings.append(f"seed {seed}: {said[:60]!r}")
        status = said[9:12].decode("latin-1") or "none"
        self.statuses[status] = self.statuses.get(status, 0) + 1
        # The upstream gives whatever status chance makes of its own; the gateway's own answers say that they are.
        if any(own not in EXPECTED for own in OWN.findall(said)):
            self.findings.append(f"seed {seed}: {said[:400]!r}")


def test_mutants(tmp_path: Path) -> None:
    with bad_side() as bad, undisturbed(tmp_path, SETTINGS, POLICY.replace("BAD", str(bad))) as made:
        mutants = Mutants(made, SEED)
        print(f"\n[mutants] POLGATE_SEED={SEED}")
        asyncio.run(mutants.run(min(60.0, SECONDS / 4)))  # what is kept of what came before is kept by then
        before, files = made.resident(), made.descriptors()
        asyncio.run(mutants.run(SECONDS * 3 / 4))
        settle(lambda: made.descriptors() <= files + 40, "descriptors leak")
        figure(
            "mutants", connections=mutants.next - SEED, MiB=(made.resident() - before) / MIB,
            descriptors=made.descriptors(), before=files, statuses=dict(sorted(mutants.statuses.items())),
        )  # fmt: skip
        assert not mutants.findings, (SEED, mutants.findings)
        made.check()
        wrong = made.ask(b"GET /bad/wrong HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").rpartition(b"\r\n\r\n")[2]
        assert json.loads(wrong) == [], (SEED, wrong)
        assert made.resident() - before < (40 * MIB if SOAK else 20 * MIB)


def test_the_same_seed_says_the_same() -> None:
    assert [mutated_requests(seed) for seed in range(200)] == [mutated_requests(seed) for seed in range(200)]
