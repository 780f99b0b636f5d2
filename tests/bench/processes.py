"""Child processes of the measurements: pinned to a core, their processor time read, always stopped."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)


def cores() -> tuple[int, int]:
    """The gateway's core, and the one for load and upstream."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: two cores are needed: one for the gateway, one for load and upstream")
    return allowed[0], allowed[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _parents() -> dict[int, int]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name, in parentheses, may hold spaces: what follows the last one is regular (proc(5)).
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                found[int(entry)] = int(fields[1])
    return found


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    parents = _parents()
    members = [pid] if pid in parents else []
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def cpu_ns(pid: int) -> int:
    """Processor time of a process, all its threads, also ended ones: the kernel's per-process clock, in ns."""
    # The number that clock_getcpuclockid(3) makes: the process, and 2 for CPUCLOCK_SCHED.
    return time.clock_gettime_ns((~pid << 3) | 2)


def family_cpu_ns(pid: int) -> dict[int, int]:
    return {member: cpu_ns(member) for member in family(pid)}


class Child:
    """A server that was started, on one core, its output in a file."""

    def __init__(self, name: str, command: list[str], core: int, folder: Path) -> None:
        self.name = name
        self.core = core
        self.output = folder / f"{name}.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _prepare(core),
            )
        self.known: set[int] = {self.process.pid}

    def pin(self) -> None:
        """Put every thread of every descendant on the core, whatever affinity they chose themselves."""
        for member in family(self.process.pid):
            self.known.add(member)
            for task in os.listdir(f"/proc/{member}/task"):
                os.sched_setaffinity(int(task), {self.core})

    def cpu(self) -> dict[int, int]:
        return family_cpu_ns(self.process.pid)

    def last_words(self) -> str:
        lines = [line for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:300] if lines else "it said nothing"

    def await_port(self, port: int, patience: float = 10.0) -> None:
        """Wait until the port takes connections. Raises RuntimeError with the child's last words if it does not."""
        deadline = time.monotonic() + patience
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"did not start: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"took no connection in {patience:.0f} s: {self.last_words()}") from None
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process and its descendants: asked twice (a second time skips draining), then killed."""
        members = self.known | set(family(self.process.pid))
        for _ in range(2):
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
                try:
                    self.process.wait(1)
                except subprocess.TimeoutExpired:
                    continue
        if self.process.poll() is None:
            members |= set(family(self.process.pid))
            self.process.kill()
            self.process.wait()
        for member in members - {self.process.pid}:
            try:
                # The group is the child's own session, so a number that was given to a stranger is not hit.
                if os.getsid(member) == self.process.pid:
                    os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                pass


def _prepare(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def spent(before: dict[int, int], after: dict[int, int]) -> int:
    """Processor time between two readings, ns. Raises RuntimeError when a process ended between them."""
    if gone := before.keys() - after.keys():
        raise RuntimeError(f"process {min(gone)} ended while it was measured")
    return sum(now - before.get(member, 0) for member, now in after.items())


def _core_time(core: int) -> tuple[int, int]:
    """Busy and stolen time of a core since boot, ns, at the kernel's tick."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, line.split()[1:9])
            return (user + nice + system + irq + softirq) * TICK_NS, stolen * TICK_NS
    raise RuntimeError(f"/proc/stat does not list core {core}")


class Noise:
    """What others do to the two cores while one gateway is measured."""

    def __init__(self, gateway_core: int, load_core: int, gateway: Child, upstream: Child) -> None:
        self.cores = gateway_core, load_core
        self.gateway, self.upstream = gateway, upstream
        self.start = time.monotonic_ns()
        self.before = self._read()
        self.cpu = gateway.cpu(), upstream.cpu()

    def _read(self) -> list[int]:
        (busy, stolen), (load_busy, load_stolen) = map(_core_time, self.cores)
        ended = os.times()
        return [busy, load_busy, stolen + load_stolen, int((ended.children_user + ended.children_system) * 1e9)]

    def shares(self) -> tuple[float, float, float]:
        """Since the start: others' share of the gateway's core and of the load's, and the host's of both."""
        wall = time.monotonic_ns() - self.start
        busy, load_busy, stolen, clients = (now - then for now, then in zip(self._read(), self.before, strict=True))
        used = spent(self.cpu[0], self.gateway.cpu())
        load_used = clients + spent(self.cpu[1], self.upstream.cpu())
        return max(0, busy - used) / wall, max(0, load_busy - load_used) / wall, stolen / 2 / wall
