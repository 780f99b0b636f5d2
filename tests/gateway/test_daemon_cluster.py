"""Two gateways and the members of their cluster: started in any order, killed, and all away."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from daemons import WAIT, Daemon, ask, daemon, eventually
from members import Members

from runtime.admin.address import AdminAddress
from runtime.admin.client import ask as ask_admin

POLICY = """
gateway {
    listen "127.0.0.1:0"
    access_log "off"
    store hazelcast, cluster: "NAME", members: [MEMBERS], deadline: 1s
}

map notes, ttl: 1h

service hello "/hello" {
    respond 200
}

service notes "/notes/{name}" {
    if request.method == "PUT" {
        store path.name, request.text, in: map("notes")
        respond 204
    }
    lookup path.name, in: map("notes") -> note else fail 404, "no such note"
    respond 200, body: note
}
"""


@contextmanager
def gateway(folder: Path, members: Members) -> Iterator[Daemon]:
    folder.mkdir()
    listed = ", ".join(f'"{address}"' for address in members.addresses)
    (folder / "policy.pol").write_text(POLICY.replace("NAME", members.name).replace("MEMBERS", listed))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as running:
        running.ready()
        yield running
        assert running.end() == 0
        assert not [line for line in running.lines if "defect" in line or "Traceback" in line], running.lines


def put(port: int, name: str, text: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("PUT", f"/notes/{name}", text.encode(), {"Content-Type": "text/plain"})
        return connection.getresponse().status
    finally:
        connection.close()


def admin(folder: Path, path: str) -> tuple[int, str]:
    status, _, body = ask_admin(AdminAddress(path=str(folder / ".polgate" / "admin.sock")), "GET", path)
    return status, body.decode()


def connected(text: str) -> list[bool]:
    """What every worker says of the cluster."""
    return [worker["cluster"] for worker in json.loads(text)["workers"]]


@pytest.fixture
def away() -> Iterator[Members]:
    """One member that does not run."""
    with Members(1) as members:
        yield members


def test_gateways_serve_while_the_cluster_is_away_and_share_what_is_in_it(away: Members, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    with ExitStack() as stack:
        running = [stack.enter_context(gateway(folder, away)) for folder in folders]
        ports = [each.ports()[0] for each in running]
        assert ask(ports[0], "/hello")[0] == 200
        status, body = ask(ports[0], "/notes/x")
        assert status == 503 and b"store-away" in body
        for each in running:
            each.await_line("is away: no member answers")
        status, text = admin(folders[0], "/readyz?verbose")
        assert status == 200 and connected(text) == [False], "without its cluster too a gateway is ready"
        assert admin(folders[0], "/livez")[0] == 200

        away.start()
        for folder in folders:
            eventually(lambda folder=folder: all(connected(admin(folder, "/status")[1])), "still away")  # type: ignore[misc]
        assert put(ports[0], "x", "from one") == 204
        assert ask(ports[1], "/notes/x") == (200, b"from one")
        for each in running:
            each.await_line("is there again")

        away[0].kill()
        eventually(lambda: ask(ports[1], "/notes/x")[0] == 503, "it is not missed")
        assert ask(ports[1], "/hello")[0] == 200
        away.heal()
        eventually(lambda: put(ports[1], "y", "again") == 204, "it does not come back")
        eventually(lambda: ask(ports[0], "/notes/y") == (200, b"again"), "the other one does not come back")
        assert ask(ports[0], "/notes/x")[0] == 404, "what was in one member alone is gone with it"
        counted = "polgate_cluster_workers_connected 1\n"
        eventually(lambda: counted in admin(folders[0], "/metrics")[1], "it does not count it")
