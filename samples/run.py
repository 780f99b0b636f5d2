"""Start a sample: its small upstreams, then the gateway; Ctrl-C stops all of them.

    python samples/run.py [02_contracts]
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
TRY = {
    "01_hello": "curl -i http://127.0.0.1:8080/hello/ann",
    "02_contracts": "curl -i -H 'X-API-Key: key-of-bob' http://127.0.0.1:8080/orders/7",
    "03_content_routing": "curl -i http://127.0.0.1:8080/orders -d '{\"shipping\": {\"country\": \"DE\"}}'",
    "04_resilient": "curl -i http://127.0.0.1:8080/prices/7",
    "05_cluster": "make cluster    # with its members: here the cluster is away",
    "06_account_concurrency": "curl -i http://127.0.0.1:8080/payments -d '{\"payment\": {\"account\": \"DE-7\"}}'",
    "07_sessions": "curl -i http://127.0.0.1:8080/login -d '{\"user\": \"ann\", \"pin\": \"4711\"}'",
    "09_limits": "curl -i -H 'X-API-Key: key-of-bob' http://127.0.0.1:8080/reports/7",
    "10_quotas": "curl -i -H 'X-API-Key: key-of-bob' http://127.0.0.1:8080/orders/7",
}
START_DEADLINE = 20.0


def main(sample: str) -> int:
    policy = HERE / sample / "policy.pol"
    if not policy.exists():
        print(f"there is no sample `{sample}`; there are {', '.join(sorted(TRY))}", file=sys.stderr)
        return 2
    text = policy.read_text()
    listener = re.search(r'listen "([\d.]+):(\d+)"', text)
    assert listener is not None
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, port in servers(text):
            if answers("127.0.0.1", int(port)):
                print(f"port {port} is taken: stop what listens there first", file=sys.stderr)
                return 1
            started.append(subprocess.Popen([sys.executable, str(HERE / "upstream.py"), port, name]))
        polgate = str(Path(sys.executable).parent / "polgate")
        gateway = subprocess.Popen([polgate, "run", "--drain-delay", "0s", str(policy)])
        started.append(gateway)
        end = time.monotonic() + START_DEADLINE
        while not answers(listener[1], int(listener[2])) and gateway.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if gateway.poll() is None:
            print(f"\nthe gateway serves {policy.relative_to(HERE.parent)}; try\n\n{TRY[sample]}\n", flush=True)
        return gateway.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for process in reversed(started):
            stop(process)


def servers(policy: str) -> list[tuple[str, str]]:
    """Name and port of every server of the policy's upstreams."""
    blocks = re.findall(r"^upstream (\w+) \{(.*?)^\}", policy, re.M | re.S)
    return [(name, port) for name, block in blocks for port in re.findall(r'server "http://127\.0\.0\.1:(\d+)"', block)]


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "02_contracts"))
