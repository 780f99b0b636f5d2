"""What `pol` does where nobody reads on, and where not all can be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

POL = Path(sys.executable).parent / "pol"


@pytest.fixture(autouse=True)
def long_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.pol").write_text("".join(f'service s{n} "/{n}" {{ nothing{n} "é" }}\n' for n in range(2000)))
    Path("short.pol").write_text('service s "/" { nothing "é" }\n')


def test_a_reader_that_leaves_is_no_mistake() -> None:
    with subprocess.Popen([POL, "check", "long.pol"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait(20) in (0, 1)


@pytest.mark.parametrize("file", ["long.pol", "short.pol"])
def test_a_full_disk_is_said(file: str) -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run([POL, "check", file], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20,
                               check=False)  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1] == "pol: cannot go on: no space left on device"
    assert "Traceback" not in found.stderr and "None" not in found.stderr


def test_without_standard_output_there_is_still_an_exit_code() -> None:
    found = subprocess.run(["/bin/sh", "-c", '"$0" check short.pol >&-', POL], stderr=subprocess.PIPE, text=True,
                           timeout=20, check=False)  # fmt: skip
    assert (found.returncode, found.stderr) == (1, "1 finding\n")


def test_what_is_written_is_utf_8_wherever_it_goes() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii:strict"}
    found = subprocess.run([POL, "check", "short.pol"], env=environ, stdout=subprocess.PIPE, timeout=20, check=False)
    assert found.returncode == 1
    assert 'nothing "é"' in found.stdout.decode()


def test_a_name_that_is_no_utf_8_is_written_as_it_is() -> None:
    Path(os.fsdecode(b"caf\xe9.pol")).write_bytes(Path("short.pol").read_bytes())
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    found = subprocess.run([POL, "check", "--format", "json", b"caf\xe9.pol"], env=environ, stdout=subprocess.PIPE,
                           timeout=20, check=False)  # fmt: skip
    assert found.returncode == 1
    assert b'"file": "caf\xe9.pol"' in found.stdout
