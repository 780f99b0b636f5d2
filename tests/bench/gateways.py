"""Compare gateways side by side in one run: processor time a request, throughput, latency at a fixed offered rate.

    python3 tests/bench/gateways.py [--rounds N] [--seconds S] [--scenario a|b|t|c|k] [--observed] [--only nginx,envoy]
        [--json FILE]

Method: docs/performance.md. Every gateway has one core and one worker, load and upstream share another core. The
rounds of the gateways are interleaved and their order rotates, so that what else the machine does hits all of them;
ratios are taken within a round. Ends with 1 when a gateway did not start, answered wrongly or lost a request.
"""

import argparse
import contextlib
import http.client
import json
import os
import platform
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import load
import provision
import report
from members import Members, NoMembers
from peers import (
    BODY,
    CACHED,
    CACHED_PATH,
    CLIENTS,
    ECHO_PATH,
    GATEWAYS,
    HOT,
    HOT_RATE,
    MEMBERS,
    OBSERVED,
    PATH,
    SECURE,
    bare,
    counts,
    upstream,
)  # fmt: skip
from processes import Child, Noise, cores, free_port, spent

CONNECTIONS = 64
LATENCY_SECONDS = 2.0
WARM_UP_SECONDS = 1
HOT_SECONDS = 5.0
SETTLING = 10.0
SCENARIOS = ["a", "b", SECURE, CACHED, HOT]


@dataclass
class Round:
    """One gateway's figures of one round. CPU in µs a request, latencies in µs, shares of a core from 0 to 1."""

    requests_per_second: float
    cpu_us: float
    busy: float
    p50_us: float | None
    p99_us: float | None
    others: float
    others_load: float
    stolen: float


@dataclass
class Result:
    """A gateway in a scenario: its rounds, or why it has none."""

    gateway: str
    rounds: list[Round] = field(default_factory=list)
    problem: str = ""


