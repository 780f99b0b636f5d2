"""What `lockout` keeps: however attempts come, run side by side, end or are given up, never more than the rules say."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from assertions.state.attempts import NO_GUESS, PASSED, REFUSED, Rules, enter, leave, locked_for

RULES = st.builds(
    Rules,
    after=st.integers(1, 5), within=st.sampled_from([5.0, 60.0]), first=st.sampled_from([1.0, 10.0]),
    growing=st.sampled_from([1.0, 2.0, 100.0]), longest=st.sampled_from([10.0, 100.0]), resets=st.booleans(),
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.integers(0, 0)),
        st.tuples(st.sampled_from([REFUSED, REFUSED, REFUSED, PASSED, NO_GUESS]), st.integers(0, 20)),
        st.tuples(st.just("wait"), st.sampled_from([1, 3, 9, 30, 400])),
        st.tuples(st.just("again"), st.integers(0, 20)),
    ),
    max_size=60,
)  # fmt: skip


class Kept:
    """One entry of a store, with its end."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.value: bytes | None = None
        self.until = 0.0

    def update(self, change: Any) -> Any:
        before = self.value if self.until > self.now else None
        answer, value, ttl = change(before)
        assert value is None or value is before or ttl > 0, "an entry that is written lives"
        if value is not before:
            self.value, self.until = value, self.now + ttl if value is not None else 0.0
        return answer


@settings(max_examples=400, deadline=None)
@given(RULES, STEPS)
def test_never_more_than_the_rules_say(rules: Rules, steps: list[tuple[str, int]]) -> None:
    kept = Kept()
    open_: list[tuple[str, float]] = []
    counted: list[float] = []  # when those were admitted that are refused by now, since the last lock or reset
    locks = 0
    until = ended = 0.0
    for number, (step, which) in enumerate(steps):
        if step == "wait":
            kept.now += which
        elif step == "enter":
            wait = kept.update(enter(f"t{number}", kept.now, rules)).wait
            assert wait > 0 or kept.now >= until, "it is locked"
            if kept.now < until:
                assert wait == until - kept.now
            if wait:
                continue
            if ended and kept.now >= ended + max(rules.within, locked_for(locks, rules)):
                locks = 0  # it may have been forgotten
            live = [when for when in counted if when + rules.within > kept.now]
            beside = [when for _, when in open_ if when + rules.within > kept.now]
            assert len(live) + len(beside) < (rules.after if locks == 0 else max(rules.after, 1))
            if locks:
                assert not [when for when in beside if when >= ended], "one at a time after a lock"
            open_.append((f"t{number}", kept.now))
        elif step == "again":
            if open_:  # the reply to a change was lost, and it is made again
                token, began = open_[which % len(open_)]
                before = kept.value
                if kept.now >= until and began + rules.within > kept.now:
                    assert kept.update(enter(token, kept.now, rules)).wait == 0 and kept.value == before
        elif open_:
            token, began = open_.pop(which % len(open_))
            seconds = kept.update(leave(token, step, kept.now, rules))
            if step == REFUSED:
                counted.append(began)
            if step == PASSED and rules.resets:
                counted, locks, until = [], 0, 0.0
            if seconds:
                locks, until = locks + 1, kept.now + seconds
                ended, counted = until, []
                assert step == REFUSED and seconds <= rules.longest
        assert kept.value is None or len(kept.value) < 100 + 40 * (rules.after + 20)


def refused(kept: Kept, rules: Rules, token: str) -> float:
    assert kept.update(enter(token, kept.now, rules)).wait == 0
    seconds: float = kept.update(leave(token, REFUSED, kept.now, rules))
    return seconds


def test_locks_grow_to_their_longest_and_are_forgotten() -> None:
    rules, kept = Rules(2, 60.0, 10.0, 3.0, 100.0, True), Kept()
    found = []
    for number in range(7):
        found.append(refused(kept, rules, f"t{number}"))
        kept.now += found[-1]
    assert found == [0.0, 10.0, 30.0, 90.0, 100.0, 100.0, 100.0]
    kept.now += 99
    assert refused(kept, rules, "a") == 100.0
    kept.now += 100 + 100
    assert [refused(kept, rules, "b"), refused(kept, rules, "c")] == [0.0, 10.0]


def test_growth_beyond_all_numbers_is_the_longest() -> None:
    assert locked_for(10_000, Rules(1, 60.0, 1.0, 100.0, 3600.0, True)) == 3600.0


def test_a_pass_forgives_what_is_over_and_not_what_runs() -> None:
    rules, kept = Rules(3, 60.0, 10.0, 2.0, 100.0, True), Kept()
    for token in "abc":
        assert kept.update(enter(token, kept.now, rules)).wait == 0
    assert kept.update(enter("d", kept.now, rules)).wait == 1.0
    kept.update(leave("a", PASSED, kept.now, rules))
    assert kept.update(enter("e", kept.now, rules)).wait == 0
    assert kept.update(enter("f", kept.now, rules)).wait == 1.0, "b, c and e are under way"


def test_what_was_given_up_counts_until_the_window_is_over() -> None:
    rules, kept = Rules(2, 60.0, 10.0, 2.0, 100.0, True), Kept()
    for token in "ab":
        assert kept.update(enter(token, kept.now, rules)).wait == 0
    kept.now += 59
    assert kept.update(enter("c", kept.now, rules)).wait == 1.0
    kept.now += 1
    assert kept.update(enter("c", kept.now, rules)).wait == 0


def test_whoever_shares_a_key_cannot_forgive() -> None:
    rules, kept = Rules(2, 60.0, 10.0, 2.0, 100.0, False), Kept()
    assert refused(kept, rules, "a") == 0.0
    assert kept.update(enter("own", kept.now, rules)).wait == 0
    kept.update(leave("own", PASSED, kept.now, rules))
    assert refused(kept, rules, "b") == 10.0


def test_an_error_forgives_nothing() -> None:
    rules, kept = Rules(3, 60.0, 10.0, 2.0, 100.0, True), Kept()
    assert [refused(kept, rules, token) for token in "ab"] == [0.0, 0.0]
    for token in "cd":
        assert kept.update(enter(token, kept.now, rules)).wait == 0
        kept.update(leave(token, NO_GUESS, kept.now, rules))
    assert refused(kept, rules, "e") == 10.0


def test_what_ends_in_a_lock_does_not_lock_again() -> None:
    rules, kept = Rules(1, 5.0, 10.0, 2.0, 100.0, True), Kept()
    assert kept.update(enter("slow", kept.now, rules)).wait == 0
    kept.now += 5
    assert refused(kept, rules, "quick") == 10.0
    kept.now += 1
    assert kept.update(leave("slow", REFUSED, kept.now, rules)) == 0.0
    assert kept.update(enter("next", kept.now, rules)).wait == 9.0
    kept.now += 9
    assert kept.update(enter("next", kept.now, rules)).wait == 0.0, "nothing is under way"
