"""Processes of `pol test` end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from policylang.tools import test_processes

FOREVER = 'import "p.pol"\ntest "forever" { repeat 1_000_000 { get "/" } }\n'


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "p.pol").write_text('service s "/" { respond 200 }\n')
    for name in ("a", "b"):
        (tmp_path / f"{name}_test.pol").write_text(FOREVER)
    pol = Path(sys.executable).parent / "pol"
    with subprocess.Popen([pol, "test", "--jobs", "2"], cwd=tmp_path, stdout=subprocess.DEVNULL,
                          start_new_session=True) as process:  # fmt: skip
        end = time.monotonic() + 20
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while time.monotonic() < end and len(children.read_text().split()) < 2:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    while alive(process.pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not alive(process.pid)


def test_a_process_that_ends_between_two_tests_takes_one_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of it then has no reader; it was no reader of ours that left."""
    known = test_processes._unless_defect

    def ended(found: dict[str, int], *rest: Any) -> dict[str, Any]:
        if found["number"] == 0:
            os.kill(found["process"], signal.SIGKILL)
            os.waitid(os.P_PID, found["process"], os.WEXITED | os.WNOWAIT)
        return known(found, *rest)

    monkeypatch.setattr(test_processes, "_unless_defect", ended)
    tests = test_processes.run_all(
        3, lambda number: {"number": number, "process": os.getpid()}, 1,
        lambda number, how: {"number": number, "how": how},
    )  # fmt: skip
    assert [(each["number"], each.get("how")) for each in tests] == [
        (0, None), (1, "its process ended with signal 9"), (2, None),
    ]  # fmt: skip
