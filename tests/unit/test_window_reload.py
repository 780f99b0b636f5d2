"""What a window's state survives: changed limits, windows and kinds, a clock that goes back, other byte types."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.window import (
    CELLS,
    EXACT_UNITS,
    MAX_LIMIT,
    MAX_STATE,
    State,
    admit_bucket,
    admit_window,
    expires_at,
)

S = 10**9
START = 86_400 * S


def pass_as_many(state: State | None, limit: int, window: int, now: int) -> tuple[int, State | None]:
    passed = 0
    while True:
        decision, changed = admit_window(state, limit, window, now)
        state = changed or state
        if not decision.admitted:
            return passed, state
        passed += 1


@settings(max_examples=300, deadline=None)
@given(st.lists(
    st.tuples(
        st.sampled_from([1, 10, EXACT_UNITS, EXACT_UNITS + 1, 200, 1000]), st.integers(0, S // 4), st.integers(1, 90)
    ),
    max_size=40,
))
def test_under_changing_limits_none_is_ever_exceeded(steps: list[tuple[int, int, int]]) -> None:
    log: list[int] = []
    state, now = None, START
    for limit, gap, count in steps:
        for _ in range(count):
            decision, changed = admit_window(state, limit, S, now)
            state = changed or state
            log = [at for at in log if at + S > now]
            if decision.admitted:
                log.append(now)
                assert len(log) <= limit
            now += gap // 90
    assert state is None or len(state) <= MAX_STATE


def test_a_raised_limit_admits_the_difference_and_a_lowered_one_waits() -> None:
    passed, state = pass_as_many(None, 100, S, START)
    assert passed == 100
    passed, state = pass_as_many(state, 150, S, START + 1)
    assert passed == 50
    passed, state = pass_as_many(state, 40, S, START + 2)
    assert passed == 0
    passed, state = pass_as_many(state, 40, S, START + S)
    # The 50 of START + 1 live still.
    assert passed == 0
    passed, state = pass_as_many(state, 40, S, START + S + 1)
    assert passed == 40


def test_a_merged_window_becomes_exact_again_under_a_small_limit() -> None:
    state, now = None, START
    for _ in range(5000):
        now += S // 1100
        state = admit_window(state, 1000, S, now)[1] or state
    log: list[int] = []
    for step in range(600):
        # In pairs that would share a cell.
        now += S // 30 - 1000 if step % 2 else 1000
        decision, changed = admit_window(state, 50, S, now)
        state = changed or state
        if step > 130:
            log = [at for at in log if at + S > now]
            assert decision.admitted == (len(log) < 50)
        if decision.admitted:
            log.append(now)
    assert len(log) >= 49


def test_a_longer_window_keeps_what_lives_and_a_shorter_one_lets_it_end_sooner() -> None:
    _, state = pass_as_many(None, 10, S, START)
    assert pass_as_many(state, 15, 60 * S, START + S // 2)[0] == 5
    assert pass_as_many(state, 10, 60 * S, START + S // 2)[0] == 0
    _, state = pass_as_many(None, 10, 60 * S, START)
    assert pass_as_many(state, 10, S, START + S // 2)[0] == 0
    assert pass_as_many(state, 10, S, START + S)[0] == 10


def test_even_a_refusal_takes_the_state_over_into_the_new_window() -> None:
    _, state = pass_as_many(None, 10, 60 * S, START)
    decision, changed = admit_window(state, 10, 30 * S, START + 1)
    assert not decision.admitted
    assert decision.retry_after == (30 * S - 1) / 1e9
    assert changed is not None
    assert expires_at(changed) == START + 30 * S


def test_a_merged_window_is_taken_over_into_another() -> None:
    rnd, state, now = random.Random(1), None, START
    for _ in range(3000):
        now += rnd.randrange(2 * S // 1000)
        state = admit_window(state, 900, S, now)[1] or state
    counted = 900 - pass_as_many(state, 900, S, now)[0]
    for window in (2 * S, 3_600 * S):
        passed, after = pass_as_many(state, 900, window, now)
        # Coarser cells end later, never sooner, and lose nothing.
        assert 900 - counted == passed
        assert after is not None
        assert len(after) <= MAX_STATE


def test_window_and_bucket_take_over_from_each_other() -> None:
    _, state = pass_as_many(None, 100, S, START)
    decision, changed = admit_bucket(state, 100, S, 2 * S, START)
    assert (decision.admitted, decision.remaining) == (True, 99)
    assert admit_bucket(state, 100, S, S, START)[0].admitted is False
    assert changed is not None
    decision, _ = admit_window(changed, 120, S, START)
    assert (decision.admitted, decision.remaining) == (True, 18)
    # A bucket holds more than a window can pass: then nothing passes until the window is over.
    for _ in range(150):
        changed = admit_bucket(changed, 100, S, 3 * S, START)[1] or changed
    decision, taken_over = admit_window(changed, 100, S, START + 1)
    assert not decision.admitted
    assert pass_as_many(taken_over, 100, S, START + 1 + S)[0] == 100
    # One that is full again has used nothing up, nor has a window that is over.
    assert admit_window(changed, 100, S, START + 4 * S)[0].remaining == 99
    assert admit_bucket(pass_as_many(None, 100, S, START)[1], 100, S, S, START + S)[0].remaining == 99


def test_amounts_of_a_vast_bucket_do_not_break_a_window() -> None:
    _, state = admit_bucket(None, MAX_LIMIT, S, 1000 * S, START, 900 * MAX_LIMIT)
    decision, changed = admit_window(state, 10, S, START)
    assert not decision.admitted
    assert changed is not None
    assert admit_window(changed, 10, S, START + S)[0].admitted


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([5, EXACT_UNITS, 300]),
    st.lists(st.one_of(st.integers(0, 2 * S), st.integers(-S, S), st.just(-(10**13))), min_size=20, max_size=300),
)
def test_a_clock_that_goes_back_stands_still(limit: int, gaps: list[int]) -> None:
    log: list[int] = []
    state, now, seen = None, START, START
    for gap in gaps:
        now = max(0, now + gap // 50)
        decision, changed = admit_window(state, limit, S, now)
        state = changed or state
        if decision.admitted:
            seen = max(seen, now)
            log = [at for at in log if at + S > seen] + [seen]
            assert len(log) <= limit
        else:
            assert 0 < decision.retry_after <= 1.0


@pytest.mark.parametrize("kind", [bytearray, memoryview])
@pytest.mark.parametrize("limit", [50, 100])
def test_states_may_be_any_bytes(kind: type[bytearray] | type[memoryview], limit: int) -> None:
    state, same, now = None, None, START
    for _ in range(1000):
        now += S // (2 * limit)
        decision, changed = admit_window(state, limit, S, now)
        also, same_changed = admit_window(None if same is None else kind(same), limit, S, now)
        assert (decision, changed) == (also, same_changed)
        state, same = changed or state, same_changed or same


def test_a_state_says_when_it_may_be_forgotten() -> None:
    _, state = admit_window(None, 5, S, START)
    assert state is not None
    assert expires_at(state) == START + S
    _, state = admit_window(state, 5, S, START + 10)
    assert state is not None
    assert expires_at(state) == START + 10 + S
    _, state = admit_bucket(None, 3, S, S, START)
    assert state is not None
    assert expires_at(state) == START + S // 3 + 1


def test_the_longest_state_is_reached_and_not_passed() -> None:
    longest = 0
    for limit in (EXACT_UNITS, 1000):
        state, now = None, START + S // (3 * CELLS)
        for _ in range(4000):
            now += S // CELLS - 7 if limit > EXACT_UNITS else S // (EXACT_UNITS + 1)
            for _ in range(3 if limit > EXACT_UNITS else 1):
                state = admit_window(state, limit, S, now)[1] or state
            assert state is not None
            longest = max(longest, len(state))
    assert MAX_STATE - 8 <= longest <= MAX_STATE
