"""What one request costs the edge: processor time of a gateway with a trivial policy, wrk before it, nginx behind it.

    python tests/bench/edge_cost.py [--seconds 3] [--rounds 3] [--alone] [--profile FILE] [--loop uvloop|asyncio]

The gateway runs on the first core, wrk with 64 kept-alive connections and nginx on the second; nginx as a gateway is
measured in turn with it, as a figure from one machine means nothing by itself. The answer is the 181-byte JSON of the
other measurements.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

def serve(port: int, upstream: int, fast: bool, profile: str) -> None:
    from policylang.sdk import BodyLimits, Exchange, Response, UpstreamCall
    from runtime.edge.edge import Edge
    from runtime.edge.environment import GatewayEnvironment, SystemClock
    from runtime.edge.loop import install
    from runtime.edge.settings import EdgeSettings
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.settings import UpstreamSettings, server_address

    loop = install(fast)
    clock = SystemClock(loop)
    edge = Edge(EdgeSettings(), loop, clock)
    pool = UpstreamPool(
        "b", UpstreamSettings((server_address(f"http://127.0.0.1:{upstream}"),)), loop, edge.wheel, clock
    )
    environment = GatewayEnvironment(
        "bench", "0", "n", clock, None, None, None, {"b": pool}, BodyLimits(), lambda *_: None,
        lambda error, _: sys.exit(repr(error)),
    )  # fmt: skip
    call = UpstreamCall()

    async def handle(exchange: Exchange) -> Response:
        exchange.response = await exchange.environment.upstreams["b"].send(exchange, call)
        return exchange.response

    edge.use(handle, environment)
    listening = socket.create_server(("127.0.0.1", port), backlog=1024)
    loop.run_until_complete(edge.listen(listening))
    edge.wheel.start(loop)
    gc.collect()
    gc.freeze()
    loop.add_signal_handler(signal.SIGTERM, loop.stop)
    if profile:
        with cProfile.Profile() as profiler:
            loop.run_forever()
        profiler.dump_stats(profile)
    else:
        loop.run_forever()


def kernel_share(pid: int) -> tuple[int, int]:
    """Ticks of processor time so far: in the program, in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def main() -> None:
    from load import flood, wrk_script
    from peers import PATH, nginx, upstream
    from processes import Child, cores, free_port

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="")
    parser.add_argument("--loop", default="uvloop", choices=["uvloop", "asyncio"])
    parser.add_argument("--alone", action="store_true", help="without nginx beside it")
    parser.add_argument("--serve", nargs=2, type=int, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.serve:
        serve(*options.serve, fast=options.loop == "uvloop", profile=options.profile)
        return
    ours, others = cores()
    children: list[Child] = []
    with tempfile.TemporaryDirectory() as place:

        def start(name: str, command: list[str], port: int, core: int) -> Child:
            child = Child(name, command, core, Path(place))
            children.append(child)
            child.await_port(port)
            child.pin()
            return child

        behind = free_port()
        folders = [Path(place) / name for name in ("upstream", "nginx")]
        for folder in folders:
            folder.mkdir(mode=0o755)
        os.chmod(place, 0o755)
        try:
            start("upstream", upstream(folders[0], behind), behind, others)
            ports = {"edge": free_port()}
            own = [sys.executable, __file__, "--loop", options.loop, "--profile", options.profile, "--serve"]
            gateways = {"edge": start("edge", [*own, str(ports["edge"]), str(behind)], ports["edge"], ours)}
            if not options.alone:
                ports["nginx"] = free_port()
                command = nginx("a", folders[1], ports["nginx"], behind)
                gateways["nginx"] = start("nginx", command, ports["nginx"], ours)
            script = wrk_script(Path(place), PATH, [])
            for name in gateways:
                flood(ports[name], PATH, script, 1, 64, others)
            for _ in range(options.rounds):
                for name, child in gateways.items():
                    pid = max(child.known | set(child.cpu()))  # of nginx, the worker
                    before, split = child.cpu(), kernel_share(pid)
                    start_at = time.monotonic()
                    run = flood(ports[name], PATH, script, options.seconds, 64, others)
                    took = time.monotonic() - start_at
                    cpu, after = sum(child.cpu().values()) - sum(before.values()), kernel_share(pid)
                    if run.refused or run.broken:
                        raise SystemExit(f"{run.refused} answers were refused, {run.broken} connections broke")
                    user, system = after[0] - split[0], after[1] - split[1]
                    share = 100 * system / max(1, user + system)
                    print(
                        f"{name:6} {cpu / run.answers / 1000:6.2f} us a request, {share:3.0f} %"
                        f" of it in the kernel; {run.answers / run.seconds:7.0f} requests/s, "
                        f"core {100 * cpu / 1e9 / took:3.0f} % busy",
                        flush=True,
                    )
        finally:
            for child in reversed(children):
                child.stop()


if __name__ == "__main__":
    main()
