"""Upstreams that misbehave: whoever asks gets the answer to its own question, a 502, or one that is visibly cut."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from attack import SOAK, Gate, bad_side, figure, settle, undisturbed
from strict_http import Answer, Unfinished, answer_of

ROUNDS = 10_000 if SOAK else 500
SEED = int(os.environ.get("POLGATE_SEED", secrets.randbelow(1 << 32)))
CLIENTS = 16
POLICY = """
upstream bad {
    server "http://127.0.0.1:BAD"
    connections 12
    timeouts head: 1s, between: 1s, idle: 500ms
}
service bad "/bad/**" { route bad }
"""


class Rounds:
    """Requests that are misbehaved to and good ones, over the same upstream connections."""

    def __init__(self, made: Gate) -> None:
        self.made = made
        self.left = ROUNDS
        self.number = 0
        self.seen: dict[str, int] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self.client(random.Random(SEED + number)) for number in range(CLIENTS)))

    async def client(self, luck: random.Random) -> None:
        while self.left > 0:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.made.port)
            while self.left > 0:
                self.left -= 1
                self.number += 1
                fine = luck.random() < 0.4
                path = f"/bad/{'fine' if fine else 'round'}/{SEED}-{self.number}"
                method = "GET" if fine else luck.choice(["GET", "GET", "HEAD", "PUT", "POST"])
                body = b"" if method in ("GET", "HEAD") else b"b" * luck.choice([0, 10, 3000, 100_000])
                writer.write(f"{method} {path} HTTP/1.1\r\nHost: a\r\n".encode())
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) if body else b"\r\n")
                answer = await self.take(reader, method)
                self.judge(fine, method, path, answer)
                if answer is None or not answer.complete or b"close" in answer.all(b"connection"):
                    break
            writer.close()

    async def take(self, reader: asyncio.StreamReader, method: str) -> Answer | None:
        """The answer to the only request under way."""
        said = b""
        while True:
            data = b""
            try:
                data = await asyncio.wait_for(reader.read(1 << 16), 15)
            except ConnectionError:
                pass
            said += data
            try:
                answer, end = answer_of(said, method)
            except Unfinished:
                if data:
                    continue
                return None
            if answer.complete or not data:
                assert end == len(said), said
                return answer

    def judge(self, fine: bool, method: str, path: str, answer: Answer | None) -> None:
        kind = "cut" if answer is None or not answer.complete else str(answer.status)
        self.seen[kind] = self.seen.get(kind, 0) + 1
        if fine:
            assert answer is not None and (kind, answer.body) == ("200", path.encode()), (path, answer)
        elif kind == "200" and method != "HEAD":
            assert answer is not None and answer.body == path.encode(), (path, answer)
        else:
            assert kind in ("cut", "200", "204", "304", "502", "504"), (path, answer)


def test_no_connection_is_poisoned(tmp_path: Path) -> None:
    with bad_side() as bad, undisturbed(tmp_path, more=POLICY.replace("BAD", str(bad))) as made:
        before = made.descriptors()
        print(f"\n[rounds] POLGATE_SEED={SEED}")
        rounds = Rounds(made)
        asyncio.run(rounds.run())
        figure("rounds", **dict(sorted(rounds.seen.items())))
        assert rounds.seen["200"] > ROUNDS * 0.5 and rounds.seen["502"] > ROUNDS * 0.05
        settle(lambda: made.descriptors() <= before + 20, "connections stay open")
