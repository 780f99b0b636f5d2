"""Members of a Hazelcast cluster, for tests and by hand, with the configuration that polgate ships.

    python tests/members.py --count 3

The jar is fetched once into `.cache` and checked by its SHA-256 every time; POLGATE_HAZELCAST_JAR names one of your
own. It takes Java 17 or later. Members listen on loopback, on ports and under a cluster name of their own, and are
always ended by their own ids, whoever started them dies.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONFIGURATION = ROOT / "packaging" / "hazelcast" / "member.xml"
VERSION = "5.7.0"
SHA256 = "241ec66cea8491787f68c3336f069ac463877af50bdb7676cd9d538f1940dc33"
SOURCE = f"https://repo1.maven.org/maven2/com/hazelcast/hazelcast/{VERSION}/hazelcast-{VERSION}.jar"
JAR = ROOT / ".cache" / f"hazelcast-{VERSION}.jar"
MAIN = "com.hazelcast.core.server.HazelcastMemberStarter"
WAIT = 60.0
"""Seconds: the deadline of every wait here; generous, since other work may share the machine."""
FETCH = 300.0
"""Seconds for the jar's 21 MB."""
HEAP = "192m"
STARTER = ThreadPoolExecutor(1)
"""Starts every member, whoever asks: the kernel ends them with the thread that has started them."""


class NoMembers(Exception):
    """No member can be run on this machine; the message says why, and the cure."""


@cache
def jar() -> Path:
    """The jar, its sum checked. Raises NoMembers for one's own that is not there, RuntimeError for a wrong sum."""
    own = os.environ.get("POLGATE_HAZELCAST_JAR")
    if own:
        if not Path(own).is_file():
            raise NoMembers(f"POLGATE_HAZELCAST_JAR names `{own}`, which is no file")
        return Path(own)
    if not JAR.exists():
        JAR.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=JAR.parent, prefix="jar-", delete=False) as part:
            print(f"fetching {SOURCE}", file=sys.stderr, flush=True)
            try:
                with urllib.request.urlopen(SOURCE, timeout=FETCH) as answer:
                    shutil.copyfileobj(answer, part)
            except OSError:
                os.unlink(part.name)
                raise
        check(Path(part.name))
        os.replace(part.name, JAR)
    return check(JAR)


def check(path: Path) -> Path:
    """The file, if it is what it should be; else it is gone. Raises RuntimeError."""
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        path.unlink()
        raise RuntimeError(f"`{path}` has the SHA-256 {found}, not {SHA256}: it was removed")
    return path


