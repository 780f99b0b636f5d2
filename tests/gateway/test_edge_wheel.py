"""The wheel of deadlines against the obvious one; ids, fields and dates that are put together once."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk import Duration, Size
from runtime.edge.answer import Dates
from runtime.edge.environment import SystemClock
from runtime.edge.forwarding import RequestIds, inspect, opening
from runtime.edge.settings import EdgeSettings, edge_settings
from runtime.edge.wheel import NEVER, Wheel, ticks
from runtime.wire.limits import WireError

sys.path.insert(0, str(Path(__file__).parent))
from edges import ManualClock


class Timed:
    def __init__(self, wheel: Wheel) -> None:
        self.due = self.seen = NEVER
        self.wheel = wheel
        self.expired_at: list[int] = []

    def expired(self) -> None:
        self.expired_at.append(self.wheel.now)

    def move(self, due: int) -> None:
        self.due = due
        if self.due < self.seen:
            self.wheel.hasten(self)


MOVES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["move", "move", "move", "forget", "turn"]), st.integers(1, 2500)),
    max_size=60,
)


@given(MOVES)
def test_everything_expires_at_its_tick_and_once(moves: list[tuple[int, str, int]]) -> None:
    clock = ManualClock()
    wheel = Wheel(clock)
    timed = [Timed(wheel) for _ in range(4)]
    wanted: dict[int, int] = {}
    happened: dict[int, list[int]] = {number: [] for number in range(4)}
    for who, what, count in [*moves, (0, "turn", 5000)]:
        if what == "move":
            wanted[who] = wheel.now + count
            timed[who].move(wanted[who])
        elif what == "forget":
            wanted.pop(who, None)
            wheel.forget(timed[who])
        else:
            clock.ns += count * 100_000_000
            for number, due in list(wanted.items()):
                if due <= clock.ns // 100_000_000:
                    happened[number].append(wanted.pop(number))
            wheel.turn()
    assert [each.expired_at for each in timed] == list(happened.values())
    assert not wheel._slots


def test_what_expires_may_move_and_forget_others() -> None:
    clock = ManualClock()
    wheel = Wheel(clock)
    first, second = Timed(wheel), Timed(wheel)

    def expired() -> None:
        first.expired_at.append(wheel.now)
        second.due = NEVER
        wheel.forget(second)
        if len(first.expired_at) < 3:
            first.move(wheel.now + 10)

    first.expired = expired  # type: ignore[method-assign]
    first.move(wheel.now + 5)
    second.move(wheel.now + 5)
    for _ in range(10):
        clock.ns += 500_000_000
        wheel.turn()
    begin = first.expired_at[0]
    assert first.expired_at == [begin, begin + 10, begin + 20]
    # whoever of the two comes first in the tick, the second is gone afterwards
    assert len(second.expired_at) <= 1 and not wheel._slots


def test_a_span_is_never_shorter_than_asked() -> None:
    assert [ticks(seconds) for seconds in (0.05, 0.1, 0.11, 1.0, 60)] == [2, 2, 3, 11, 601]


def test_the_loop_turns_it() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        wheel = Wheel(SystemClock(loop))
        timed = Timed(wheel)
        timed.move(wheel.now + 2)
        wheel.start(loop)
        while not timed.expired_at:
            await asyncio.sleep(0.01)
        wheel.stop()

    asyncio.run(asyncio.wait_for(test(), 10))


def test_sleeping() -> None:
    async def test() -> None:
        clock = SystemClock(asyncio.get_running_loop())
        woken = asyncio.Event()
        waiter = clock.sleep(0.01)
        waiter.callback = woken.set
        await woken.wait()

    asyncio.run(asyncio.wait_for(test(), 10))


# --- forwarding ---


def lines(made: bytes) -> list[str]:
    return made.decode().split("\r\n")


def test_what_an_upstream_is_told() -> None:
    assert lines(opening("10.0.0.1", "api.example", "http", "1.1")) == [
        " HTTP/1.1", "Host: api.example", "Via: 1.1 polgate", "Forwarded: for=10.0.0.1;host=api.example;proto=http",
        "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: api.example", "X-Request-ID: ",
    ]  # fmt: skip
    made = lines(opening("::1", "[::1]:80", "https", "1.0", b"1.1 front"))
    assert 'Forwarded: for="[::1]";host="[::1]:80";proto=https' in made
    assert "X-Forwarded-For: ::1" in made and "Via: 1.1 front, 1.0 polgate" in made
    assert "Forwarded: for=::1" not in made
    assert "Host: " in lines(opening("::1", "", "http", "1.0"))


def fields(**given: str) -> list[tuple[bytes, bytes, bytes]]:
    return [
        (name.replace("_", "-").lower().encode(), name.replace("_", "-").encode(), value.encode())
        for name, value in given.items()
    ]


def test_claims_are_removed_and_ids_kept_when_sane() -> None:
    seen = inspect(fields(Forwarded="for=x", X_Forwarded_For="x", Accept="a", X_Request_ID="a-1", Via="1.0 x"))
    assert [name for name, _, _ in seen.headers] == [b"accept", b"x-request-id", b"via"]
    assert (seen.id, seen.via, seen.claims) == ("a-1", b"1.0 x", None)
    for bad in ("", "a b", "x" * 129, "a\u00e9", "a;b"):
        seen = inspect(fields(X_Request_ID=bad))
        assert (seen.headers, seen.id) == ([], "")
    seen = inspect(fields(X_Request_ID="a") * 2)
    assert (seen.headers, seen.id) == ([], "")
    with pytest.raises(WireError, match="508"):
        inspect(fields(Via="1.1 polgate") * 10)


def test_ids_do_not_repeat() -> None:
    ids = RequestIds()
    made = [ids.new() for _ in range(20_000)]
    assert len(set(made)) == len(made)
    assert {len(id) for id in made} == {24}
    assert len({id[:20] for id in made}) == 5
    assert RequestIds().new()[:20] not in {id[:20] for id in made}


def test_dates_are_made_once_a_second() -> None:
    wall = 784111777.5
    dates = Dates(lambda: wall)
    assert dates.line() == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    assert dates.line() is dates.line()
    wall += 1
    assert dates.line() == b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


class Setting:
    def __init__(self, name: str, **values: object) -> None:
        self.name = name
        self.values = values


def test_settings_of_a_checked_program() -> None:
    settings = edge_settings(
        [
            Setting("name", text="edge"),
            Setting(
                "limits", body=Size(1), header=Size(2), request_line=Size(3), fields=4, chunk_extensions=Size(5),
                pipelined=6, connections=7, body_rate=Size(8), decoded=Size(20), json_depth=21, xml_depth=22,
                xml_text=Size(23),
            ),
            Setting(
                "timeouts", header=Duration(9), idle=Duration(10), request=Duration(11), drain=Duration(12),
                handshake=Duration(13), upgrade_idle=Duration(14), upgrade_life=Duration(15),
            ),
            Setting("workers", count=2),
        ]
    )  # fmt: skip
    assert (settings.name, settings.bodies.body, settings.body_rate, settings.pipelined) == ("edge", 1, 8, 6)
    assert (settings.connections, settings.header, settings.idle, settings.request) == (7, 9, 10, 11)
    assert (settings.handshake, settings.upgrade_idle, settings.upgrade_life) == (13, 14, 15)
    wire = settings.wire
    assert (wire.header_bytes, wire.request_line, wire.fields, wire.chunk_extensions) == (2, 3, 4, 5)
    assert edge_settings([]) == EdgeSettings()
