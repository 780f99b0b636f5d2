"""Bodies that are small until they are unpacked."""

from __future__ import annotations

import gzip
import sys
import zlib
from pathlib import Path

import brotli
import zstandard

sys.path.insert(0, str(Path(__file__).parent))
from attack import MIB, SOAK, figure, undisturbed
from strict_http import answer_of

SIZE = 100_000_000
BOMBS = {
    "gzip": gzip.compress(b"0" * SIZE, 9),
    "deflate": zlib.compress(b"0" * SIZE, 9),
    "br": brotli.compress(b"0" * SIZE, quality=5),
    "zstd": zstandard.compress(b"0" * SIZE, 3),
    "gzip, gzip": gzip.compress(gzip.compress(b"0" * SIZE, 9), 9),
}
POLICY = """
service text "/text" {
    let text? = request.text
    respond 200, body: text ?? ""
}
service json "/json" {
    let value? = request.json
    respond 200, json: { value: value }
}
service sent_on "/good/sent/**" {
    let text? = request.text
    route good
}
"""


PATHS = ["/text", "/json", "/good/sent/1"]
ROUNDS = 10 if SOAK else 1


def test_bombs_are_refused_in_little_time(tmp_path: Path) -> None:
    assert 90_000 < len(BOMBS["gzip"]) < 100_000
    with undisturbed(tmp_path, more=POLICY) as made:
        for coding, bomb in BOMBS.items():
            used = made.processor()
            for path in PATHS * ROUNDS:
                head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
                head += f"Content-Encoding: {coding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
                answer, _ = answer_of(made.ask(head.encode() + bomb))
                assert answer.status in (400, 413, 415), (coding, answer)
            each = (made.processor() - used) / len(PATHS) / ROUNDS
            figure("bomb", coding=coding, bytes=len(bomb), status=answer.status, seconds=each, MiB=made.growth() / MIB)
            assert each < 0.1
        assert made.growth() < 40 * MIB
