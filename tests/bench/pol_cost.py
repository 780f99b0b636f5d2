"""What the author's tool costs: wall time of whole processes, the least of several, byte code in place.

    python tests/bench/pol_cost.py
"""

from __future__ import annotations

import os
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


def least(command: list[str], folder: Path) -> float:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        took.append(time.perf_counter() - started)
    return min(took[1:])


def main() -> None:
    pol = str(Path(sys.executable).parent / "pol")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "clients.json").write_text('{ "k1": { "id": "ann", "contract": "gold" } }')
        print(f"pol --version            {least([pol, '--version'], folder):6.3f} s, at most 0.15 wanted")
        for lines, most in ((300, 0.3), (10_000, 3.0)):
            file = folder / f"p{lines}.pol"
            file.write_text(policy(lines))
            took = least([pol, "check", file.name], folder)
            print(f"pol check, {file.read_text().count(chr(10)):6} lines  {took:6.3f} s, at most {most} wanted")


if __name__ == "__main__":
    main()