class Bench:
    """One run: the upstream, the gateways of a scenario, and the files they need, all ended by `close`."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.gateway_core, self.load_core = cores()
        self.upstream_port = free_port()
        self.children: list[Child] = []
        self.members: Members | None = None
        self.upstream = self.start(
            "upstream", upstream(self.place("upstream"), self.upstream_port), self.upstream_port, self.load_core
        )

    def place(self, name: str) -> Path:
        place = self.folder / name
        place.mkdir(mode=0o755)
        return place

    def start(self, name: str, command: list[str], port: int, core: int) -> Child:
        child = Child(name, command, core, self.folder / name)
        self.children.append(child)
        child.await_port(port)
        child.pin()
        return child

    def start_member(self) -> str:
        """A cluster of one beside the load; gives the reason when there is none."""
        try:
            self.members = Members(1)
        except NoMembers as error:
            return str(error)
        self.members.start()
        pid = str(self.members[0].pid)
        subprocess.run(["taskset", "-a", "-c", "-p", str(self.load_core), pid], capture_output=True, check=True)
        MEMBERS.append((self.members.name, self.members.addresses))
        return ""

    def end_member(self) -> None:
        if self.members is not None:
            self.members.end()
            MEMBERS.clear()

    def close(self) -> None:
        while self.children:
            self.children.pop().stop()

    def scenario(self, scenario: str, names: list[str]) -> list[Result]:
        results = {name: Result(name) for name in names}
        running: dict[str, tuple[Child, int]] = {}
        names = [name for name in names if not (of := GATEWAYS[name].scenarios) or scenario in of]
        results = {name: results[name] for name in names}
        script = load.wrk_script(self.folder, PATH, list(CLIENTS) if counts(scenario) else [])
        for name in names:
            port = free_port()
            slot = f"{name}-{scenario}"
            try:
                command = GATEWAYS[name].command(scenario, self.place(slot), port, self.upstream_port)
                child = self.start(slot, command, port, self.gateway_core)
                settled(scenario, port)
                load.flood(port, path(scenario), script, WARM_UP_SECONDS, CONNECTIONS, self.load_core, scheme(scenario))
                child.pin()
                running[name] = child, port
            except (RuntimeError, OSError, http.client.HTTPException) as error:
                results[name].problem = str(error) or type(error).__name__
                say(f"{scenario}: {name} skipped: {results[name].problem}")
        for number in range(self.options.rounds):
            order = list(running)
            order = order[number % len(order):] + order[: number % len(order)] if order else []
            for name in order:
                child, port = running[name]
                try:
                    measured = self.measure(scenario, child, port, script, number)
                except (RuntimeError, OSError) as error:
                    results[name].problem = str(error)
                    say(f"{scenario}: {name} failed in round {number + 1}: {error}")
                    del running[name]
                    continue
                results[name].rounds.append(measured)
                tail = "" if measured.p99_us is None else f"  p99 {measured.p99_us:7,.0f} µs"
                say(
                    f"{scenario} {number + 1}/{self.options.rounds} {name:8} {measured.cpu_us:6.1f} µs CPU  "
                    f"{measured.requests_per_second:7,.0f}/s{tail}"
                )
        for child in [child for child in self.children if child is not self.upstream]:
            child.stop()
            self.children.remove(child)
        return list(results.values())

    def measure(self, scenario: str, child: Child, port: int, script: Path, number: int) -> Round:
        """One round of one gateway. Raises RuntimeError for any answer but the right one."""
        noise = Noise(self.gateway_core, self.load_core, child, self.upstream)
        if bare(scenario) == HOT:
            return self.hot(child, port, noise)
        cpu = child.cpu()
        flood = load.flood(
            port, path(scenario), script, self.options.seconds, CONNECTIONS, self.load_core, scheme(scenario)
        )
        used = spent(cpu, child.cpu())
        if flood.refused or flood.broken or not flood.answers:
            raise RuntimeError(
                f"{flood.answers} answers, {flood.refused} of them not 2xx, {flood.broken} socket errors"
            )
        # The open-loop client speaks no TLS.
        latencies = [] if bare(scenario) == SECURE else self.latencies(scenario, port, number)
        others, others_load, stolen = noise.shares()
        return Round(
            requests_per_second=flood.answers / flood.seconds,
            cpu_us=used / 1e3 / flood.answers,
            busy=used / 1e9 / flood.seconds,
            p50_us=load.percentile(latencies, 0.5) / 1e3 if latencies else None,
            p99_us=load.percentile(latencies, 0.99) / 1e3 if latencies else None,
            others=others,
            others_load=others_load,
            stolen=stolen,
        )

    def hot(self, child: Child, port: int, noise: Noise) -> Round:
        """One key, offered evenly what its limit lets pass; some of it may be refused."""
        request = load.get(PATH, port, X_API_Key=next(iter(CLIENTS)))
        schedule = [(int(turn * 1e9 / HOT_RATE), 0) for turn in range(int(HOT_RATE * HOT_SECONDS))]
        cpu = child.cpu()
        answers = load.open_loop(port, [request], schedule, CONNECTIONS, self.load_core, self.folder)
        used = spent(cpu, child.cpu())
        passed = sum(answer.status == 200 for answer in answers)
        if passed < 0.9 * len(answers) or passed + sum(answer.status == 429 for answer in answers) < len(answers):
            raise RuntimeError(f"{passed} of {len(answers)} requests at the limit passed")
        latencies = [answer.done - answer.due for answer in answers]
        others, others_load, stolen = noise.shares()
        return Round(
            requests_per_second=passed / HOT_SECONDS,
            cpu_us=used / 1e3 / len(answers),
            busy=used / 1e9 / HOT_SECONDS,
            p50_us=load.percentile(latencies, 0.5) / 1e3,
            p99_us=load.percentile(latencies, 0.99) / 1e3,
            others=others,
            others_load=others_load,
            stolen=stolen,
        )

    def latencies(self, scenario: str, port: int, number: int) -> list[int]:
        """From due time to the last byte, ns, at the offered rate. Arrivals differ by round, not by gateway."""
        keys = list(CLIENTS) if counts(scenario) else []
        where = path(scenario)
        requests = [load.get(where, port, X_API_Key=key) for key in keys] or [load.get(where, port)]
        due = load.arrivals(self.options.rate, LATENCY_SECONDS, number)
        schedule = [(at, turn % len(requests)) for turn, at in enumerate(due)]
        answers = load.open_loop(port, requests, schedule, CONNECTIONS, self.load_core, self.folder)
        if wrong := sum(answer.status != 200 for answer in answers):
            raise RuntimeError(f"{wrong} of {len(answers)} requests at the fixed rate were not answered with 200")
        return [answer.done - answer.due for answer in answers]


def path(scenario: str) -> str:
    return CACHED_PATH if bare(scenario) == CACHED else PATH


def scheme(scenario: str) -> str:
    return "https" if bare(scenario) == SECURE else "http"


def sane(scenario: str, port: int) -> None:
    """Ask for a few answers before anything is measured. Raises RuntimeError when one is not as it must be."""

    made: list[str | None] = []

    def ask(path: str, **fields: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        if scheme(scenario) == "https":
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=trusting)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in fields.items()})
            answer = connection.getresponse()
            made.append(answer.getheader("X-Made"))
            return answer.status, answer.read().decode("utf-8", "replace")

    def must(what: str, status: int, body: str, good: bool) -> None:
        if not good:
            raise RuntimeError(f"{what}: status {status}, {body[:100]!r}")

    if not counts(scenario):
        for _ in range(3 if bare(scenario) == CACHED else 1):
            status, body = ask(path(scenario))
            must("wrong answer", status, body, (status, body) == (200, BODY))
        if bare(scenario) == CACHED and (made[-1] is None or made[-1] != made[-2]):
            raise RuntimeError("the answer did not come from the cache")
        return
    for key, client in list(CLIENTS.items())[:3]:
        status, body = ask(PATH, X_API_Key=key)
        must("wrong answer", status, body, (status, body) == (200, BODY))
        status, body = ask(ECHO_PATH, X_API_Key=key, X_Client="somebody else")
        must("the upstream got a wrong X-Client", status, body, (status, body) == (200, client["id"]))
    for fields in ({"X_API_Key": "unknown"}, {}):
        status, body = ask(PATH, **fields)
        must("a wrong key was let in", status, body, status in (401, 403))


def settled(scenario: str, port: int) -> None:
    """As `sane`; a gateway that shares its counters has to find the others first."""
    end = time.monotonic() + SETTLING
    while True:
        try:
            return sane(scenario, port)
        except RuntimeError:
            if time.monotonic() > end:
                raise
        time.sleep(0.2)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """TERM and HUP end the run as Ctrl-C does: through the `finally` that stops every child."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    yield


