"""`process_*` of the gateway's processes, as Prometheus's own libraries name them, from proc(5)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_ABOUT: Final = {
    "process_cpu_seconds_total": ("counter", "Processor time, in programs and in the kernel."),
    "process_resident_memory_bytes": ("gauge", "Memory that is in RAM."),
    "process_virtual_memory_bytes": ("gauge", "Address space."),
    "process_open_fds": ("gauge", "Open file descriptors."),
    "process_max_fds": ("gauge", "File descriptors that may be open."),
    "process_start_time_seconds": ("gauge", "When the process was started."),
}


def process_lines(processes: Mapping[str, int]) -> list[str]:
    """`processes`: what to call each, to its id. Those that have gone meanwhile are left out."""
    from runtime.observe.exposition import head_lines, line

    found = {name: figures(pid) for name, pid in processes.items()}
    lines: list[str] = []
    for metric, (kind, about) in _ABOUT.items():
        rows = [line(metric, one[metric], process=name) for name, one in found.items() if metric in one]
        if rows:
            lines += [*head_lines(metric, kind, about), *rows]
    return lines


def figures(pid: int) -> dict[str, float]:
    """What can be read of a process; empty for one that is not there."""
    place = Path(f"/proc/{pid}")
    found: dict[str, float] = {}
    try:
        # The name, in parentheses, may hold spaces: what follows the last one is regular (proc(5)).
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        found["process_cpu_seconds_total"] = (int(fields[11]) + int(fields[12])) / _TICK
        found["process_start_time_seconds"] = _booted() + int(fields[19]) / _TICK
        found["process_virtual_memory_bytes"] = int(fields[20])
        found["process_resident_memory_bytes"] = int(fields[21]) * _PAGE
        for limit in (place / "limits").read_text().splitlines():
            if limit.startswith("Max open files"):
                most = limit[26:].split()[0]
                if most.isdigit():
                    found["process_max_fds"] = int(most)
        found["process_open_fds"] = len(os.listdir(place / "fd"))
    except (OSError, ValueError, IndexError):
        pass  # it has ended, or is another's
    return found


def _booted() -> int:
    for one in Path("/proc/stat").read_text().splitlines():
        if one.startswith("btime "):
            return int(one.split()[1])
    return 0
