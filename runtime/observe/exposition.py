"""`/metrics`: what all workers have counted, dead ones too, and what the supervisor knows, as Prometheus text."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.observe.catalog import CERTIFICATES, MOST_SERIES, OF_WORKERS, OTHER, Metric
from runtime.observe.cells import METRICS_FOLDER, SUFFIX, UNFINISHED, Written
from runtime.observe.processes import process_lines

if TYPE_CHECKING:
    from runtime.admin.operated import Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]
Table = dict[str, dict[Labels, list[int]]]
"""Metric to labels to cells."""


class Exposition:
    """`folder`: the store's. What an earlier run has left there is not ours to count, and is removed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / METRICS_FOLDER
        self._busy = threading.Lock()  # for a moment, one listener may follow another
        self._files: dict[Path, Written] = {}
        self._dead: Table = {}
        self._admitted: dict[str, set[Labels]] = {}
        self._earlier = set(self._paths())
        for unfinished in self._folder.glob(f"*{UNFINISHED}"):
            unfinished.unlink(missing_ok=True)
        self._look()

    def fold(self) -> None:
        """Take over what dead workers have counted, and remove their files."""
        with self._busy:
            self._fold()

    def _fold(self) -> None:
        self._look()
        for path, file in list(self._files.items()):
            if file.left():
                file.refresh()
                self._add(self._dead, file, gauges=False)
                self._forget(path)

    def text(self, status: Status) -> bytes:
        with self._busy:
            return self._text(status)

    def _text(self, status: Status) -> bytes:
        self._fold()
        table: Table = {
            name: {labels: list(cells) for labels, cells in series.items()} for name, series in self._dead.items()
        }
        expiries = status.get("certificates") or {}
        if expiries:
            table[CERTIFICATES.name] = {(file,): [int(when)] for file, when in expiries.items()}
        for file in self._files.values():
            file.refresh()
            self._add(table, file, gauges=True)
        lines: list[str] = []
        for name, metric in OF_WORKERS.items():
            if name in table:
                lines += _metric_lines(metric, table[name])
        lines += _own_lines(status)
        lines += process_lines({"supervisor": status["pid"], **_workers(status)})
        return ("\n".join(lines) + "\n").encode()

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _look(self) -> None:
        for path in self._paths():
            if path not in self._files:
                try:
                    self._files[path] = Written(path)
                except ValueError:
                    path.unlink(missing_ok=True)
                except OSError:
                    continue  # gone, or no descriptor for it now
        for path in list(self._earlier):
            # Of an earlier run: its workers, if any still live, are not ours.
            if path in self._files and self._files[path].left():
                self._forget(path)
            if path not in self._files:
                self._earlier.discard(path)

    def _forget(self, path: Path) -> None:
        file = self._files.pop(path)
        path.unlink(missing_ok=True)
        file.close()

    def _add(self, table: Table, file: Written, gauges: bool) -> None:
        if file.path in self._earlier:
            return
        series = file.series
        for line in series:
            if line is None:
                continue
            name, labels, first = line
            metric = OF_WORKERS.get(name)
            if metric is None or len(labels) != len(metric.labels) or (metric.kind == "gauge" and not gauges):
                continue
            self._merge(table, metric, labels, file.values(first, metric.cells))
        for cell, parts in file.paths:
            (times,) = file.values(cell, 1)
            if times:
                for number, often in parts:
                    line = series[number]
                    if line is not None and line[0] in OF_WORKERS:
                        self._merge(table, OF_WORKERS[line[0]], line[1], [times * often])

    def _merge(self, table: Table, metric: Metric, labels: Labels, values: list[int]) -> None:
        admitted = self._admitted.setdefault(metric.name, set())
        if labels not in admitted:
            if len(admitted) < MOST_SERIES:
                admitted.add(labels)
            else:
                labels = (OTHER,) * len(metric.labels)
        if metric.combine == "least" and not values[0]:
            return  # nothing, as of what a reload has taken away
        rows = table.setdefault(metric.name, {})
        row = rows.get(labels)
        if row is None:
            rows[labels] = values
        elif metric.combine == "least":
            rows[labels] = [min(one, other) for one, other in zip(row, values, strict=True)]
        else:
            rows[labels] = [one + other for one, other in zip(row, values, strict=True)]


# --- text (Prometheus exposition format 0.0.4) ---------------------------------------------------


