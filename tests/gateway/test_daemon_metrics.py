"""What a running gateway tells of itself: metrics over deaths and reloads, its logs on full disks, its commands."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme
from daemons import ROOT, Daemon, alive, ask, daemon, eventually
from prometheus import Family, parse

from runtime.admin.address import AdminAddress
from runtime.admin.client import NoAnswer
from runtime.admin.client import ask as ask_admin

POLICY = """
gateway {
    listen "127.0.0.1:0"
    workers WORKERS
    access_log "ACCESS"
    error_log "ERRORS"
}

service hello "/hello/{name}" {
    require path.name != "nobody"
    limit_size request, 1MB
    respond 200, body: "TEXT"
}
"""


class Gateway:
    def __init__(self, running: Daemon, folder: Path) -> None:
        self.running = running
        self.folder = folder
        self.port = running.ready()

    def admin(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        status, _, body = ask_admin(AdminAddress(path=str(self.folder / ".polgate" / "admin.sock")), method, path)
        return status, body

    def metrics(self) -> dict[str, Family]:
        status, body = self.admin("/metrics")
        assert status == 200
        return parse(body)

    def answered(self, **labels: str) -> float:
        """How many requests the metrics have."""
        family = self.metrics().get("http_server_request_duration_seconds")
        return 0.0 if family is None else family.total("_count", **labels)

    def workers(self) -> dict[int, int]:
        """Those that are ready: slot to process."""
        found = json.loads(self.admin("/status")[1])["workers"]
        return {one["slot"]: one["pid"] for one in found if one["state"] == "ready"}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runtime.main", *words], cwd=self.folder, capture_output=True, text=True,
            timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip

    def ask(self, number: int, path: str = "/hello/ann") -> None:
        for _ in range(number):
            with suppress(OSError):  # a worker may be dying
                ask(self.port, path)


def write(folder: Path, workers: int = 1, access: str = "off", errors: str = "stderr", text: str = "one") -> None:
    source = POLICY.replace("WORKERS", str(workers)).replace("ACCESS", access).replace("ERRORS", errors)
    (folder / "policy.pol").write_text(source.replace("TEXT", text))


@contextmanager
def gateway(folder: Path, **changed: Any) -> Iterator[Gateway]:
    write(folder, **changed)
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as running:
        yield Gateway(running, folder)
        if running.process.poll() is None:
            running.send(signal.SIGTERM)
            running.await_line("draining")
            assert running.end() == 0  # the second one


def test_no_counter_falls_when_workers_die_and_policies_change(tmp_path: Path) -> None:
    with gateway(tmp_path, workers=2) as made:
        made.ask(40)
        made.ask(5, "/hello/nobody")
        eventually(lambda: made.answered() == 45, "what was asked is counted")
        first = made.workers()
        os.kill(first[0], signal.SIGKILL)
        eventually(lambda: not alive(first[0]), "it is dead")
        assert made.answered(http_response_status_code="200") == 40, "a dead worker's counts stay"
        eventually(lambda: len(made.workers()) == 2, "another one takes its place")
        assert made.answered() == 45
        made.ask(10)
        eventually(lambda: made.answered() == 55, "the new one counts too")
        write(tmp_path, workers=2, text="two")
        reload = made.command("reload")
        assert (reload.returncode, reload.stderr) == (0, "")
        made.ask(10)
        eventually(lambda: made.answered() == 65, "a reload keeps the counters")
        found = made.metrics()
        assertions = found["polgate_assertion_total"]
        assert assertions.total(service="hello", assertion="require", outcome="passed") == 60
        assert assertions.total(service="hello", assertion="require", outcome="requirement-not-met") == 5
        assert found["polgate_worker_restarts_total"].value() == 1
        assert found["polgate_policy_generation"].value() == 2
        assert len(list((tmp_path / ".polgate" / "metrics").iterdir())) == 2
        assert found["process_resident_memory_bytes"].total(process="worker-1") > 1e6


def test_what_the_wire_refuses_is_counted_by_name(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        assert ask(made.port, "/hello/ann", Host="a b")[0] == 400
        eventually(lambda: "polgate_wire_refused_total" in made.metrics(), "it is counted")
        family = made.metrics()["polgate_wire_refused_total"]
        assert family.value(failure="bad-host", http_response_status_code="400") == 1


def test_what_state_circuits_are_in(tmp_path: Path) -> None:
    with socket.socket() as nobody, gateway(tmp_path) as made:
        nobody.bind(("127.0.0.1", 0))
        with (tmp_path / "policy.pol").open("a") as policy:
            policy.write(f"""
