"""A server's condition: the table, and its promise that a server can always come back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.upstream.condition import SERVING, TABLE, Condition, Event, HealthSettings, OutlierSettings, State

HEALTH = st.builds(HealthSettings, st.just("/"), rise=st.integers(1, 5), fall=st.integers(1, 5))
OUTLIERS = st.builds(
    OutlierSettings, pause=st.sampled_from([0.5, 10.0]), longest=st.sampled_from([1.0, 300.0, 1e9])
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["right", "wrong", "failed", "pause over", "needed", "settled"]), st.floats(0, 100)),
    max_size=60,
)


def live(condition: Condition, step: str, now: float, health: HealthSettings, outliers: OutlierSettings) -> bool:
    if step in ("right", "wrong"):
        return condition.asked(step == "right", health)
    if step == "failed":
        return condition.leave_out(now, outliers)
    if step == "settled":
        return condition.happen(Event.SETTLED)
    return condition.let_in(Event(step), now)


@given(HEALTH, OUTLIERS, STEPS)
@settings(max_examples=300)
def test_a_server_can_always_come_back(
    health: HealthSettings, outliers: OutlierSettings, steps: list[tuple[str, float]]
) -> None:
    condition = Condition()
    now = 0.0
    for step, pause in steps:
        now += pause
        before = condition.state
        changed = live(condition, step, now, health, outliers)
        assert changed == (condition.state is not before)
        assert condition.pause <= outliers.longest
    # From here on all goes well: right answers, pauses end, nobody fails.
    for _ in range(health.rise):
        condition.asked(True, health)
    now += condition.pause
    condition.let_in(Event.PAUSE_OVER, now)
    assert condition.serving
    condition.happen(Event.SETTLED)
    assert condition.state is State.WELL


def test_every_state_is_left_for_the_better() -> None:
    """The table alone: from each state good events lead to WELL, and none of them leads away from it."""
    good = (Event.ROSE, Event.PAUSE_OVER, Event.SETTLED)
    for state in State:
        for _ in range(len(State)):
            for event in good:
                state = TABLE.get((state, event), state)
        assert state is State.WELL
    assert {to for (_, event), to in TABLE.items() if event in good} <= SERVING


def test_bad_events_never_help() -> None:
    for (state, event), to in TABLE.items():
        if event in (Event.FELL, Event.FAILED):
            assert to not in SERVING, (state, event)


def test_rise_and_fall_count_in_a_row() -> None:
    health = HealthSettings("/", rise=2, fall=3)
    condition = Condition()
    for well in (False, False, True, False, False):
        assert not condition.asked(well, health)
    assert condition.asked(False, health)
    assert condition.state is State.ILL
    for well in (True, False, True):
        assert not condition.asked(well, health)
    assert condition.asked(True, health)
    assert condition.state is State.RETURNING


def test_each_further_time_in_a_row_is_twice_as_long() -> None:
    outliers = OutlierSettings(pause=10.0, longest=35.0)
    condition = Condition()
    now, spans = 0.0, []
    for well_for in (0, 0, 0, 34, 36, 9, 21):
        assert condition.leave_out(now, outliers)
        spans.append(condition.pause)
        now += condition.pause
        assert condition.let_in(Event.PAUSE_OVER, now)
        now += well_for
    assert spans == [10, 20, 35, 35, 35, 10, 20]


def test_ill_and_left_out_waits_for_health_alone() -> None:
    health, outliers = HealthSettings("/", rise=1, fall=1), OutlierSettings()
    condition = Condition()
    assert condition.leave_out(0, outliers)
    assert condition.asked(False, health)
    assert not condition.let_in(Event.PAUSE_OVER, 10)
    assert not condition.let_in(Event.NEEDED, 10)
    assert condition.state is State.ILL
    assert condition.asked(True, health)
    assert condition.serving