@cache
def java() -> str:
    """Raises NoMembers where there is no Java 17 or later."""
    home = os.environ.get("JAVA_HOME")
    command = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if command is None:
        raise NoMembers("there is no `java`: install a JRE of version 17 or later, or set JAVA_HOME")
    try:
        said = subprocess.run([command, "-version"], capture_output=True, text=True, timeout=WAIT, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise NoMembers(f"`{command} -version` fails: {error}") from error
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < 17:
        raise NoMembers(f"`{command}` is too old for members ({said.splitlines()[0]}): they need 17 or later")
    return command


class Member:
    """One process. `port` stays the same over restarts."""

    def __init__(self, command: Sequence[str], port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        assert not self.runs
        with self.log.open("ab") as log:
            self._process = STARTER.submit(
                subprocess.Popen, self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ).result()

    def kill(self) -> None:
        """A crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """It hands over what it has, then leaves."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """It says nothing more, and its connections stay open."""
        self._send(signal.SIGSTOP)
        self.frozen = True

    def resume(self) -> None:
        self._send(signal.SIGCONT)
        self.frozen = False

    def health(self) -> dict[str, Any]:
        """`clusterSize`, `clusterSafe`, `migrationQueueSize`; empty while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            connection.request("GET", "/hazelcast/health")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        return {}

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
            if self.frozen:
                self._process.send_signal(signal.SIGCONT)
        self.frozen = False
        try:
            self._process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


class Members:
    """A cluster of its own. `name` and `addresses` are what a client needs.

    `majority`: with three members and more, whether the smaller side of a split refuses (see the configuration).

        with Members(3) as members:
            members.start()
    """

    def __init__(self, count: int, majority: bool = True, name: str = "", ports: Sequence[int] = ()) -> None:
        self.name = name or f"test-{secrets.token_hex(6)}"
        self._folder = Path(tempfile.mkdtemp(prefix="polgate-members-"))
        ports = ports or free_ports(count)
        protected = majority and count >= 3
        self.members = [Member(self._command(port, ports, protected), port, self._folder / f"{port}.log")
                        for port in ports]  # fmt: skip

    def _command(self, port: int, ports: Sequence[int], protected: bool) -> list[str]:
        properties = {
            "hazelcast.config": CONFIGURATION,
            "hazelcast.local.localAddress": "127.0.0.1",
            "hz.cluster-name": self.name,
            "hz.network.port.port": port,
            "hz.network.join.tcp-ip.members": ",".join(f"127.0.0.1:{each}" for each in ports),
            "hz.network.rest-api.enabled": "true",  # its health tells when everything is in its place
            "hz.split-brain-protection.majority.enabled": str(protected).lower(),
            "hz.split-brain-protection.majority.minimum-cluster-size": max(2, len(ports) // 2 + 1),
        }
        # A member must not outlive whoever started it, however that ended.
        guard = [found, "--pdeathsig", "KILL"] if (found := shutil.which("setpriv")) else []
        return [
            *guard, java(), f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "--add-modules", "java.se",
            "--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED",
            "--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/sun.nio.ch=ALL-UNNAMED",
            *(f"-D{name}={value}" for name, value in properties.items()), "-cp", str(jar()), MAIN,
        ]  # fmt: skip

    @property
    def addresses(self) -> list[str]:
        return [member.address for member in self.members]

    def __getitem__(self, number: int) -> Member:
        return self.members[number]

    def __enter__(self) -> Members:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """The first one, then the others: members that start together may make clusters of one each."""
        self.members[0].start()
        until(lambda: self._fine(self.members[0], 1), "the first member does not start", self._said)
        for member in self.members[1:]:
            member.start()
        self.wait_joined()

    def heal(self) -> None:
        """Whatever a test has done to them: all of them run and are joined, and no entry has one copy only."""
        for member in self.members:
            if member.frozen:
                member.resume()
        for member in self.members:
            if not member.runs:
                member.start()
        self.wait_joined()

    def wait_joined(self, count: int = 0) -> None:
        """Until `count` (all of those that run) know each other and every partition has its backup."""
        running = [member for member in self.members if member.runs and not member.frozen]
        wanted = count or len(running)
        until(lambda: all(self._fine(member, wanted) for member in running), f"no {wanted} members joined", self._said)

    def _fine(self, member: Member, count: int) -> bool:
        if not member.runs:
            raise RuntimeError(f"member {member.port} ended:\n{self._said()}")
        health = member.health()
        return (
            health.get("clusterSize") == count and health["clusterSafe"] is True and not health["migrationQueueSize"]
            and health["nodeState"] == "ACTIVE"
        )  # fmt: skip

    def _said(self) -> str:
        return "\n".join(f"{member.log.name}:\n{member.log.read_text(errors='replace')[-2000:]}"
                         for member in self.members if member.log.exists())  # fmt: skip

    def end(self) -> None:
        for member in self.members:
            member.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago."""
    with contextlib.ExitStack() as probes:
        found = []
        for _ in range(count):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found


def until(true: Callable[[], object], what: str, said: Callable[[], str] = str, within: float = WAIT) -> None:
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}\n{said()}")
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a Hazelcast cluster on loopback until Ctrl-C.")
    parser.add_argument("--count", type=int, default=3, help="how many members (3)")
    parser.add_argument("--name", default="dev", help="the cluster's name (dev)")
    parser.add_argument("--port", type=int, default=0, help="the first member's port; free ones are found without it")
    given = parser.parse_args()
    ports = range(given.port, given.port + given.count) if given.port else ()
    try:
        members = Members(given.count, name=given.name, ports=ports)
    except NoMembers as error:
        print(error, file=sys.stderr)
        return 1
    with members:
        members.start()
        shown = ", ".join(f'"{address}"' for address in members.addresses)
        print(f'store hazelcast, cluster: "{members.name}", members: [{shown}]')
        for member in members.members:
            print(f"{member.address}: process {member.pid}")
        print("Ctrl-C ends them", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main())
