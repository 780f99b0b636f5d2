"""What parsing costs: a generated policy of so many lines, in fresh processes.

    python tests/bench/parse_cost.py [lines…]

Prints, for each size, the CPU time of importing the parser and of parsing, and the whole process on the
clock: medians of five processes that find compiled bytecode, as after an installation.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

SERVICE = """\
# Orders of one tenant.
service orders_{i} "/tenants/{i}/orders/{{id}}", methods: ["GET", "POST"], host: "api.example" {{
    api_key request.header["X-API-Key"], in: map("clients") -> caller_{i}
    let account = xpath(r"//acc:id/text()", in: request, ns: {{ acc: "urn:acme:accounts" }})
    require caller_{i}.active and request.size < 64KiB or client.ip in ["10.0.0.0/8", "192.168.0.0/16"]

    match caller_{i}.contract {{
        "platinum" -> rate_limit 1000/s, per: caller_{i}.id, burst: 2s
        "gold"     -> rate_limit 500/s,  per: caller_{i}.id
        else       -> rate_limit 100/s,  per: [caller_{i}.id, path.id]
    }}
    any {{
        require request.header["X-Version"] == "2"
        all {{ require now.hour in 8..18 }}
    }} else respond 403, json: {{ error: "not now", id: request.id }}
    set request.header["X-Tenant"] = "tenant-${{caller_{i}.id ?? "none"}}-{i}"
    route backend_{i}, path: "/items/${{path.id}}", timeout: 2s, retries: 1
}}

upstream backend_{i} {{
    balance least_connections
    server "http://10.0.{a}.{b}:9000", weight: 2
}}

"""


def policy(lines: int) -> str:
    """A policy of `lines` lines, in the proportions of a real one."""
    text = "".join(SERVICE.format(i=i, a=i % 256, b=i % 250) for i in range(lines // SERVICE.count("\n") + 1))
    return "\n".join(text.split("\n")[: lines - lines % SERVICE.count("\n")]) + "\n"


CHILD = """
import sys, time
started = time.process_time()
text = sys.stdin.read()
from policylang.source import Source
from policylang.syntax.parser import parse
imported = time.process_time()
file, found = parse(Source("bench.pol", text))
assert not found, found[0]
print(started, imported, time.process_time())
"""


def main(sizes: list[int]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        measure(sizes, {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder})
    return 0


def measure(sizes: list[int], environment: dict[str, str]) -> None:
    for size in sizes:
        text = policy(size)
        runs = []
        for _ in range(6):
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", CHILD], input=text, text=True, capture_output=True, check=True, env=environment
            )
            wall = time.perf_counter() - begun
            started, imported, parsed = map(float, done.stdout.split())
            runs.append((imported - started, parsed - imported, wall))
        del runs[0]  # it compiled
        load, parse, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        lines = text.count("\n")
        print(
            f"{lines:6} lines: import {load * 1000:5.0f} ms, parse {parse * 1000:6.0f} ms"
            f" ({parse / lines * 1e6:4.0f} µs a line), whole process {wall * 1000:6.0f} ms wall"
        )


if __name__ == "__main__":
    sys.exit(main([int(a) for a in sys.argv[1:]] or [300, 10_000]))