def _metric_lines(metric: Metric, rows: Mapping[Labels, list[int]]) -> Iterable[str]:
    yield from head_lines(metric.name, metric.kind, metric.help)
    for labels, cells in sorted(rows.items()):
        said = [f'{name}="{escaped(value)}"' for name, value in zip(metric.labels, labels, strict=True) if value]
        if metric.kind == "histogram":
            yield from _histogram_lines(metric, said, cells)
        elif metric.kind == "summary":
            yield f"{metric.name}_sum{_braces(said)} {_seconds(cells[1])}"
            yield f"{metric.name}_count{_braces(said)} {cells[0]}"
        else:
            yield f"{metric.name}{_braces(said)} {cells[0]}"


def _histogram_lines(metric: Metric, said: list[str], cells: list[int]) -> Iterable[str]:
    total = 0
    for bound, count in zip(metric.bounds, cells, strict=False):
        total += count
        limit = f'le="{bound / 1e9:g}"'
        yield f"{metric.name}_bucket{_braces([*said, limit])} {total}"
    total += cells[len(metric.bounds)]
    infinite = 'le="+Inf"'
    yield f"{metric.name}_bucket{_braces([*said, infinite])} {total}"
    yield f"{metric.name}_sum{_braces(said)} {_seconds(cells[-1])}"
    yield f"{metric.name}_count{_braces(said)} {total}"


def head_lines(name: str, kind: str, about: str) -> list[str]:
    about = about.replace("\\", "\\\\").replace("\n", "\\n")
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def line(name: str, value: float, **labels: str) -> str:
    said = [f'{key}="{escaped(text)}"' for key, text in labels.items() if text]
    return f"{name}{_braces(said)} {value if isinstance(value, int) else repr(float(value))}"


def escaped(text: str) -> str:
    """A label's value; lone surrogates, which no encoding has, read as escapes."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text.encode("utf-8", "backslashreplace").decode()


def _braces(said: list[str]) -> str:
    return "{" + ",".join(said) + "}" if said else ""


def _seconds(ns: int) -> str:
    return f"{ns // 1_000_000_000}.{ns % 1_000_000_000:09d}"


# --- what the supervisor knows -------------------------------------------------------------------


def _workers(status: Status) -> dict[str, int]:
    """One for each slot: where a worker leaves and its successor is there, the successor."""
    found: dict[str, int] = {}
    for worker in sorted(status["workers"], key=lambda one: one["state"] != "leaving"):
        found[f"worker-{worker['slot']}"] = worker["pid"]
    return dict(sorted(found.items()))


def _own_lines(status: Status) -> list[str]:
    lines: list[str] = []

    def add(name: str, kind: str, about: str, values: Iterable[tuple[float, dict[str, str]]]) -> None:
        rows = [line(name, value, **labels) for value, labels in values]
        if rows:
            lines.extend([*head_lines(name, kind, about), *rows])

    def one(name: str, kind: str, about: str, value: float, **labels: str) -> None:
        add(name, kind, about, [(value, labels)])

    python = ".".join(str(part) for part in sys.version_info[:3])
    one("polgate_build_info", "gauge", "The version that runs.", 1, version=status["version"], python=python)
    one("polgate_start_time_seconds", "gauge", "When the gateway was started.", status["started"])
    one("polgate_policy_info", "gauge", "The policy that every worker is to serve.", 1, hash=status["policy"])
    add("polgate_worker_policy_info", "gauge", "The policy that a worker serves.",
        [(1, {"worker": str(worker["slot"]), "hash": worker["policy"]})
         for worker in status["workers"] if worker["state"] != "leaving" and worker["policy"]])  # fmt: skip
    one("polgate_policy_generation", "gauge", "How many policies were taken up, the first one too.",
        status["generation"])  # fmt: skip
    one("polgate_policy_loaded_timestamp_seconds", "gauge", "When the policy was taken up.", status["loaded"])
    last = status["last_reload"]
    one("polgate_reload_last_timestamp_seconds", "gauge", "When a policy was last to be taken up.",
        last["at"] if last else status["loaded"])  # fmt: skip
    one("polgate_reload_last_success", "gauge", "Whether it was: 1 or 0.", int(last["ok"]) if last else 1)
    states = dict.fromkeys(("starting", "ready", "leaving"), 0)
    for worker in status["workers"]:
        states[worker["state"]] = states.get(worker["state"], 0) + 1
    add("polgate_workers", "gauge", "Workers by state.", [(count, {"state": state}) for state, count in states.items()])
    one("polgate_workers_wanted", "gauge", "Workers that there should be.", status["workers_wanted"])
    one("polgate_worker_restarts_total", "counter", "Workers that took the place of one that died.",
        status["restarts"])  # fmt: skip
    one("polgate_draining", "gauge", "Whether the gateway is ending: 1 or 0.", int(status["draining"]))
    one("polgate_store_available", "gauge", "Whether the store can be used: 1 or 0.", int(not status["store"]))
    return lines
