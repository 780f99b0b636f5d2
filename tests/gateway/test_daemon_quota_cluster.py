"""Quotas of two gateways with Hazelcast members: exact to the last one, and kept when all members have forgotten."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import Daemon, eventually
from members import Members, NoMembers
from test_daemon_quota import POLICY, command, left_or, polgate, shown, spend

SOAK = os.environ.get("POLGATE_SOAK") == "1"
LIMIT = 10_000 if SOAK else 1000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Members]:
    """Of their own: who has ever been a gateway of a cluster is waited for when it starts anew."""
    try:
        members = Members(3 if SOAK else 1)
    except NoMembers as error:
        pytest.skip(f"NO HAZELCAST MEMBERS, so their tests did not run: {error}")
    with members:
        members.start()
        yield members


@pytest.fixture(scope="module")
def gateways(cluster: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Daemon, Path]]]:
    shown = ", ".join(f'"{address}"' for address in cluster.addresses)
    # A deadline that a busy machine keeps: what is tested is the count.
    store = f'    store hazelcast, cluster: "{cluster.name}", members: [{shown}], deadline: 3s'
    store += f"\n    workers {2 if SOAK else 1}"
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            folder = tmp_path_factory.mktemp("gateway")
            text = POLICY.replace("LIMIT", str(LIMIT)).replace("    workers 2", store)
            (folder / "policy.pol").write_text(text)
            started = stack.enter_context(polgate(folder))
            started.ready()
            found.append((started, folder))
        for started, _ in found:
            eventually(lambda started=started: spend(started.ports()[0], "/calls/nobody", 1)[200], "it does not lease")  # type: ignore[misc]
        yield found


def spend_at_both(gateways: list[tuple[Daemon, Path]], path: str, count: int) -> Counter[int]:
    """Half of the requests at each of them, side by side."""
    statuses: Counter[int] = Counter()
    parts: list[Counter[int]] = []
    threads = [
        threading.Thread(target=lambda port=started.ports()[0]: parts.append(spend(port, path, count // 2)))
        for started, _ in gateways
    ]  # fmt: skip
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for part in parts:
        statuses += part
    return statuses


def test_two_gateways_grant_all_of_it_and_not_one_more(gateways: list[tuple[Daemon, Path]]) -> None:
    statuses = spend_at_both(gateways, "/calls/ann", LIMIT + LIMIT // 5)
    assert statuses[503] == 0, statuses
    assert statuses[200] <= LIMIT
    port = gateways[0][0].ports()[0]
    granted = statuses[200]

    def rest() -> bool:
        """What one holds and does not spend, it gives back, and the other one can have it."""
        nonlocal granted
        granted += spend(port, "/calls/ann", 5)[200]
        return granted >= LIMIT

    eventually(rest, f"{LIMIT - granted} cannot be had")
    assert granted == LIMIT
    assert spend_at_both(gateways, "/calls/ann", 20) == {429: 20}
    print(f"{statuses[200]} of {LIMIT} at once, the rest once it was given back")


@pytest.mark.skipif(not SOAK, reason="it takes three members")
def test_a_member_that_is_killed_under_load_brings_nothing_back_and_takes_nothing_along(
    cluster: Members, gateways: list[tuple[Daemon, Path]]
) -> None:
    port = gateways[0][0].ports()[0]
    found: list[Counter[int]] = []
    load = threading.Thread(target=lambda: found.append(spend_at_both(gateways, "/calls/dan", LIMIT)))
    load.start()
    eventually(lambda: left_or(port, LIMIT, "dan") < LIMIT * 0.8, "the load stands still")
    cluster.members[1].kill()
    load.join()
    cluster.heal()
    granted = found[0][200]
    assert granted <= LIMIT
    print(f"{found[0]} while a member of three was killed")

    def rest() -> bool:
        nonlocal granted
        granted += spend(port, "/calls/dan", 200)[200]
        return granted >= LIMIT

    eventually(rest, f"{LIMIT - granted} cannot be had", within=60)
    assert granted == LIMIT


def test_it_stands_where_it_was_when_all_members_were_restarted(
    cluster: Members, gateways: list[tuple[Daemon, Path]]
) -> None:
    ports = [started.ports()[0] for started, _ in gateways]
    assert spend_at_both(gateways, "/calls/bob", 600) == {200: 600}
    for member in cluster.members:
        member.kill()
    for port in ports:
        assert spend(port, "/calls/zoe", 1)[503] == 1, "a quota that nobody can ask about lets something pass"
    cluster.heal()
    for port in ports:
        eventually(lambda port=port: spend(port, "/calls/zoe", 1)[200] == 1, "nothing is leased any more")  # type: ignore[misc]
    granted = 600 + spend_at_both(gateways, "/calls/bob", LIMIT)[200]
    assert granted <= LIMIT, "a restart has brought units back"

    def rest() -> bool:
        nonlocal granted
        granted += spend(ports[1], "/calls/bob", 5)[200]
        return granted >= LIMIT

    eventually(rest, "what was leased before the restart is lost")
    assert granted == LIMIT


def test_an_operators_word_reaches_both_gateways(gateways: list[tuple[Daemon, Path]]) -> None:
    (one, folder), (two, _) = gateways
    assert spend(two.ports()[0], "/calls/cyd", 50) == {200: 50}
    assert shown(folder, "set", "plan", "cyd", str(LIMIT))["used"] == LIMIT
    eventually(lambda: spend(two.ports()[0], "/calls/cyd", 1)[429] == 1, "the other gateway spends on")
    assert spend(one.ports()[0], "/calls/cyd", 3) == {429: 3}
    assert command(folder, "reset", "plan", "cyd")
    eventually(lambda: left_or(two.ports()[0], 0, "cyd") == LIMIT, "the other gateway has not heard of it")
    eventually(lambda: spend(two.ports()[0], "/calls/cyd", 1)[200] == 1, "the other gateway remembers a refusal")
    assert spend(two.ports()[0], "/calls/cyd", 3) == {200: 3}
