"""Errors that end up in the loop."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

from runtime.observe.events import EventLog
from runtime.observe.unexpected import Unexpected


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_defect_is_logged_once_with_its_traceback(tmp_path: Path) -> None:
    events = EventLog("worker-0", str(tmp_path / "error.log"))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(Unexpected(events))

    def fail() -> None:
        raise KeyError("what")

    for _ in range(50):
        loop.call_soon(fail)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    events.close()
    said = lines(tmp_path / "error.log")
    assert len(said) == 50 and all("level=error" in line and "defect: KeyError" in line for line in said)
    assert sum("traceback=" in line for line in said) == 1


def test_errors_of_the_system_are_told_once_a_minute(tmp_path: Path) -> None:
    events = EventLog("worker-0", str(tmp_path / "error.log"))
    now = [1000.0]
    tell = Unexpected(events, lambda: now[0])
    loop = asyncio.new_event_loop()
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    for _ in range(100):
        tell(loop, {"message": "socket.accept() out of system resource", "exception": error})
        now[0] += 1.0
    tell(loop, {"message": "Fatal write error on socket transport", "exception": OSError(errno.ETIMEDOUT, "Timed out")})
    loop.close()
    events.close()
    said = lines(tmp_path / "error.log")
    assert len(said) == 3
    assert all("level=warning" in line for line in said) and "too many open files" in said[0]