def machine() -> dict[str, str]:
    model = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )
    return {"processor": model, "cores": str(os.cpu_count()), "kernel": platform.release()}


def main() -> int:
    parser = argparse.ArgumentParser(description="compare gateways side by side; see docs/performance.md")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each gateway (%(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one with wrk (%(default)s)")
    parser.add_argument("--rate", type=float, default=5000, help="offered requests a second for p99 (%(default)s)")
    parser.add_argument("--scenario", choices=SCENARIOS, action="append",
                        help="a: plain route, b: contracts, t: (a) over TLS, c: from the cache, k: a hot key (all)")
    parser.add_argument("--observed", action="store_true", help="both also with everything logged and counted")
    parser.add_argument("--only", default=",".join(GATEWAYS), metavar="NAMES", help="of %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures of all rounds")
    parser.add_argument("--markdown", action="store_true", help="print the section of docs/performance.md")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    if unknown := [name for name in names if name not in GATEWAYS]:
        parser.error(f"no such gateway: {', '.join(unknown)}; there are {', '.join(GATEWAYS)}")
    if not (1 <= options.rounds <= 100 and 1 <= options.seconds <= 60 and 1 <= options.rate <= 100_000):
        parser.error("1 to 100 rounds of 1 to 60 seconds, 1 to 100000 requests a second")

    absent = provision.provide(names)
    load.build_open_loop()
    about = machine()
    outcomes: dict[str, list[Result]] = {}
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="polgate-bench-") as folder:
        # Workers that gave up root's rights must reach their temporary files.
        os.chmod(folder, 0o755)
        bench = None
        try:
            bench = Bench(Path(folder), options)
            if "clustered" in names and (reason := bench.start_member()):
                absent["clustered"] = reason
            scenarios = options.scenario or SCENARIOS
            observed = [one + OBSERVED for one in scenarios if options.observed and one in ("a", "b", SECURE)]
            for scenario in [*scenarios, *observed]:
                present = [name for name in names if name not in absent]
                outcomes[scenario] = bench.scenario(scenario, present)
                outcomes[scenario] += [Result(name, problem=absent[name]) for name in names if name in absent]
        finally:
            if bench:
                bench.close()
                bench.end_member()
    versions = {name: GATEWAYS[name].version() for name in names if name not in absent}
    figures = {
        "machine": about,
        "versions": versions,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "rate": options.rate,
        "scenarios": {scenario: [asdict(result) for result in results] for scenario, results in outcomes.items()},
    }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(report.text(figures, markdown=options.markdown))
    return int(any(result.problem for results in outcomes.values() for result in results))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
