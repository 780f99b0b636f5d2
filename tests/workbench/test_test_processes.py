"""Processes of `pol test` end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
