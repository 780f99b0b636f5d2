"""Blackouts that others have begun, and `rate_limit` while the store is away."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from crowd import Crowd

from assertions.traffic import blackouts
from policylang.sdk import Changed, Space, Unavailable
from policylang.sdk.bench import BenchEnvironment, MemoryEntries, MemoryStore, VirtualClock, run

S = 1_000_000_000


class Far:
    """Entries that are a round trip away. `reads`: how often they were asked."""

    def __init__(self, near: MemoryEntries) -> None:
        self.near = near
        self.reads = 0

    async def read(self, space: Space, key: bytes) -> bytes | None:
        self.reads += 1
        found: Any = self.near.read(space, key)
        return None if found is None else bytes(found)

    async def update(self, space: Space, key: bytes, change: Any, guess: Any = None) -> Any:
        return self.near.update(space, key, change, guess)

    def scan(self, *_: Any) -> Coroutine[Any, Any, list[tuple[bytes, bytes]]]:
        raise Unavailable("store")


def gateways(body: str, far: bool) -> tuple[Crowd, Crowd, Any]:
    """Two that share clock and entries, and count apart."""
    clock = VirtualClock()
    near = MemoryEntries(clock, MemoryStore())
    entries: Any = Far(near) if far else near
    found = []
    for _ in range(2):
        environment = BenchEnvironment(clock=clock)
        environment.entries = entries
        found.append(Crowd(body, environment))
    return found[0], found[1], entries


BODY = 'rate_limit 2/s, per: request.query.key ?? "", blackout: 30s\nrespond 204'


def test_who_shares_the_store_refuses_at_once() -> None:
    one, other, _ = gateways(BODY, far=False)
    assert other.come().status == 204
    assert [one.come().status for _ in range(3)] == [204, 204, 429]
    refused = other.come()
    assert refused.status == 429 and refused.retry_after == 30
    assert other.come("/x?key=b").status == 204, "another key"
    one.clock.advance(29.5)
    assert other.come().status == one.come().status == 429
    one.clock.advance(0.6)
    assert other.come().status == one.come().status == 204, "what was refused has not lengthened it"


def test_another_gateway_refuses_within_a_second_and_asks_once_a_second() -> None:
    one, other, far = gateways(BODY, far=True)
    assert other.come().status == 204
    assert [one.come().status for _ in range(3)] == [204, 204, 429]
    asked = far.reads
    one.clock.advance(0.5)
    assert other.come().status == 204, "taken for free since it was asked for half a second ago"
    assert far.reads == asked
    one.clock.advance(0.5)
    refused = other.come()
    assert refused.status == 429 and refused.retry_after == 29
    asked = far.reads
    for _ in range(50):
        assert one.come().status == other.come().status == 429
    assert far.reads == asked, "what is known to be refused costs the store nothing"


def test_of_two_excesses_the_later_end_holds() -> None:
    short, long = BODY.replace("30s", "5s, name: \"n\""), BODY.replace("30s", "60s, name: \"n\"")
    clock = VirtualClock()
    entries = MemoryEntries(clock, MemoryStore())
    crowds = []
    for body in (long, short, BODY.replace("30s", "5s, name: \"n\"")):
        environment = BenchEnvironment(clock=clock)
        environment.entries = entries
        crowds.append(Crowd(body, environment))
    for crowd in crowds[:2]:
        crowd.environment.entries = MemoryEntries(clock, MemoryStore())  # neither knows of the other's
        for _ in range(3):
            last = crowd.come()
        assert last.status == 429
    (space,) = crowds[0].environment.entries._spaces
    for crowd in crowds[:2]:
        ((key, (value, _)),) = crowd.environment.entries._spaces[space].items()

        def change(before: bytes | None, value: bytes = value) -> Changed:
            return Changed(None, max(before or b"", value))

        entries.update(space, key, change)
    assert crowds[2].come().retry_after == 60


def test_what_a_statement_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blackouts, "MOST_KNOWN", 10)
    one, other, _ = gateways(BODY, far=False)
    for key in range(30):
        assert [one.come(f"/x?key={key}").status for _ in range(3)] == [204, 204, 429]
    # What is forgotten is asked for.
    assert {one.come(f"/x?key={key}").status for key in range(30)} == {429}
    assert {other.come(f"/x?key={key}").status for key in range(30)} == {429}
    known, exchange = blackouts.Blackouts(), one.come().exchange
    for number in range(30):
        run(known.begin(one.environment.entries, exchange, b"key %d" % number, 5.0))
    assert len(known._known) == 10


@pytest.mark.parametrize(("down", "statuses"), [
    ("local", [204, 503, 503]), ("reject", [503, 503, 503]), ("allow", [204, 204, 204]),
])  # fmt: skip
def test_while_the_store_is_away(down: str, statuses: list[int]) -> None:
    for more in ("", ", blackout: 30s", ", by: 1", ", scope: node"):
        store = MemoryStore()
        crowd = Crowd(f"rate_limit 2/s, when_down: {down}{more}\nrespond 204", BenchEnvironment(store=store))
        store.down = True
        assert [crowd.come().status for _ in range(3)] == statuses, more
        texts = [text for _, text in crowd.environment.logs]
        assert len(texts) == (0 if down == "reject" else 1), "once a second"
        for one in crowd.ended:
            assert one.status == 204 or one.retry_after >= 1
        crowd.clock.advance(1)
        crowd.come()
        assert len(crowd.environment.logs) == 2 * len(texts)
        store.down = False
        assert crowd.come().status == 204


@pytest.mark.parametrize("down", ["local", "reject"])
@pytest.mark.parametrize("around", [
    "any {{\n{}\nignore\n}}", "{} else ignore", "none {{\n{}\n}}", "try {{\n{}\n}} catch e {{\nignore\n}}",
])  # fmt: skip
def test_a_store_that_is_away_opens_no_gate(around: str, down: str) -> None:
    """A share below one lets nothing pass, and nobody takes that for the limit's own word, but who catches all."""
    store = MemoryStore()
    statement = around.format(f"rate_limit 1/s, when_down: {down}")
    crowd = Crowd(f"{statement}\nrespond 204", BenchEnvironment(store=store))
    store.down = True
    assert crowd.come().status == (204 if "catch" in around else 503)


def test_log_only_lets_pass_whatever_is_away() -> None:
    store = MemoryStore()
    crowd = Crowd("rate_limit 1/s, when_down: reject, log_only: true\nrespond 204", BenchEnvironment(store=store))
    store.down = True
    assert [crowd.come().status for _ in range(3)] == [204] * 3
    assert len(crowd.environment.logs) == 1


def test_outputs_are_there_whatever_is_away() -> None:
    store = MemoryStore()
    body = 'rate_limit 8/s, when_down: {} -> limit, left, reset\nrespond 200, body: "${{left}} of ${{limit}}"'
    local, allow = (Crowd(body.format(down), BenchEnvironment(store=store)) for down in ("local", "allow"))
    store.down = True
    assert [crowd.come().answer.body for crowd in (local, allow)] == [b"3 of 8", b"0 of 8"]  # type: ignore[union-attr]


def test_what_is_left_is_not_told_by_a_store_that_is_away() -> None:
    store = MemoryStore()
    body = "rate_limit 9/s, when_down: allow\nrate_limit_status 8/s -> limit, left\nrespond 204"
    crowd = Crowd(body, BenchEnvironment(store=store))
    store.down = True
    assert crowd.come().status == 503
