"""File descriptors used up: who is in is served, nothing spins, and it goes on when there are some again."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from attack import SOAK, Gate, figure, gate, good_side, settle

FILES = 250
LASTING = 20.0 if SOAK else 1.0
"""Seconds for which there are none."""


def ask(one: socket.socket, path: str) -> bytes:
    one.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    said = b""
    while b"\r\n\r\n" not in said:
        data = one.recv(1 << 16)
        if not data:
            break
        said += data
    return said[9:12]


def await_service(made: Gate, path: str, within: float) -> float:
    """Seconds until a new connection is served."""
    began = time.monotonic()
    while True:
        try:
            with made.connect() as one:
                one.settimeout(within)
                if ask(one, path) == b"200":
                    return time.monotonic() - began
        except OSError:
            pass
        assert time.monotonic() - began < within, f"{path} is not served again"
        time.sleep(0.05)


def test_descriptors_used_up(tmp_path: Path) -> None:
    with good_side() as good, gate(tmp_path, good=good, files=FILES) as made:
        inside = [made.connect() for _ in range(4)]
        for one in inside:
            assert (ask(one, "/here/1"), ask(one, "/good/1")) == (b"200", b"200")
        outside = [made.connect() for _ in range(2 * FILES)]
        settle(lambda: made.descriptors() >= FILES - 1, "there are descriptors left")
        lines, used, began = len(made.started.lines), made.processor(), time.monotonic()
        slowest, count = 0.0, 0
        while time.monotonic() - began < LASTING:
            asked = time.monotonic()
            for one in inside:
                assert (ask(one, "/here/1"), ask(one, "/good/1")) == (b"200", b"200")
                count += 2
            slowest = max(slowest, time.monotonic() - asked)
            # More come all the time, and are turned away.
            outside += [made.connect() for _ in range(2)]
            time.sleep(0.1)
        share = (made.processor() - used) / (time.monotonic() - began)
        figure("exhausted", asked=count, slowest=slowest, processor_share=share, said=len(made.started.lines) - lines)
        assert share < 0.25
        assert len(made.started.lines) - lines <= LASTING
        for one in outside:
            one.close()
        figure("again", seconds=await_service(made, "/good/2", 5.0))
        assert made.started.children() == [made.worker]
        made.check()


def test_upstreams_cannot_be_reached_without_descriptors(tmp_path: Path) -> None:
    """A clear 502 or 503, no defect, and no more words than the access log's."""
    with good_side() as good, gate(tmp_path, good=good, files=FILES) as made:
        inside = [made.connect() for _ in range(10)]
        for one in inside:
            assert ask(one, "/here/1") == b"200"
        outside = [made.connect() for _ in range(2 * FILES)]
        settle(lambda: made.descriptors() >= FILES - 1, "there are descriptors left")
        lines = len(made.started.lines)
        for _ in range(50):
            for one in inside:
                assert ask(one, "/good/1") in (b"502", b"503")
        assert len(made.started.lines) - lines < 20
        for one in outside:
            one.close()
        await_service(made, "/good/2", 10.0)
        made.check()
