"""The circuit breaker against a slow and obvious count, and its promise that it can always close."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.circuit import PARTS, Circuit, CircuitSettings

SECOND = 1_000_000_000
SETTINGS = st.builds(
    CircuitSettings,
    errors=st.sampled_from([0.1, 0.5, 1.0]),
    slow=st.sampled_from([0.2, 1.0]),
    slower_than=st.sampled_from([0, SECOND // 2]),
    requests=st.integers(1, 6),
    window=st.just(10 * SECOND),
    pause=st.integers(1, 8).map(lambda n: n * SECOND),
    probes=st.integers(1, 4),
)
# How long after the one before, whether it fails, how long it took.
REPORTS = st.lists(
    st.tuples(st.integers(0, 3 * SECOND), st.booleans(), st.sampled_from([0, SECOND // 4, SECOND])), max_size=60
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["admit", "well", "fail", "abandon", "lose"]), st.integers(0, 4 * SECOND)), max_size=80
)


@given(SETTINGS, REPORTS)
def test_it_opens_exactly_when_the_share_is_reached(
    given_settings: CircuitSettings, reports: list[tuple[int, bool, int]]
) -> None:
    circuit = Circuit(given_settings)
    now = 0
    seen: list[tuple[int, bool, bool]] = []
    width = given_settings.window // PARTS
    for pause, failed, took in reports:
        now += pause
        assert circuit.admit(now)
        circuit.report(now, failed, took)
        seen.append((now // width, failed, 0 < given_settings.slower_than < took))
        recent = [each for each in seen if each[0] > now // width - PARTS]
        failures = sum(each[1] for each in recent)
        slow = sum(each[2] for each in recent)
        enough = len(recent) >= given_settings.requests
        expected = enough and (
            failures >= given_settings.errors * len(recent)
            or (slow > 0 and slow >= given_settings.slow * len(recent))
        )
        assert (circuit.state == "open") == expected
        if expected:
            assert circuit.until(now) == given_settings.pause
            assert not circuit.admit(now + given_settings.pause - 1)
            return


def wander(circuit: Circuit, steps: list[tuple[str, int]]) -> tuple[int, list[int]]:
    """Any life: the moment it ends in, and when those were admitted that have not reported yet."""
    now = 0
    under_way: list[int] = []
    for what, pause in steps:
        now += pause
        if what == "admit":
            if circuit.admit(now):
                under_way.append(now)
        elif under_way:
            since = under_way.pop(0)
            if what in ("well", "fail"):
                circuit.report(now, what == "fail", now - since)
            elif what == "abandon":
                circuit.abandoned(now, now - since)
    return now, under_way


@given(SETTINGS, STEPS)
@settings(max_examples=300)
def test_it_can_always_close_again(given_settings: CircuitSettings, steps: list[tuple[str, int]]) -> None:
    circuit = Circuit(given_settings)
    now, _ = wander(circuit, steps)  # those under way are never heard of again
    for _ in range(given_settings.probes * 2):
        if circuit.state == "closed":
            break
        now += circuit.until(now)
        assert circuit.admit(now)
        circuit.report(now, False, 0)
    assert circuit.state == "closed"
    assert circuit.admit(now)


@given(SETTINGS, STEPS)
def test_half_open_admits_no_more_than_its_probes(
    given_settings: CircuitSettings, steps: list[tuple[str, int]]
) -> None:
    circuit = Circuit(given_settings)
    now, _ = wander(circuit, steps)
    if circuit.state == "closed":
        return
    now += circuit.until(now) + given_settings.pause  # those before are given up
    admitted = sum(circuit.admit(now) for _ in range(20))
    assert circuit.state == "half-open"
    assert 1 <= admitted <= given_settings.probes
    assert circuit.until(now) == given_settings.pause


def opened(**changed: int) -> Circuit:
    circuit = Circuit(CircuitSettings(requests=1, pause=SECOND, **changed))
    assert circuit.admit(0)
    circuit.report(0, True, 0)
    assert circuit.state == "open"
    return circuit


def test_late_reports_are_no_probes() -> None:
    circuit = opened(probes=1)
    now = 2 * SECOND
    assert circuit.admit(now)
    circuit.report(now + 5, False, now + 5)  # admitted at 0
    circuit.report(now + 5, True, now + 5)
    circuit.abandoned(now + 5, now + 5)
    assert circuit.state == "half-open"
    assert not circuit.admit(now + 5)
    circuit.report(now + 6, False, 6)
    assert circuit.state == "closed"


def test_a_probe_that_fails_opens_it_for_another_pause() -> None:
    circuit = opened(probes=2)
    assert circuit.until(SECOND // 4) == SECOND * 3 // 4
    assert circuit.admit(SECOND)
    circuit.report(SECOND + 10, True, 10)
    assert circuit.state == "open"
    assert circuit.until(SECOND + 10) == SECOND


def test_a_slow_probe_opens_it_too() -> None:
    circuit = opened(slower_than=100)
    assert circuit.admit(SECOND)
    circuit.report(SECOND + 101, False, 101)
    assert circuit.state == "open"


def test_an_abandoned_probe_makes_room_for_another() -> None:
    circuit = opened(probes=1)
    assert circuit.admit(SECOND)
    assert not circuit.admit(SECOND)
    circuit.abandoned(SECOND)
    assert circuit.admit(SECOND)


def test_closed_it_begins_afresh() -> None:
    circuit = opened(probes=1)
    assert circuit.admit(SECOND)
    circuit.report(SECOND, False, 0)
    assert circuit.state == "closed"
    circuit.report(SECOND, False, 0)
    circuit.report(SECOND, False, 0)
    circuit.report(SECOND, True, 0)
    assert circuit.state == "closed"  # one of three: what opened it before counts no more
