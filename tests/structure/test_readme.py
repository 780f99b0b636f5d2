"""What the README shows is what happens: its policies check as shown, its commands print what it says."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from members import NoMembers, jar, java

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
PORTS = ("8080", "9000")
CLUSTER_PORTS = ("8080", "8081", "9000", "5701", "5702", "5703")
ACCEPT = os.environ.get("POL_ACCEPT") == "1"
_CHANGING = re.compile(r"(request:|pid |policy )[0-9a-f]+\b")
"""Ids of requests and processes, and the policy's hash (the test moves its ports)."""
_TIME = re.compile(r"\b[\d.]+ (?:µs|ms|s)$", re.M)
"""How long something took, where a line ends with it: it may differ."""
_FENCE = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.S | re.M)


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    found = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the samples and the README's files, a gateway serving them; free ports in place of the usual."""
    folder = tmp_path_factory.mktemp("readme")
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    shutil.copytree(ROOT / "samples", folder / "samples")
    for file in [*folder.glob("samples/*/policy.pol"), folder / "samples/run.py"]:
        file.write_text(with_ports(file.read_text(), ports))
    for kind, name, text in _FENCE.findall(TEXT):
        if name and kind != "console":
            (folder / name).write_text(text)
    with running("run.py", folder):
        yield folder, ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """The same of the sample with three members and two gateways."""
    try:
        jar(), java()
    except NoMembers as error:
        pytest.skip(f"NO HAZELCAST MEMBERS, so their tests did not run: {error}")
    folder = tmp_path_factory.mktemp("cluster")
    first, second = neighbours()
    ports = dict(zip(CLUSTER_PORTS, map(str, (first, second, *free_ports(4))), strict=True))
    shutil.copytree(ROOT / "samples", folder / "samples")
    for file in (folder / "samples/05_cluster/policy.pol", folder / "samples/cluster.py"):
        file.write_text(with_ports(file.read_text(), ports))
    with running("cluster.py", folder, {"PYTHONPATH": str(ROOT / "tests")}):
        yield folder, ports


@contextlib.contextmanager
def running(script: str, folder: Path, environ: dict[str, str] | None = None) -> Iterator[None]:
    """A sample that has said what to try."""
    started = subprocess.Popen(
        [sys.executable, f"samples/{script}"], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **(environ or {})},
    )  # fmt: skip
    try:
        assert started.stdout is not None
        end = time.monotonic() + 60
        while not started.stdout.readline().startswith("curl "):
            assert started.poll() is None and time.monotonic() < end, "the sample did not start"
        yield
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(60)


def neighbours() -> tuple[int, int]:
    """Two free ports side by side, as the README counts from one to the other."""
    while True:
        (port,) = free_ports(1)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port + 1))
            return port, port + 1


def with_ports(text: str, ports: dict[str, str]) -> str:
    for usual, ours in ports.items():
        text = re.sub(rf"\b{usual}\b", ours, text)
    return text


def commands(place: str) -> list[tuple[str, str]]:
    found = []
    for kind, name, text in _FENCE.findall(TEXT):
        if kind == "console" and name == place:
            for block in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, _, output = block.partition("\n")
                found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "shown"), commands(""), ids=[command[:60] for command, _ in commands("")])
def test_a_command_prints_what_the_readme_shows(
    command: str, shown: str, place: tuple[Path, dict[str, str]]
) -> None:
    prints(command, shown, *place)


@pytest.mark.parametrize(
    ("command", "shown"), commands("cluster"), ids=[command[:60] for command, _ in commands("cluster")]
)
def test_a_command_to_the_cluster_prints_what_the_readme_shows(
    command: str, shown: str, cluster: tuple[Path, dict[str, str]]
) -> None:
    prints(command, shown, *cluster)


def prints(command: str, shown: str, folder: Path, ports: dict[str, str]) -> None:
    done = subprocess.run(
        ["sh", "-c", with_ports(command, ports)],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    printed = done.stdout.replace("\r", "").replace(f"{folder}/", "")
    printed = _CHANGING.sub(r"\1…", with_ports(printed, {ours: usual for usual, ours in ports.items()}))
    if ACCEPT:
        path = ROOT / "README.md"
        path.write_text(path.read_text().replace(f"$ {command}\n{shown}", f"$ {command}\n{printed}"))
        return
    assert _TIME.sub("", printed) == _TIME.sub("", shown)


def test_the_first_policy_is_the_sample() -> None:
    first = next(text for kind, _, text in _FENCE.findall(TEXT) if kind == "pol")
    assert first == (ROOT / "samples/02_contracts/policy.pol").read_text()


def test_policies_that_are_not_broken_are_right(place: tuple[Path, dict[str, str]]) -> None:
    folder, _ = place
    right = [name for kind, name, _ in _FENCE.findall(TEXT) if kind == "pol" and name and name != "broken.pol"]
    assert right
    done = subprocess.run([BIN / "pol", "check", *right], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
