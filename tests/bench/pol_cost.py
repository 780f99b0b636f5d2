"""What the author's tool costs: whole processes, the least of several, byte code in place.

    python tests/bench/pol_cost.py
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
HEAD = """
map clients, file: "clients.json"

upstream orders {
    server "http://127.0.0.1:9000"
}
"""
SERVICE = """
# Orders of region {number}.
service orders_{number} "/orders/{number}/**", "/v1/orders/{number}/{{id}}", methods: ["GET", "POST"] {{
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    if request.method == "POST" {{
        limit_size request, 1MB
        let total = jsonpath("$.total", in: request)
        require total in 1..10_000
    }}
    match caller.contract {{
        "platinum" -> rate_limit 1000/s, per: caller.id, burst: 2s
        "gold"     -> rate_limit 500/s, per: caller.id
        else       -> rate_limit 100/s, per: [caller.id, request.method]
    }}
    set request.header["X-Client"] = "${{caller.id}}-{number}"
    remove request.header["X-API-Key"]
    any {{
        require request.header["X-Region"] == "r{number}"
        allow_ip "10.0.0.0/8"
    }}
    route orders, timeout: 5s
}}
"""


def policy(lines: int) -> str:
    text, number = HEAD, 0
    while text.count("\n") < lines:
        text += SERVICE.format(number=number)
        number += 1
    return text


def least(command: list[str], folder: Path, codes: tuple[int, ...] = (0,)) -> tuple[float, float]:
    """Seconds of wall time and of CPU."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    took = []
    for _ in range(ROUNDS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode not in codes:
            raise SystemExit(done.stderr.decode())
        took.append((wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return min(wall for wall, _ in took[1:]), min(cpu for _, cpu in took[1:])


def written(folder: Path, lines: int) -> str:
    """The name of a policy of about so many lines, put into a folder with what it reads."""
    (folder / "clients.json").write_text('{ "k1": { "id": "ann", "contract": "gold" } }')
    file = folder / f"p{lines}.pol"
    file.write_text(policy(lines))
    return file.name


def said(what: str, took: tuple[float, float], most: float) -> str:
    return f"{what:28}{took[0]:7.3f} s, {took[1]:7.3f} s of CPU; at most {most} s wanted"


def main() -> None:
    pol = str(Path(sys.executable).parent / "pol")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(said("pol --version", least([pol, "--version"], folder), 0.15))
        for lines, most in ((300, 0.3), (10_000, 3.0)):
            file = written(folder, lines)
            print(said(f"pol check, {policy(lines).count(chr(10)):6} lines", least([pol, "check", file], folder), most))


if __name__ == "__main__":
    main()
