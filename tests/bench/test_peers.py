"""The peers' configurations do what they are measured for: each lets its clients pass, and counts each apart."""

import http.client
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import gateways
import peers
import provision
from processes import Child, free_port

PEERS = ("nginx", "haproxy", "envoy")


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_limits_each_client_apart(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = provision.absent(*PEERS)
    for needed in ("nginx", name):  # nginx is the upstream of all
        if needed in absent:
            pytest.skip(absent[needed])
    monkeypatch.setattr(peers, "LIMIT", 8)
    core = min(os.sched_getaffinity(0))
    behind, port = free_port(), free_port()
    for folder in ("upstream", name):
        (tmp_path / folder).mkdir(exist_ok=True)
    commands = [
        ("upstream", peers.upstream(tmp_path / "upstream", behind), behind),
        ("gateway", peers.GATEWAYS[name].command("b", tmp_path / name, port, behind), port),
    ]
    children: list[Child] = []
    try:
        for slot, command, at in commands:
            children.append(Child(slot, command, core, tmp_path))
            children[-1].await_port(at)
        gateways.sane("b", port)
        for key in list(peers.CLIENTS)[3:6]:  # one of each tier, none that `sane` has used
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            statuses = []
            for _ in range(60):
                connection.request("GET", peers.PATH, headers={"X-API-Key": key})
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
            connection.close()
            assert set(statuses) == {200, 429}
            assert statuses[:8] == [200] * 8
    finally:
        while children:
            children.pop().stop()
