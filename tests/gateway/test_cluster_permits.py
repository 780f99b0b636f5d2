"""`concurrency_limit` over two gateways of two workers each: one at a time at the bank, whatever happens to members."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from bank import Bank, begin
from daemons import Daemon, ask, daemon, eventually
from members import Members

SOAK = bool(os.environ.get("POLGATE_SOAK"))
CLOSED = 40.0
"""Seconds within which an empty cluster takes requests: 12, and what a busy machine adds."""

POLICY = """
gateway {{
    listen "127.0.0.1:0"
    access_log "off"
    workers 2
    store hazelcast, path: "{folder}/store", cluster: "{cluster}", members: [{members}]
}}

upstream bank {{
    server "http://127.0.0.1:{bank}"
}}

service accounts "/accounts/{{id}}" {{
    concurrency_limit 1, per: path.id, name: "account", when_down: reject
    route bank
}}

service wide "/wide" {{
    concurrency_limit 8
    respond 200
}}

service node "/node" {{
    concurrency_limit 1, scope: node
    respond 200
}}

service patient "/patient/{{id}}" {{
    concurrency_limit 1, per: path.id, name: "account", over: wait, wait: 20s
    route bank, path: "/accounts/${{path.id}}"
}}
"""


@contextlib.contextmanager
def gateways(folder: Path, members: Members) -> Iterator[tuple[list[Daemon], Bank]]:
    """Two that have found out who lives, and the bank behind them, in which nobody waits."""
    bank = Bank()
    bank.go_on.set()
    with contextlib.ExitStack() as stack:
        stack.callback(bank.end)
        started = []
        for number in range(2):
            place = folder / f"gateway-{number}"
            place.mkdir()
            shown = ", ".join(f'"{address}"' for address in members.addresses)
            (place / "policy.pol").write_text(
                POLICY.format(folder=place, cluster=members.name, members=shown, bank=bank.server_port)
            )
            one = stack.enter_context(daemon(["-m", "runtime.main", "run", "policy.pol"], place))
            assert ask(one.ready(), "/node")[0] == 200, "its own machine is enough for that"
            started.append(one)
        for one in started:
            serves(one)
        yield started, bank


def serves(one: Daemon, account: str = "warm") -> None:
    """All its workers do: each request may come to another one."""
    port = one.ports()[0]
    eventually(
        lambda: all(ask(port, f"/accounts/{account}-{number}")[0] == 200 for number in range(12)),
        "nobody knows who lives", CLOSED,
    )  # fmt: skip


def test_one_at_a_time_over_two_gateways(one_member: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, one_member) as (started, bank):
        ports = [one.ports()[0] for one in started]
        with ThreadPoolExecutor(16) as pool:
            asked = [pool.submit(ask, ports[number % 2], f"/patient/{number % 3}") for number in range(120)]
            assert Counter(one.result()[0] for one in asked) == {200: 120}
        assert max(bank.most.values()) == 1
        bank.go_on.clear()
        begin(ports[0], "/accounts/7", bank).close()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            assert ask(ports[1], "/accounts/7")[0] == 429
        if SOAK:
            killed_and_back(started, bank)
        bank.go_on.set()
        eventually(lambda: ask(ports[1], "/accounts/7")[0] == 200, "the permit does not come back")
        assert max(bank.most.values()) == 1


def killed_and_back(started: list[Daemon], bank: Bank) -> None:
    """The gateway whose client has left is killed with all its workers, and the account is free again in time."""
    first, second = started
    port = second.ports()[0]
    for pid in first.children():
        os.kill(pid, signal.SIGKILL)
    first.send(signal.SIGKILL)
    killed = time.monotonic()
    bank.go_on.set()
    assert ask(port, "/accounts/7")[0] == 429
    eventually(lambda: ask(port, "/accounts/7")[0] == 200, "the permit does not come back")
    assert 10 < time.monotonic() - killed < 16


@pytest.mark.skipif(not SOAK, reason="takes a minute: POLGATE_SOAK=1")
def test_all_members_are_started_anew_while_permits_are_held(one_member: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, one_member) as (started, bank):
        ports = [one.ports()[0] for one in started]
        bank.go_on.clear()
        held = begin(ports[0], "/accounts/8", bank)
        one_member[0].kill()
        assert ask(ports[1], "/accounts/8")[0] == 503
        assert ask(ports[1], "/wide")[0] == 200, "a worker's share of 8 is 2"
        one_member.heal()
        seen: Counter[int] = Counter()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for port in ports:
                seen[ask(port, "/accounts/8")[0]] += 1
            time.sleep(0.02)
        assert set(seen) == {429, 503}, seen
        bank.go_on.set()
        assert held.getresponse().read() == b"done"
        for one in started:
            serves(one, "again")
        eventually(lambda: ask(ports[1], "/accounts/8")[0] == 200, "the permit does not come back")
        assert bank.most["8"] == 1


@pytest.mark.skipif(not SOAK, reason="takes a minute: POLGATE_SOAK=1")
def test_a_member_is_killed_while_permits_are_held(three_members: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, three_members) as (started, bank):
        ports = [one.ports()[0] for one in started]
        with ThreadPoolExecutor(16) as pool:
            for number in range(3):
                asked = [pool.submit(ask, ports[one % 2], f"/patient/{number}-{one % 3}") for one in range(60)]
                three_members[number].kill()
                said = Counter(one.result()[0] for one in asked)
                assert set(said) <= {200, 503}, said
                three_members.heal()
        for one in started:
            serves(one, "again")
        assert max(bank.most.values()) == 1


@pytest.mark.skipif(not SOAK, reason="takes a minute: POLGATE_SOAK=1")
def test_who_does_not_reach_the_store_for_10_s_cuts_what_holds_a_permit(one_member: Members, tmp_path: Path) -> None:
    with gateways(tmp_path, one_member) as (started, bank):
        bank.go_on.clear()
        held = begin(started[0].ports()[0], "/accounts/9", bank)
        one_member[0].kill()
        killed = time.monotonic()
        with pytest.raises(http.client.RemoteDisconnected):
            held.getresponse()
        assert 8 < time.monotonic() - killed < 13
        started[0].await_line("an exchange is cut with a permit that others may have now")
