"""What one request costs the edge: processor time of a gateway with a trivial policy, wrk before it, nginx behind it.

    python tests/bench/edge_cost.py [--seconds 5] [--rounds 3] [--profile FILE] [--loop uvloop|asyncio]

The gateway runs on the first core, wrk with 64 kept-alive connections and nginx on the second. The answer is the
181-byte JSON of the other measurements. Prints processor time per request for each round, and requests a second.
"""

from __future__ import annotations

import argparse
import asyncio
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

ANSWER = b'{"id":"7","status":"open","customer":"ann","items":[{"sku":"a-1","count":2,"price":"19.90"},' \
    b'{"sku":"b-2","count":1,"price":"5.00"}],"total":"44.80","currency":"EUR","note":"by noon"}'  # fmt: skip


def serve(listening: int, upstream: int, fast: bool, profile: str) -> None:
    from policylang.sdk import Exchange, Response, UpstreamCall
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
        "bench", "0", "n", clock, None, {"b": pool}, 1 << 20, lambda *_: None, lambda error, _: sys.exit(repr(error))
    )
    call = UpstreamCall()

    async def handle(exchange: Exchange) -> Response:
        exchange.response = await exchange.environment.upstreams["b"].send(exchange, call)
        return exchange.response

    edge.use(handle, environment)
    loop.run_until_complete(edge.listen(socket.socket(fileno=listening)))
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


def main() -> None:
    from load import flood, wrk_script
    from processes import Child, cores, cpu_ns, free_port

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="")
    parser.add_argument("--loop", default="uvloop")
    parser.add_argument("--serve", nargs=2, type=int)
    options: Any = parser.parse_args()
    if options.serve:
        serve(*options.serve, fast=options.loop == "uvloop", profile=options.profile)
        return
    ours, others = cores()
    port = free_port()
    with tempfile.TemporaryDirectory() as place, socket.socket() as listening:
        folder = Path(place)
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid nginx.pid; error_log stderr error; events {{ worker_connections 512; }}\n"
            f"http {{ access_log off; keepalive_requests 100000000; server {{ listen 127.0.0.1:{port};"
            f" location / {{ default_type application/json; return 200 '{ANSWER.decode()}'; }} }} }}\n"
        )
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        os.set_inheritable(listening.fileno(), True)
        nginx = Child("nginx", ["nginx", "-p", str(folder), "-c", "nginx.conf"], others, folder)
        command = [sys.executable, __file__, "--loop", options.loop, "--profile", options.profile]
        gateway = os.posix_spawn(
            sys.executable, [*command, "--serve", str(listening.fileno()), str(port)], os.environ
        )
        os.sched_setaffinity(gateway, {ours})
        try:
            nginx.await_port(port)
            script = wrk_script(folder, "/orders/7", [])
            flood(listening.getsockname()[1], "/orders/7", script, 1, 64, others)
            for _ in range(options.rounds):
                before, start = cpu_ns(gateway), time.monotonic()
                run = flood(listening.getsockname()[1], "/orders/7", script, options.seconds, 64, others)
                spent = cpu_ns(gateway) - before
                if run.refused or run.broken:
                    raise SystemExit(f"{run.refused} answers were refused, {run.broken} connections broke")
                print(
                    f"{spent / run.answers / 1000:6.2f} us a request, {run.answers / run.seconds:8.0f} requests/s, "
                    f"core {100 * spent / 1e9 / (time.monotonic() - start):3.0f} % busy",
                    flush=True,
                )
        finally:
            os.kill(gateway, signal.SIGTERM)
            os.waitpid(gateway, 0)
            nginx.stop()


if __name__ == "__main__":
    asyncio.set_event_loop_policy(None)
    main()
