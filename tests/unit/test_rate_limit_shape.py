"""`over: shape`: what is over the limit waits for its turn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from crowd import Crowd, Visitor

from policylang.sdk import Decision
from policylang.sdk.bench import BenchEnvironment, MemoryStore
from policylang.sdk.lines import Lines
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import LEAST_BYTES, FolderClaim
from runtime.stores.machine import MachineStore

S = 1_000_000_000


class Counting(MemoryStore):
    """`calls`: how often it was asked to count, `asked` only to look."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.asked = 0

    async def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        self.calls += count
        self.asked += not count
        return await super().admit(key, limit, window, burst, now, cost, count)


def nobody_waits(crowd: Crowd) -> bool:
    lines = crowd.environment.lines
    return lines.waiting == 0 and not lines.known


@pytest.mark.parametrize("limit", ["3/s", "[3/s, 1000/min]", "3/s, burst: 1s"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["memory", "embedded"])
def test_they_pass_in_the_order_in_which_they_came_as_early_as_the_limit_allows(
    limit: str, seed: int, kind: str, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    store: Any = MemoryStore()
    if kind == "embedded":
        claim = FolderClaim.take(tmp_path / "store", rates_bytes=LEAST_BYTES)
        store = MachineStore(EmbeddedStore.open(claim.folder), pytest.fail)
    crowd = Crowd(f"rate_limit {limit}, over: shape, wait: 60s\nrespond 204", BenchEnvironment(store=store))
    crowd.clock.advance(3600)
    came: list[Visitor] = []
    for _ in range(60):
        came.append(crowd.come())
        crowd.clock.advance(dice.choice([0.0, 0.0, 0.05, 0.3, 1.1]))
    crowd.settle()
    assert crowd.ended == came, "first come, first served"
    assert {one.status for one in came} == {204}
    times = [one.ended or 0 for one in came]
    for early, late in zip(times, times[3:], strict=False):
        assert late - early >= S or "burst" in limit, "never more than the limit in a window"
    for place, one in enumerate(came):
        began = one.exchange.started
        if "burst" not in limit:
            earliest = max(began, times[place - 1] if place else 0, times[place - 3] + S if place >= 3 else 0)
            assert earliest <= times[place] <= earliest + 2_000_000, "not later than it must"
    assert nobody_waits(crowd)
    if kind == "embedded":
        store.close()
        claim.release()


def test_what_would_wait_longer_is_refused_at_once_and_told_when_to_come() -> None:
    crowd = Crowd("rate_limit 2/s, over: shape, wait: 2s\nrespond 204")
    came = [crowd.come() for _ in range(10)]
    assert [one.status for one in crowd.ended] == [204] * 2 + [429] * 4
    assert [one.retry_after for one in crowd.ended[2:]] == [3] * 4
    crowd.settle()
    assert [(one.ended or 0) // S for one in came[:6]] == [0, 0, 1, 1, 2, 2]
    assert {one.status for one in came[:6]} == {204}


def test_the_true_time_behind_a_line_of_several_windows() -> None:
    crowd = Crowd("rate_limit 5/min, over: shape, wait: 60s\nrespond 204")
    came = [crowd.come() for _ in range(10)]
    crowd.clock.advance(30)
    refused = crowd.come()
    assert refused.status == 429 and refused.retry_after == 90
    crowd.settle()
    assert [(one.ended or 0) // S for one in came] == [0] * 5 + [60] * 5


def test_a_line_is_as_long_as_the_policy_says() -> None:
    crowd = Crowd("rate_limit 1/s, over: shape, queue: 3, wait: 60s\nrespond 204")
    came = [crowd.come() for _ in range(6)]
    assert [one.status for one in crowd.ended] == [204, 429, 429]
    assert crowd.ended[1:] == came[4:] and came[4].retry_after == 4
    crowd.settle()
    assert [one.status for one in came[:4]] == [204] * 4


def test_all_lines_together_are_bounded() -> None:
    environment = BenchEnvironment()
    environment.lines = Lines(most=4)
    crowd = Crowd('rate_limit 1/s, per: request.query.key ?? "", over: shape, wait: 60s\nrespond 204', environment)
    for key in range(8):
        crowd.come(f"/x?key={key}")
        crowd.come(f"/x?key={key}")
    assert sorted(one.status for one in crowd.ended) == [204] * 8 + [429] * 4
    crowd.settle()
    assert nobody_waits(crowd)


def test_keys_do_not_wait_for_each_other() -> None:
    crowd = Crowd('rate_limit 1/s, per: request.query.key ?? "", over: shape, wait: 60s\nrespond 204')
    slow = [crowd.come("/x?key=a") for _ in range(5)]
    assert crowd.come("/x?key=b").status == 204
    crowd.settle()
    assert [(one.ended or 0) // S for one in slow] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("leaving", [1, 2, 3])
def test_who_leaves_gives_up_the_place_at_once(leaving: int) -> None:
    crowd = Crowd("rate_limit 1/s, over: shape, wait: 3s\nrespond 204")
    came = [crowd.come() for _ in range(4)]
    assert crowd.come().status == 429, "the line is as long as one may wait"
    crowd.clock.advance(0.5)
    came[leaving].leave()
    assert crowd.environment.lines.waiting == 2
    came.append(crowd.come())
    stay = [one for one in came if one is not came[leaving]]
    crowd.settle()
    assert crowd.ended[2:] == stay[1:], "in order"
    assert [(one.ended or 0) // S for one in stay] == [0, 1, 2, 3]
    assert nobody_waits(crowd)


def test_whoever_left_has_counted_nothing() -> None:
    crowd = Crowd("rate_limit 2/s, over: shape, wait: 3s\nrespond 204")
    came = [crowd.come() for _ in range(6)]
    for one in came[2:]:
        one.leave()
    assert nobody_waits(crowd)
    crowd.clock.advance(1)
    assert [crowd.come().status for _ in range(2)] == [204, 204]


def test_a_large_cost_is_not_overtaken_and_one_that_never_fits_does_not_wait() -> None:
    crowd = Crowd("rate_limit 10/s, by: int(request.query.cost) ?? 1, over: shape, wait: 10s\nrespond 204")
    first, large, small = crowd.come("/x?cost=6"), crowd.come("/x?cost=6"), crowd.come("/x?cost=1")
    assert crowd.come("/x?cost=11").status == 429
    assert first.status == 204 and large.ended is None and small.ended is None
    crowd.settle()
    assert crowd.ended[2:] == [large, small]
    assert (small.ended or 0) - (large.ended or 0) < 2_000_000


def test_one_timer_a_line_and_no_asking_in_vain() -> None:
    store = Counting()
    crowd = Crowd("rate_limit 10/s, over: shape, wait: 60s, queue: 1000\nrespond 204", BenchEnvironment(store=store))
    for _ in range(500):
        crowd.come()
    assert len(crowd.clock._timers) == 1
    waiting = store.asked
    assert waiting <= 500
    crowd.settle()
    assert {one.status for one in crowd.ended} == {204}
    # Each is counted once; of those that are let go together the next one asks, and learns how long to sleep.
    assert store.calls <= 500 + 2 * 50 and store.asked == waiting


def test_a_long_line_that_is_free_at_once_makes_no_deep_stack() -> None:
    crowd = Crowd("rate_limit 1500/s, over: shape, wait: 60s, queue: 1500\nrespond 204")
    came = [crowd.come() for _ in range(3000)]
    crowd.settle()
    assert crowd.ended == came and {one.status for one in came} == {204}


@pytest.mark.parametrize(("down", "status"), [("reject", 503), ("allow", 204)])
def test_the_store_leaves_while_they_wait(down: str, status: int) -> None:
    store = MemoryStore()
    body = f"rate_limit 1/s, over: shape, wait: 60s, when_down: {down}\nrespond 204"
    crowd = Crowd(body, BenchEnvironment(store=store))
    came = [crowd.come() for _ in range(5)]
    store.down = True
    crowd.settle()
    assert [one.status for one in came[1:]] == [status] * 4
    assert nobody_waits(crowd)


def test_a_shorter_wait_ends_at_its_own_time_behind_a_longer_one() -> None:
    body = """
        if request.query.short == none { rate_limit 1/min, over: shape, wait: 60s, name: "n" }
        else { rate_limit 1/min, over: shape, wait: 1s, name: "n" }
        respond 204
    """
    store = Flexible()
    crowd = Crowd(body, BenchEnvironment(store=store))
    crowd.come()
    long = crowd.come()
    store.soon = True  # the short one believes that its turn comes soon
    short = crowd.come("/x?short=1")
    store.soon = False
    assert short.ended is None
    crowd.clock.advance(1.0)
    assert short.status == 429 and short.ended == S and long.ended is None
    crowd.settle()
    assert long.status == 204 and nobody_waits(crowd)


class Flexible(MemoryStore):
    soon = False

    async def admit(
        self, key: bytes, limit: int, window: int, burst: int, now: int, cost: int = 1, count: bool = True
    ) -> Decision:
        if self.soon and not count:
            return Decision(False, 0, 0.5, -59.5)
        return await super().admit(key, limit, window, burst, now, cost, count)


def test_another_worker_takes_what_was_free_and_the_wait_is_still_bounded() -> None:
    store = MemoryStore()
    crowd = Crowd("rate_limit 1/s, over: shape, wait: 2500ms\nrespond 204", BenchEnvironment(store=store))
    crowd.come()
    waiting = crowd.come()
    (key,) = store._logs
    for _ in range(3):
        crowd.clock.advance(0.9)
        store._logs[key].append((crowd.clock.monotonic(), 1))  # counted elsewhere
    assert waiting.status == 429 and (waiting.ended or 0) <= 2.5 * S
    assert nobody_waits(crowd)


def test_the_answer_tells_what_is_left_when_it_passes() -> None:
    crowd = Crowd("rate_limit 2/s, over: shape -> limit, left, reset\nrespond 200, body: \"${left}\"")
    came: list[Any] = [crowd.come() for _ in range(3)]
    crowd.settle()
    assert [one.answer.body for one in came] == [b"1", b"0", b"1"]
