"""What an answer of the cache costs, beside a request that is routed: processor time of one gateway, in turn.

    python tests/bench/cache_cost.py [--seconds 1] [--rounds 8] [--observed]

`fixed` is an answer that the policy itself gives: less than that no answer costs. The gateway has one worker on the
first core; wrk with 64 kept-alive connections and nginx, with the 181-byte answer of
the other measurements, are on the second. `--observed`: with access log and counters.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

POLICY = """
gateway {{
    listen "127.0.0.1:{port}"
    workers 1
    {observed}
}}

upstream behind {{
    server "http://127.0.0.1:{behind}"
}}

service orders "/orders/**" {{ route behind }}

service fixed "/fixed" {{ respond 200, body: "{body}", content_type: "application/json" }}

service cached "/cached/**" {{
    cache ttl: 1h, override: true {{ route behind, path: "/orders/7" }}
}}

service varied "/varied/**" {{
    cache ttl: 1h, override: true, vary: ["Accept", "User-Agent"] {{ route behind, path: "/orders/7" }}
}}
"""
PATHS = {"routed": "/orders/7", "fixed": "/fixed", "cached": "/cached/7", "varied": "/varied/7"}


def main() -> None:
    from load import flood, wrk_script
    from peers import BODY, upstream
    from processes import Child, cores, free_port, spent

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--observed", action="store_true", help="with access log and counters")
    options: Any = parser.parse_args()
    ours, others = cores()
    children: list[Child] = []
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        folders = [Path(place) / name for name in ("upstream", "gateway")]
        for folder in folders:
            folder.mkdir(mode=0o755)
        port, behind = free_port(), free_port()
        (folders[1] / "policy.pol").write_text(POLICY.format(
            port=port, behind=behind, body=BODY.replace('"', '\\"'),
            observed="" if options.observed else 'access_log "off"',
        ))  # fmt: skip
        try:
            for name, command, number, core in (
                ("upstream", upstream(folders[0], behind), behind, others),
                ("gateway", [sys.executable, "-m", "runtime.main", "run", str(folders[1] / "policy.pol")], port, ours),
            ):
                child = Child(name, command, core, Path(place))
                children.append(child)
                child.await_port(number)
                child.pin()
            gateway = children[1]
            scripts = {name: wrk_script(Path(place), path, []) for name, path in PATHS.items()}
            costs: dict[str, list[float]] = {name: [] for name in PATHS}
            for name, path in PATHS.items():
                flood(port, path, scripts[name], 1, 64, others)
            gateway.pin()
            for _ in range(options.rounds):
                for name, path in PATHS.items():
                    before = gateway.cpu()
                    run = flood(port, path, scripts[name], options.seconds, 64, others)
                    if not run.answers:
                        raise SystemExit("not one answer came: the machine has too much else to do")
                    if run.refused or run.broken:
                        raise SystemExit(f"{run.refused} answers were refused, {run.broken} connections broke")
                    cost = spent(before, gateway.cpu()) / run.answers / 1000
                    costs[name].append(cost)
                    print(f"{name:7} {cost:6.2f} us a request, {run.answers / run.seconds:7.0f}/s", flush=True)
            for name in PATHS:
                # Within a round, as what else the machine does hits all of it.
                share = median(cost / routed for cost, routed in zip(costs[name], costs["routed"], strict=True))
                print(f"{name:7} {median(costs[name]):6.2f} us, at best {min(costs[name]):6.2f}; {share:5.2f}")
        finally:
            for child in reversed(children):
                child.stop()


if __name__ == "__main__":
    main()
