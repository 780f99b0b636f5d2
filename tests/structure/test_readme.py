"""What the README shows is what happens: its policies check as shown, its commands print what it says."""

from __future__ import annotations

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

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
PORTS = ("8080", "9000")
ACCEPT = os.environ.get("POL_ACCEPT") == "1"
_CHANGING = re.compile(r"(request:|pid |policy )[0-9a-f]+\b")
"""Ids of requests and processes, and the policy's hash (the test moves its ports)."""
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
    for _, name, text in _FENCE.findall(TEXT):
        if name:
            (folder / name).write_text(text)
    gateway = subprocess.Popen(
        [sys.executable, "samples/run.py"], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert gateway.stdout is not None
        end = time.monotonic() + 60
        while not gateway.stdout.readline().startswith("curl "):
            assert gateway.poll() is None and time.monotonic() < end, "the sample did not start"
        yield folder, ports
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(30)


def with_ports(text: str, ports: dict[str, str]) -> str:
    for usual, ours in ports.items():
        text = text.replace(f":{usual}", f":{ours}")
    return text


def commands() -> list[tuple[str, str]]:
    found = []
    for kind, _, text in _FENCE.findall(TEXT):
        if kind == "console":
            for block in re.split(r"^\$ ", text, flags=re.M)[1:]:
                command, _, output = block.partition("\n")
                found.append((command, output))
    return found


@pytest.mark.parametrize(("command", "shown"), commands(), ids=[command[:60] for command, _ in commands()])
def test_a_command_prints_what_the_readme_shows(
    command: str, shown: str, place: tuple[Path, dict[str, str]]
) -> None:
    folder, ports = place
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
    printed = _CHANGING.sub(r"\1…", done.stdout.replace("\r", ""))
    if ACCEPT:
        path = ROOT / "README.md"
        path.write_text(path.read_text().replace(f"$ {command}\n{shown}", f"$ {command}\n{printed}"))
        return
    assert printed == shown


def test_the_first_policy_is_the_sample() -> None:
    first = next(text for kind, _, text in _FENCE.findall(TEXT) if kind == "pol")
    assert first == (ROOT / "samples/02_contracts/policy.pol").read_text()


def test_policies_that_are_not_broken_are_right(place: tuple[Path, dict[str, str]]) -> None:
    folder, _ = place
    right = [name for kind, name, _ in _FENCE.findall(TEXT) if kind == "pol" and name and name != "broken.pol"]
    assert right
    done = subprocess.run([BIN / "pol", "check", *right], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
