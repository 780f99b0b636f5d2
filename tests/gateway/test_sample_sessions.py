"""What the README of the lesson about sessions shows is what happens."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from daemons import ROOT, WAIT, daemon, eventually

SAMPLE = ROOT / "samples" / "07_sessions"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.S | re.M)
_CHANGING = re.compile(r"(?<=hash )[0-9a-f]+|(?<=until )[0-9TZ:-]+|(?<=request:)[0-9a-f]+")


def test_the_commands_of_the_lesson(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port, upstream = str(free_port()), str(free_port())

    def moved(text: str) -> str:
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("127.0.0.1:9000", f"127.0.0.1:{upstream}")

    for file in SAMPLE.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "policy.pol").write_text(moved((SAMPLE / "policy.pol").read_text()))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "polgate").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m runtime.main "$@"\n')
    (tmp_path / "bin" / "polgate").chmod(0o755)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with (
        daemon([str(ROOT / "samples/upstream.py"), upstream, "accounts"], tmp_path) as echo,
        daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as gateway,
    ):
        gateway.ready()
        eventually(lambda: _answers(int(upstream)), "the upstream does not start")
        for block in _BLOCK.findall((SAMPLE / "README.md").read_text()):
            for each in re.split(r"^\$ ", block, flags=re.M)[1:]:
                command, _, shown = each.partition("\n")
                done = subprocess.run(
                    ["sh", "-c", moved(command)], cwd=tmp_path, timeout=WAIT, check=False, text=True,
                    stdout=subprocess.PIPE, env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
                )  # fmt: skip
                printed = _CHANGING.sub("…", done.stdout).replace("\r", "")
                assert printed.rstrip("\n") == shown.rstrip("\n"), command
        assert echo.process.poll() is None


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
