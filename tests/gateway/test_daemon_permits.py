"""`concurrency_limit` in whole gateways: never two at once at the bank, whoever is killed, leaves or is slow."""

from __future__ import annotations

import os
import re
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
from daemons import Daemon, alive, ask, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0"
    access_log "off"
    workers 2
}

upstream bank {
    server "http://127.0.0.1:PORT"
}

service accounts "/accounts/{id}" {
    concurrency_limit 1, per: path.id, name: "account"
    route bank
}

service patient "/patient/{id}" {
    concurrency_limit 1, per: path.id, name: "account", over: wait, wait: 20s
    route bank, path: "/accounts/${path.id}"
}

service short "/short/{id}" {
    concurrency_limit 1, per: path.id, name: "account"
    route bank, path: "/accounts/${path.id}", timeout: 300ms
}
"""


@pytest.fixture(scope="module")
def one_bank() -> Iterator[Bank]:
    made = Bank()
    yield made
    made.end()


@pytest.fixture
def bank(one_bank: Bank) -> Iterator[Bank]:
    """Everybody waits in it at first; in the end nobody is in it any more."""
    one_bank.go_on.clear()
    one_bank.parts = False
    one_bank.most.clear()
    yield one_bank
    one_bank.go_on.set()
    eventually(lambda: not any(one_bank.inside.values()), "somebody is still at the bank")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, one_bank: Bank) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("permits")
    (folder / "policy.pol").write_text(POLICY.replace("PORT", str(one_bank.server_port)))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as started:
        started.ready()
        yield started


def test_however_many_ask_there_is_one_at_a_time(gateway: Daemon, bank: Bank) -> None:
    port = gateway.ports()[0]
    bank.go_on.set()
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, port, f"/patient/{number % 2}") for number in range(100)]
        assert Counter(one.result()[0] for one in asked) == {200: 100}
        refused = [pool.submit(ask, port, "/accounts/3") for _ in range(100)]
        said = Counter(one.result()[0] for one in refused)
    assert said[200] >= 1 and set(said) <= {200, 429}
    assert bank.most == {"0": 1, "1": 1, "3": 1}


def test_a_client_that_asks_again_is_not_refused_by_its_own_request(gateway: Daemon, bank: Bank) -> None:
    bank.go_on.set()
    port = gateway.ports()[0]
    assert Counter(ask(port, "/accounts/7")[0] for _ in range(50)) == {200: 50}


def test_a_client_that_leaves_gives_nobody_a_second_transaction(gateway: Daemon, bank: Bank) -> None:
    port = gateway.ports()[0]
    begin(port, "/accounts/7", bank).close()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert ask(port, "/accounts/7")[0] == 429
    assert ask(port, "/short/8")[0] == 504, "another account has nothing to do with it"
    bank.go_on.set()
    eventually(lambda: ask(port, "/accounts/7")[0] == 200, "the permit does not come back")
    assert bank.most["7"] == 1


def test_nor_does_one_that_leaves_in_the_middle_of_the_answer(gateway: Daemon, bank: Bank) -> None:
    bank.parts = True
    port = gateway.ports()[0]
    connection = begin(port, "/accounts/7", bank)
    answer = connection.getresponse()
    assert answer.read(3) == b"don"
    answer.close()
    connection.close()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert ask(port, "/accounts/7")[0] == 429
    bank.go_on.set()
    eventually(lambda: ask(port, "/accounts/7")[0] == 200, "the permit does not come back")
    assert bank.most["7"] == 1


def test_a_permit_comes_back_when_the_upstream_s_time_is_up(gateway: Daemon, bank: Bank) -> None:
    port = gateway.ports()[0]
    began = time.monotonic()
    assert ask(port, "/short/7")[0] == 504
    assert ask(port, "/short/7")[0] == 504, "the first one's time was up, so it holds nothing"
    assert time.monotonic() - began < 5


def test_a_reload_keeps_permits(gateway: Daemon, bank: Bank) -> None:
    port = gateway.ports()[0]
    connection = begin(port, "/accounts/7", bank)
    after = len(gateway.lines)
    gateway.send(signal.SIGHUP)
    gateway.await_line("the policy", after)
    assert Counter(ask(port, "/accounts/7")[0] for _ in range(10)) == {429: 10}
    bank.go_on.set()
    assert connection.getresponse().read() == b"done"
    eventually(lambda: ask(port, "/accounts/7")[0] == 200, "the permit does not come back")


def test_a_killed_worker_s_permit_comes_back_within_15_s(gateway: Daemon, bank: Bank) -> None:
    port = gateway.ports()[0]
    begin(port, "/accounts/7", bank)
    workers = gateway.children()
    holder = owner(bank.arrived[-1][1], workers)
    os.kill(holder, signal.SIGKILL)
    killed = time.monotonic()
    eventually(lambda: not alive(holder), "it lives")
    bank.go_on.set()
    assert answered(port) == 429, "the bank may still work on it"
    eventually(lambda: answered(port) == 200, "the permit does not come back")
    assert 10 < time.monotonic() - killed < 16
    assert bank.most["7"] == 1


def answered(port: int) -> int:
    """0 while the listener of the worker that was killed still takes connections that nobody serves."""
    try:
        return ask(port, "/accounts/7")[0]
    except OSError:
        return 0


def owner(port: int, pids: list[int]) -> int:
    """Of these processes the one that has a connection from that port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[9] != "0"]
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            if re.fullmatch(rf"socket:\[{inode}\]", os.readlink(fd)):
                return pid
    raise AssertionError("nobody has it")
