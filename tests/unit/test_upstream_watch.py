"""The servers of a pool over time: whatever has happened to them, they come back; and how many retries there may be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk.circuit import CircuitSettings
from runtime.edge.wheel import Wheel
from runtime.upstream.balance import FULL
from runtime.upstream.budget import ALWAYS, Budget
from runtime.upstream.condition import HealthSettings, OutlierSettings, State
from runtime.upstream.server import Server
from runtime.upstream.settings import ServerAddress, UpstreamSettings
from runtime.upstream.watch import Watch

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 1_000 * SECOND

    def monotonic(self) -> int:
        return self.ns

    def wall(self) -> float:
        return self.ns / 1e9

    def sleep(self, seconds: float) -> None:
        raise AssertionError


class Life:
    def __init__(self, settings: UpstreamSettings) -> None:
        self.clock = Clock()
        self.wheel = Wheel(self.clock)  # type: ignore[arg-type]
        self.settings = settings
        self.servers = [Server(address, settings.server_circuit) for address in settings.servers]
        self.watch = Watch(self.servers, settings, self.wheel, lambda: None)

    def pass_time(self, seconds: float) -> None:
        self.clock.ns += int(seconds * SECOND)
        self.wheel.turn()

    def reload(self) -> None:
        servers = [Server(address, self.settings.server_circuit) for address in self.settings.servers]
        for server, former in zip(servers, self.servers, strict=True):
            server.take_over(former, healthy=self.settings.health is None)
        self.servers, former_watch = servers, self.watch
        self.watch = Watch(servers, self.settings, self.wheel, lambda: None)
        former_watch.close()

    def circuit(self, server: Server, failed: bool) -> None:
        if server.circuit is not None and server.circuit.admit(self.clock.ns):
            server.circuit.report(self.clock.ns, failed, 0)
            if server.circuit.state == "open":
                self.watch.opened(server)


SETTINGS = st.builds(
    UpstreamSettings,
    servers=st.integers(1, 4).map(lambda count: tuple(ServerAddress("h", 1 + number) for number in range(count))),
    health=st.none() | st.builds(HealthSettings, st.just("/"), rise=st.integers(1, 3), fall=st.integers(1, 3)),
    outliers=st.builds(
        OutlierSettings, failures=st.integers(1, 3), longest=st.just(60.0), most=st.sampled_from([0.3, 0.5, 1.0])
    ),
    slow_start=st.sampled_from([0.0, 20.0]),
    server_circuit=st.none() | st.just(CircuitSettings(requests=1, probes=1)),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["failed", "failed", "wrong", "right", "time", "circuit", "reload"]),
        st.integers(0, 3), st.floats(0, 15),
    ),
    max_size=60,
)  # fmt: skip


@given(SETTINGS, STEPS)
@settings(max_examples=200, deadline=None)
def test_every_server_comes_back(given_settings: UpstreamSettings, steps: list[tuple[str, int, float]]) -> None:
    life = Life(given_settings)
    for what, which, seconds in steps:
        server = life.servers[which % len(life.servers)]
        if what == "failed":
            life.watch.failed(server)
        elif what in ("wrong", "right"):
            life.watch.asked(server, what == "right")
        elif what == "circuit":
            life.circuit(server, True)
        elif what == "reload":
            life.reload()
        else:
            life.pass_time(seconds)
        states = [each.condition.state for each in life.servers]
        out = states.count(State.LEFT_OUT)
        assert out <= given_settings.outliers.most * len(states)
        assert not out or any(each.condition.serving for each in life.servers), "failures alone took the last one"
        assert all(0 < each.step <= FULL for each in life.servers)
    # From here on all goes well.
    for _ in range(20):
        for server in life.servers:
            life.watch.asked(server, True)
            life.circuit(server, False)
        life.pass_time(10)
    for server in life.servers:
        assert server.condition.state is State.WELL
        assert server.due_share() == FULL
        assert server.circuit is None or server.circuit.state == "closed"


def test_who_fails_now_takes_the_place_of_who_was_left_out_first() -> None:
    servers = tuple(ServerAddress("h", 1 + number) for number in range(3))
    life = Life(UpstreamSettings(servers, outliers=OutlierSettings(failures=1)))
    first, second, third = life.servers
    life.watch.failed(first)
    life.pass_time(1)
    life.watch.failed(second)
    assert [one.condition.serving for one in life.servers] == [True, False, True]
    life.pass_time(1)
    life.watch.failed(third)
    assert [one.condition.serving for one in life.servers] == [True, True, False]


def test_where_all_fail_nobody_is_left_out_for_long() -> None:
    servers = tuple(ServerAddress("h", 1 + number) for number in range(4))
    life = Life(UpstreamSettings(servers, outliers=OutlierSettings(failures=1)))
    for _ in range(20):
        for server in life.servers:
            life.watch.failed(server)
            life.pass_time(0.05)
    assert [one.condition.serving for one in life.servers].count(False) == 2
    life.pass_time(10.2)
    assert all(one.condition.serving for one in life.servers)


# --- the budget of retries ---


@given(
    st.sampled_from([0.0, 0.1, 0.5]),
    st.lists(st.tuples(st.sampled_from(["request", "retry", "retry", "time"]), st.integers(1, 40)), max_size=80),
)
@settings(deadline=None)
def test_retries_are_a_share_of_the_requests_of_the_last_ten_seconds(
    share: float, steps: list[tuple[str, int]]
) -> None:
    clock = Clock()
    wheel = Wheel(clock)  # type: ignore[arg-type]
    requests: list[int] = []
    budget = Budget(share, wheel, lambda: len(requests))
    retries: list[int] = []
    for what, count in steps:
        if what == "request":
            budget.watch()  # as every new connection does
            requests += [clock.ns] * count
        elif what == "time":
            clock.ns += count * SECOND // 10
            wheel.turn()
        elif budget.take():
            retries.append(clock.ns)
            # It counts by whole seconds, so at most what is 11 seconds old counts, and what is 9 seconds old does.
            recent = sum(clock.ns - moment <= 9 * SECOND for moment in retries)
            asked = sum(clock.ns - moment <= 11 * SECOND for moment in requests)
            assert recent <= ALWAYS + 1 + share * asked
        else:
            recent = sum(clock.ns - moment <= 11 * SECOND for moment in retries)
            asked = sum(clock.ns - moment <= 9 * SECOND for moment in requests)
            assert recent >= ALWAYS + share * asked


def test_the_budget_rests_when_nothing_happens() -> None:
    clock = Clock()
    wheel = Wheel(clock)  # type: ignore[arg-type]
    requests = [0]
    budget = Budget(0.2, wheel, lambda: requests[0])
    requests[0] = 100
    budget.watch()
    for _ in range(120):
        clock.ns += SECOND // 10
        wheel.turn()
    assert not wheel._slots