upstream down {{
    server "http://127.0.0.1:{nobody.getsockname()[1]}"
    circuit_breaker requests: 2
    circuit_breaker per_server: true, requests: 1000
}}

service down "/down" {{ route down, retries: 0 }}
""")
        assert made.command("reload").returncode == 0
        statuses = [ask(made.port, "/down")[0] for _ in range(3)]
        assert statuses == [502, 502, 503]

        def states() -> set[tuple[str, ...]]:
            family = made.metrics().get("polgate_upstream_circuit_state")
            samples = {} if family is None else family.samples
            return {tuple(sorted(dict(labels).values())) for (_, labels), value in samples.items() if value}

        server = f"127.0.0.1:{nobody.getsockname()[1]}"
        eventually(lambda: states() == {("down", "open"), (server, "closed", "down")}, "both are shown")


def test_when_a_listeners_certificate_expires(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("api.example", "www.example", not_after=datetime(2040, 1, 1, tzinfo=UTC))
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "api.pem"))
    write(tmp_path, workers=2)
    source = (tmp_path / "policy.pol").read_text()
    (tmp_path / "policy.pol").write_text(source.replace('127.0.0.1:0"', '127.0.0.1:0", cert: "api.pem"'))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as running:
        made = Gateway(running, tmp_path)
        eventually(lambda: "polgate_certificate_expiry_timestamp_seconds" in made.metrics(), "it is there")
        family = made.metrics()["polgate_certificate_expiry_timestamp_seconds"]
        assert family.value(certificate="api.example") == datetime(2040, 1, 1, tzinfo=UTC).timestamp()
        running.send(signal.SIGTERM)
        running.await_line("draining")
        assert running.end() == 0


def test_the_commands(tmp_path: Path) -> None:
    with gateway(tmp_path, workers=2) as made:
        status = made.command("status")
        assert status.returncode == 0 and "2 of 2 workers ready" in status.stdout, status
        (tmp_path / "policy.pol").write_text("service x {")
        refused = made.command("reload")
        assert refused.returncode == 1 and refused.stdout == "" and "--> policy.pol:1:" in refused.stderr
        shown = json.loads(made.command("status", "--format", "json").stdout)
        assert shown["last_reload"]["ok"] is False and "policy.pol:1:" in shown["last_reload"]["text"]
        assert ask(made.port, "/hello/ann") == (200, b"one")
        assert made.metrics()["polgate_reload_last_success"].value() == 0
        drain = made.command("drain")
        assert drain.returncode == 0
        status_code, body = made.admin("/readyz")
        assert (status_code, json.loads(body)["why"]) == (503, "draining")
        assert made.admin("/livez")[0] == 200
        made.running.send(signal.SIGTERM)
        assert made.running.wait() == 0
        try:
            made.admin("/livez")
        except NoAnswer:
            pass
        else:
            raise AssertionError("the admin listener outlives its gateway")
        assert made.command("status").returncode == 2


def test_over_tcp_the_policys_token_is_what_a_change_needs(tmp_path: Path) -> None:
    write(tmp_path)
    source = (tmp_path / "policy.pol").read_text()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    setting = f'admin "127.0.0.1:{port}", token: secret("ADMIN_TOKEN")\n    workers'
    (tmp_path / "policy.pol").write_text(source.replace("workers", setting))
    (tmp_path / "token").write_text("sixteen-letters-and-more\n")
    environ = {"ADMIN_TOKEN": "sixteen-letters-and-more"}
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path, environ) as running:
        made = Gateway(running, tmp_path)
        where = ["--admin", f"http://127.0.0.1:{port}"]
        assert made.command("status", *where).returncode == 0
        refused = made.command("reload", *where)
        assert refused.returncode == 1 and "needs" in refused.stderr
        assert made.command("reload", *where, "--token-file", "token").returncode == 0
        status, body = ask(port, "/readyz", Host="evil.example")
        assert status == 421 and b"sixteen" not in body
        assert not (tmp_path / ".polgate" / "admin.sock").exists()
        assert b"sixteen-letters" not in ask(port, "/status")[1]
        running.send(signal.SIGTERM)
        running.await_line("draining")
        assert running.end() == 0
    assert not any("sixteen-letters" in line for line in running.lines)


def test_a_full_disk_costs_lines_that_are_counted_and_no_answer(tmp_path: Path) -> None:
    with gateway(tmp_path, access="/dev/full") as made:
        for _ in range(50):
            assert ask(made.port, "/hello/ann") == (200, b"one")

        def lost() -> float:
            return made.metrics()["polgate_log_lines_lost_total"].total(log="access")

        eventually(lambda: lost() == 50, "the lines that were lost are counted")
        write(tmp_path, access=str(tmp_path / "access.log"))
        assert made.command("reload").returncode == 0
        assert ask(made.port, "/hello/ann") == (200, b"one")
        eventually(lambda: (tmp_path / "access.log").read_bytes().count(b"\n") == 1, "there is a log again")
        assert lost() == 50


def test_a_log_that_grows_too_large_for_its_file_system_loses_lines_and_says_so(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands for a disk that is full after a while; the log's next file has room again."""
    write(tmp_path, access=str(tmp_path / "access.log"))
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "import runtime.observe.sink as sink, os; "
        "from runtime.main import main; main(['run', 'policy.pol'])"
    )
    with daemon(["-c", limited], tmp_path) as running:
        made = Gateway(running, tmp_path)
        (worker,) = made.workers().values()
        resource_limit(worker, 6_000)
        for _ in range(60):
            assert ask(made.port, "/hello/ann") == (200, b"one")
        eventually(lambda: made.metrics()["polgate_log_lines_lost_total"].total(log="access") > 0, "lines are lost")
        (tmp_path / "access.log").rename(tmp_path / "access.log.1")
        running.send(signal.SIGUSR1)
        eventually((tmp_path / "access.log").exists, "the file is opened anew")
        ask(made.port, "/hello/ann")
        told_of = (b"lost_lines", b'"status"')
        eventually(lambda: all(one in (tmp_path / "access.log").read_bytes() for one in told_of), "the loss is told")
        lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines() if line]
        kept = (tmp_path / "access.log.1").read_bytes().count(b"\n")
        told = sum(line.get("lost_lines", 0) for line in lines)
        assert kept + told + sum("status" in line for line in lines) == 61
        running.send(signal.SIGTERM)
        running.await_line("draining")
        assert running.end() == 0


