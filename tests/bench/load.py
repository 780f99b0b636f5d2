"""The two load generators: wrk for throughput and processor time, openloop.c for latency at a fixed offered rate."""

import array
import hashlib
import os
import random
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache" / "bench"

# wrk calls `done` once; what it writes is read by `flood`.
WRK_SUMMARY = """
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("SUMMARY %d %d %d %d\\n", summary.requests, summary.duration, e.status,
        e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Flood:
    """What wrk counted: completed answers, its run's length in s, answers of status 400 and more, socket errors."""

    answers: int
    seconds: float
    refused: int
    broken: int


def wrk_script(folder: Path, path: str, keys: list[str]) -> Path:
    """A script that sends the keys in turn, each request prepared once; without keys wrk sends the plain request."""
    lines = [WRK_SUMMARY]
    if keys:
        quoted = ", ".join(f'"{key}"' for key in keys)
        lines.append(
            f"local keys, ready, turn = {{{quoted}}}, {{}}, 0\n"
            "function init(args)\n"
            "    for i, key in ipairs(keys) do\n"
            f'        ready[i] = wrk.format("GET", "{path}", {{["X-API-Key"] = key}})\n'
            "    end\n"
            "end\n"
            "function request()\n"
            "    turn = turn % #ready + 1\n"
            "    return ready[turn]\n"
            "end\n"
        )
    script = folder / ("keys.lua" if keys else "plain.lua")
    script.write_text("".join(lines))
    return script


def flood(
    port: int, path: str, script: Path, seconds: int, connections: int, core: int, scheme: str = "http"
) -> Flood:
    """Send as much as `connections` kept-alive connections carry for `seconds`. Raises RuntimeError if wrk fails."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "-s", str(script)]
    run = subprocess.run(
        ["taskset", "-c", str(core), *command, f"{scheme}://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=seconds + 20, check=False,
    )
    for line in run.stdout.splitlines():
        if line.startswith("SUMMARY "):
            answers, microseconds, refused, broken = map(int, line.split()[1:])
            return Flood(answers, microseconds / 1e6, refused, broken)
    raise RuntimeError(f"wrk failed: {(run.stderr or run.stdout).strip()[:300]}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One request of an open-loop run. Times in ns from its start; status 0 is no whole answer."""

    request: int
    due: int
    sent: int
    done: int
    status: int
    retry_after: str
    policy: str
    limit: str


def build_open_loop() -> Path:
    """Compile openloop.c, once for each version of it. Raises RuntimeError with the compiler's words."""
    source = HERE / "openloop.c"
    binary = CACHE / f"openloop-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    if not binary.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        compiler = shutil.which("gcc") or shutil.which("cc")
        if not compiler:
            raise RuntimeError("no C compiler: install gcc and libc6-dev")
        fresh = binary.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-o", str(fresh), str(source)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise RuntimeError(f"openloop.c does not compile: {run.stderr.strip()[:500]}")
        fresh.rename(binary)
    return binary


def get(path: str, port: int, **fields: str) -> bytes:
    """A raw GET; field names are given with `_` for `-`."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def arrivals(rate: float, seconds: float, seed: int) -> list[int]:
    """Due times, ns, of independent arrivals (exponential gaps), the same for the same seed."""
    gaps, now, due = random.Random(seed), 0.0, []
    while (now := now + gaps.expovariate(rate)) < seconds:
        due.append(int(now * 1e9))
    return due


class OpenLoop:
    """One that runs: plays a schedule of (due in ns, number of the request), sorted by due time.

    Without a core, on any. `tolerant`: a server that cannot be reached costs the requests alone (their status is 0).
    """

    def __init__(
        self, port: int, requests: list[bytes], schedule: list[tuple[int, int]], connections: int, core: int | None,
        folder: Path, tolerant: bool = False,
    ) -> None:  # fmt: skip
        paths = [folder / name for name in ("requests.bin", "schedule.bin", "answers.tsv")]
        paths[0].write_bytes(b"".join(struct.pack("=I", len(request)) + request for request in requests))
        paths[1].write_bytes(array.array("Q", [number for entry in schedule for number in entry]).tobytes())
        command = ["taskset", "-c", str(core)] if core is not None else []
        command += [str(build_open_loop()), str(port), str(connections), *map(str, paths)]
        environment = {**os.environ, "OPENLOOP_TOLERANT": "1"} if tolerant else None
        self._seconds = schedule[-1][0] / 1e9
        self._answers = paths[2]
        self._run = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def answers(self, absolute: bool = False) -> list[Answer]:
        """When it has ended; times since its start, or `absolute` by the machine's monotonic clock.

        Raises RuntimeError if it breaks.
        """
        try:
            out, err = self._run.communicate(timeout=self._seconds + 30)
        finally:
            if self._run.poll() is None:
                self._run.kill()
                self._run.communicate()
        if self._run.returncode:
            raise RuntimeError(err.strip()[:300] or f"openloop ended with {self._run.returncode}")
        start = int(out.split()[1]) if absolute else 0
        answers = []
        with self._answers.open() as lines:
            for line in lines:
                request, due, sent, done, status, retry_after, policy, limit = line.rstrip("\n").split("\t")
                times = (int(due) + start, int(sent) + start, int(done) + start)
                answers.append(Answer(int(request), *times, int(status), retry_after, policy, limit))
        return answers


def open_loop(
    port: int, requests: list[bytes], schedule: list[tuple[int, int]], connections: int, core: int | None, folder: Path
) -> list[Answer]:
    """Play a whole schedule, as OpenLoop does. Raises RuntimeError if it breaks."""
    return OpenLoop(port, requests, schedule, connections, core, folder).answers()


def percentile(values: list[int], share: float) -> int:
    """The nearest-rank percentile; `share` is 0.99 for p99."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))]
