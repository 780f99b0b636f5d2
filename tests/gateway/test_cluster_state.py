"""State in policies on two gateways and their cluster: exact among all workers, also when members die."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon, ask, daemon, eventually
from members import Members
from state_rounds import SERVICES, check_all

SOAK = bool(os.environ.get("POLGATE_SOAK"))
GATEWAY = """
gateway {{
    listen "127.0.0.1:0"
    workers 2
    access_log "off"
    store hazelcast, path: "{folder}/store", cluster: "{cluster}", members: [{members}], deadline: 2s
}}
"""


@contextlib.contextmanager
def gateways(folder: Path, members: Members) -> Iterator[list[tuple[Daemon, int]]]:
    with contextlib.ExitStack() as stack:
        found: list[tuple[Daemon, int]] = []
        for number in range(2):
            place = folder / f"gateway-{number}"
            place.mkdir()
            shown = ", ".join(f'"{address}"' for address in members.addresses)
            (place / "policy.pol").write_text(
                GATEWAY.format(folder=place, cluster=members.name, members=shown) + SERVICES
            )
            one = stack.enter_context(daemon(["-m", "runtime.main", "run", "policy.pol"], place))
            found.append((one, one.ready()))
        for _, port in found:
            works(port)
        yield found


def works(port: int) -> None:
    """Until all of its workers let ids pass."""
    fresh = (f"/once/{secrets.token_hex(6)}" for _ in itertools.count())
    eventually(lambda: all(ask(port, next(fresh))[0] == 204 for _ in range(12)), "nothing passes", within=60.0)


def test_gateways_agree_and_lose_nothing_with_a_member(three_members: Members, tmp_path: Path) -> None:
    key = secrets.token_hex(6)
    with gateways(tmp_path, three_members) as running:
        ports = [port for _, port in running]
        check_all(ports, f"{key}-a", 6)
        assert ask(ports[0], f"/put/{key}")[0] == ask(ports[0], f"/once/{key}")[0] == 204
        three_members[1].kill()
        eventually(lambda: ask(ports[1], f"/get/{key}")[0] == 200, "a session is gone", within=60.0)
        works(ports[1])
        assert ask(ports[1], f"/once/{key}")[0] == 403
        check_all(ports, f"{key}-b", 3)


@pytest.mark.skipif(not SOAK, reason="half a minute: POLGATE_SOAK=1 runs it")
def test_ids_are_known_after_a_restart_of_all_members(three_members: Members, tmp_path: Path) -> None:
    key = secrets.token_hex(6)
    with gateways(tmp_path, three_members) as running:
        (first, one), (_, other) = running
        ids = [f"/once/{key}-{number}" for number in range(300)]
        assert {ask(one, path)[0] for path in ids} == {204}
        for member in three_members.members:
            member.kill()
        assert ask(other, f"/once/{key}-new")[0] == 503, "nothing passes while nobody can know"
        three_members.start()
        works(other)
        assert {ask(other, path)[0] for path in ids} == {403}
        # the machine knows what it has let pass by itself as well
        assert {ask(one, path)[0] for path in ids[:20]} == {403}
        assert first.end() == 0