def resource_limit(pid: int, size: int) -> None:
    import resource

    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_the_error_log_is_a_file_that_is_opened_anew(tmp_path: Path) -> None:
    place = tmp_path / "error.log"
    with gateway(tmp_path, errors=str(place)) as made:
        (worker,) = made.workers().values()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: "was killed by SIGKILL" in place.read_text(), "the supervisor writes there")
        assert not any("SIGKILL" in line for line in made.running.lines)
        place.rename(tmp_path / "error.log.1")
        made.running.send(signal.SIGUSR1)
        eventually(place.exists, "it is opened anew")
        write(tmp_path, errors=str(tmp_path / "none" / "error.log"))
        refused = made.command("reload")
        assert refused.returncode == 1 and "cannot open" in refused.stderr
        assert "cannot open" in place.read_text()
        write(tmp_path)
        assert made.command("reload").returncode == 0
        made.running.await_line("the policy was reloaded")


def test_without_an_admin_listener_nothing_is_counted(tmp_path: Path) -> None:
    with gateway(tmp_path) as made:
        made.ask(3)
        eventually(lambda: made.answered() == 3, "it counts")
        source = (tmp_path / "policy.pol").read_text()
        (tmp_path / "policy.pol").write_text(source.replace("workers", 'admin "off"\n    workers'))
        made.running.send(signal.SIGHUP)
        made.running.await_line("the policy was reloaded")
        eventually(lambda: not (tmp_path / ".polgate" / "admin.sock").exists(), "nobody can ask")
        made.ask(3)
        (tmp_path / "policy.pol").write_text(source)
        before = len(made.running.lines)
        made.running.send(signal.SIGHUP)
        made.running.await_line("the policy was reloaded", after=before)
        made.ask(2)
        eventually(lambda: made.answered() == 5, "what was counted before stays")
