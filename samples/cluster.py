"""Start the sample `05_cluster`: three members, two gateways, and the upstream behind them; Ctrl-C stops all of them.

    python samples/cluster.py

Gateways of one machine need a folder and a port each, so the second one serves the policy with another `listen`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from members import Members, NoMembers
from run import START_DEADLINE, answers, servers, stop

HERE = Path(__file__).resolve().parent
POLICY = HERE / "05_cluster" / "policy.pol"
NAME, MEMBERS = "sample", (5701, 5702, 5703)
GATEWAYS = (8080, 8081)
SHOWN = """
Both gateways count against one limit, ten a minute:

for i in 0 1 2 3 4 5 6 7 8 9 10 11; do
  curl -s -o /dev/null -w '%{{http_code}} ' http://127.0.0.1:$(({0} + i % 2))/orders/7; done; echo

What is stored by way of one is looked up by way of the other, also when a member was killed in between:

curl -i -X PUT -H 'Content-Type: text/plain' -d 'Mind the gap' http://127.0.0.1:{0}/notes/today
kill -9 {2}
curl -i http://127.0.0.1:{1}/notes/today
"""


def main() -> int:
    text = POLICY.read_text()
    upstreams = servers(text)
    for port in (*MEMBERS, *GATEWAYS, *(int(port) for _, port in upstreams)):
        if answers("127.0.0.1", port):
            print(f"port {port} is taken: stop what listens there first", file=sys.stderr)
            return 1
    try:
        members = Members(len(MEMBERS), name=NAME, ports=MEMBERS)
    except NoMembers as error:
        print(error, file=sys.stderr)
        return 1
    started: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="polgate-cluster-") as folder, members:
        try:
            print("starting three members and two gateways", flush=True)
            members.start()
            for name, port in upstreams:
                started.append(subprocess.Popen([sys.executable, str(HERE / "upstream.py"), port, name]))
            gateways = [gateway(Path(folder), text, port) for port in GATEWAYS]
            started += gateways
            pairs = list(zip(GATEWAYS, gateways, strict=True))
            if all(serves(port, process) for port, process in pairs) and all(
                connected(Path(folder), port) for port, _ in pairs
            ):
                print(SHOWN.format(*GATEWAYS, members[0].pid), flush=True)
                signal.pause()
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            for process in reversed(started):
                stop(process)


def gateway(folder: Path, text: str, port: int) -> subprocess.Popen[bytes]:
    """One gateway, with a folder of its own for what it keeps."""
    place = folder / str(port)
    place.mkdir()
    (place / "policy.pol").write_text(text.replace(f"127.0.0.1:{GATEWAYS[0]}", f"127.0.0.1:{port}"))
    polgate = str(Path(sys.executable).parent / "polgate")
    return subprocess.Popen(
        [polgate, "run", "--drain-delay", "0s", "policy.pol"], cwd=place, stdout=subprocess.DEVNULL,
        env={key: value for key, value in os.environ.items() if key != "STATE_DIRECTORY"},
    )  # fmt: skip


def serves(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + START_DEADLINE
    while not answers("127.0.0.1", port):
        if process.poll() is not None or time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def connected(folder: Path, port: int) -> bool:
    """It serves without the cluster too, but that is another lesson."""
    command = [str(Path(sys.executable).parent / "polgate"), "status"]
    end = time.monotonic() + START_DEADLINE
    while time.monotonic() < end:
        said = subprocess.run(command, cwd=folder / str(port), capture_output=True, text=True, check=False).stdout
        if re.search(r"^cluster +connected$", said, re.M):
            return True
        time.sleep(0.2)
    return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
