"""Offer API keys more than their contracts allow, by a real client, and judge what was let through.

    python3 tests/bench/tiers.py http://127.0.0.1:8080/orders/7 --key k1=1000+2 --key k2=500 --key k3=100

Requests of all keys are spread over shared kept-alive connections, and so over all workers. Each key is offered
evenly, at a multiple of its limit, whatever the answers are. Ends with 1 when a promise was broken.
"""

import argparse
import json
import re
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import load
from promises import SECOND, Judgement, Promise, judge


def parse_key(text: str) -> tuple[str, Promise]:
    match = re.fullmatch(r"(.+)=(\d+)(?:\+(\d+(?:\.\d+)?)s?)?", text)
    if not match or not int(match[2]):
        raise argparse.ArgumentTypeError(f"`{text}` is not KEY=LIMIT or KEY=LIMIT+BURST, as in k1=1000+2")
    return match[1], Promise(int(match[2]), float(match[3] or 0))


def schedule(promises: list[Promise], multiple: float, seconds: float) -> list[tuple[int, int]]:
    """Every key's requests at even gaps; the keys start a little apart, so that they do not come in step."""
    due = []
    for number, promise in enumerate(promises):
        rate = promise.limit * multiple
        offset = number / len(promises) / rate
        due += [(int((offset + turn / rate) * SECOND), number) for turn in range(int(rate * seconds))]
    return sorted(due)


def offer(
    url: str, keys: list[tuple[str, Promise]], header: str, multiple: float, seconds: float, connections: int
) -> list[Judgement]:
    """Run it. Raises RuntimeError when the gateway cannot be reached."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or 80
    requests = [load.get(path, port, **{header: key}) for key, _ in keys]
    promises = [promise for _, promise in keys]
    with tempfile.TemporaryDirectory(prefix="polgate-tiers-") as folder:
        answers = load.open_loop(
            port, requests, schedule(promises, multiple, seconds), connections, None, Path(folder)
        )
    return [
        judge([answer for answer in answers if answer.request == number], promise, seconds)
        for number, promise in enumerate(promises)
    ]


def show(key: str, promise: Promise, verdict: Judgement) -> str:
    burst = f", burst {promise.burst:g} s" if promise.burst else ""
    drained = f"; {verdict.drained} in the second after a refusal" if promise.burst else ""
    lines = [
        f"{key}: {promise.limit}/s{burst}",
        f"  offered {verdict.offered}, admitted {verdict.admitted} of {verdict.promised} promised"
        f" ({verdict.under:+.2%} under), 429 {verdict.refused}",
        f"  most in any second {verdict.certain} for certain ({verdict.seen} by arrival){drained},"
        f" {promise.most(1)} promised",
        f"  by second: {' '.join(map(str, verdict.seconds))}",
        *(f"  broken: {fault}" for fault in verdict.faults),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="offer keys more than their tiers and judge what was let through")
    parser.add_argument("url", help="http://127.0.0.1:PORT/path")
    parser.add_argument("--key", type=parse_key, action="append", required=True, metavar="KEY=LIMIT[+BURST]",
                        help="a key, its limit a second, its burst in seconds; repeatable")
    parser.add_argument("--header", default="X-API-Key", help="the field that carries the key (%(default)s)")
    parser.add_argument("--offered", type=float, default=2.0, help="multiple of each limit (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the run (%(default)s)")
    parser.add_argument("--connections", type=int, default=64, help="kept alive, shared by all keys (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the judgements")
    options = parser.parse_args()
    parts = urlsplit(options.url)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "localhost"):
        parser.error("the client speaks to http://127.0.0.1 only")
    total = sum(promise.limit for _, promise in options.key) * options.offered
    if not (0 < options.seconds <= 600 and total * options.seconds <= 1_000_000 and 0 < options.connections <= 1024):
        parser.error("up to 600 s, 1000000 requests and 1024 connections")
    try:
        verdicts = offer(
            options.url, options.key, options.header, options.offered, options.seconds, options.connections
        )
    except RuntimeError as error:
        print(f"tiers: {error}", file=sys.stderr)
        return 1
    for (key, promise), verdict in zip(options.key, verdicts, strict=True):
        print(show(key, promise, verdict))
    if options.json:
        named = {key: asdict(verdict) for (key, _), verdict in zip(options.key, verdicts, strict=True)}
        options.json.write_text(json.dumps(named, indent=1) + "\n")
    return int(any(verdict.faults for verdict in verdicts))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
