"""The bench for assertions: its clock, store and stubs keep to their protocols."""

from __future__ import annotations

import pytest

from policylang.sdk import Failed, Failure, Unavailable, UpstreamCall
from policylang.sdk.bench import (
    BenchEnvironment,
    MemoryStore,
    StubUpstream,
    VirtualClock,
    make_exchange,
    make_response,
    run,
)

SECOND = 1_000_000_000


def test_time_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(epoch=1000.0)
    late, early = clock.sleep(2), clock.sleep(1)
    clock.advance(1.5)
    assert (early.done, late.done, clock.monotonic(), clock.wall()) == (True, False, 1_500_000_000, 1001.5)
    assert (clock.jump(), late.done, clock.monotonic()) == (True, True, 2 * SECOND)
    assert clock.jump() is False


def test_a_window_is_exact() -> None:
    store = MemoryStore()

    def admit(now: float, limit: int = 2, cost: int = 1, count: bool = True) -> tuple[bool, int, float]:
        decision = run(store.admit(b"k", limit, SECOND, 0, int(now * SECOND), cost, count))
        return decision.admitted, decision.remaining, decision.retry_after

    assert admit(0.0) == (True, 1, 0.0)
    assert admit(0.6, count=False) == (True, 1, 0.0)
    assert admit(0.6) == (True, 0, 0.0)
    assert admit(0.9) == (False, 0, 0.1)
    assert admit(0.9, cost=2) == (False, 0, 0.7)
    assert admit(1.0) == (True, 0, 0.0)
    assert admit(1.0, cost=9)[0] is False


def test_a_bucket_saves_up() -> None:
    store = MemoryStore()

    def admit(now: float) -> bool:
        return run(store.admit(b"k", 10, SECOND, 2 * SECOND, int(now * SECOND))).admitted

    assert [admit(0) for _ in range(21)] == [True] * 20 + [False]
    assert [admit(0.1), admit(0.1)] == [True, False]


def test_what_is_down_says_so() -> None:
    store = MemoryStore()
    store.down = True
    with pytest.raises(Unavailable):
        run(store.admit(b"k", 1, SECOND, 0, 0))


def test_stubs() -> None:
    clock = VirtualClock()
    stub = StubUpstream(make_response(201), Failure("upstream-timeout", 504), clock=clock, after=2)
    environment = BenchEnvironment(clock=clock, upstreams={"one": stub})
    exchange = make_exchange(environment, "PUT", "/a?b", headers={"X-A": "1"}, body=b"x", streams=True)
    assert run(stub.send(exchange, UpstreamCall(b"/t")), clock).status == 201
    sent = stub.calls[0]
    assert (sent.method, sent.path, sent.query_string, sent.target, sent.body, sent.header("x-a")) == (
        "PUT", "/a", b"b", b"/t", b"x", "1",
    )  # fmt: skip
    assert clock.monotonic() == 2 * SECOND
    with pytest.raises(Failed):
        run(stub.send(exchange, UpstreamCall()), clock)


def test_a_wait_that_never_ends_is_an_error() -> None:
    clock = VirtualClock()
    from policylang.sdk import Waiter

    async def wait() -> None:
        await Waiter()

    with pytest.raises(RuntimeError, match="never"):
        run(wait(), clock)
