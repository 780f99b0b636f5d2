"""`parallel`: branches on forks, merged in the end, cancelled where they no longer count."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import Answer, Policy

from policylang.sdk import Waiter
from policylang.sdk.bench import run
from policylang.source import Source, Span
from policylang.tree.facts import Writes
from policylang.tree.outcome import Place
from policylang.tree.parallel import Lane, ParallelWaiting


def seconds(policy: Policy) -> float:
    return policy.environment.clock.monotonic() / 1e9


def test_branches_wait_side_by_side() -> None:
    policy = Policy("parallel {\ntell.pause 3s\ntell.pause 2s\ntell.pause 1s\n}\nrespond 200")
    assert policy.handle().status == 200
    assert seconds(policy) == 3


def test_what_they_write_is_merged() -> None:
    policy = Policy("""
        let kept = 1
        parallel {
            all {
                tell.pause 2s
                let a = request.header["X-A"]
                set request.header["X-A"] = "from a"
                set request.header["X-C"] = "c"
            }
            all {
                tell.pause 1s
                let b = request.header["X-A"]
                set request.header["X-B"] = "from b"
                set request.path = "/b"
                set kept = 2
                tell.login "ann"
            }
            tell.both "out" -> first, second
        }
        respond 200, json: [
            a, b, request.header["X-A"], request.header["X-B"], request.header["X-C"], request.path, kept, user.id,
            first, second, request.header["X-D"]
        ]
    """)
    answer = policy.handle(headers=[("X-A", "0"), ("X-D", "d"), ("X-D", "e")])
    assert answer.json == ["0", "0", "from a", "from b", "c", "/b", 2, "ann", "out", 3, "d, e"]


def test_a_response_is_merged_too() -> None:
    policy = Policy("""
        route one
        parallel {
            set response.status = 201
            set response.header["X-From"] = "a"
            set response.text = "new"
            remove response.header["X-Z"]
        }
    """)
    answer = policy.handle()
    assert (answer.status, answer.header("X-From"), answer.body) == (201, "a", b"new")


def test_cookies_and_bodies() -> None:
    policy = Policy("""
        parallel {
            set request.cookie.a = "2"
            set request.json = { a: 1 }
            require request.json.b == 1
        }
        respond 200, json: [request.cookie.a, request.json]
    """)
    assert policy.handle("POST", body=b'{"b": 1}', headers={"Cookie": "a=1"}).json == ["2", {"a": 1}]
    assert policy.handle("POST", body=b'{"b": 1}', streams=True).json == ["2", {"a": 1}]


@pytest.mark.parametrize(
    ("branches", "name", "lasted", "journal"),
    [
        # the later branch fails first, and is no earlier in the text
        (("all {\ntell.pause 2s\ntell.error\n}", "tell.refuse"), "broken", 2,
         ["tell.pause passed", "tell.error broken", "all broken", "tell.refuse refused"]),
        (("tell.pause 2s", "tell.refuse"), "refused", 2, ["tell.pause passed", "tell.refuse refused"]),
        # what comes after a failed branch is cancelled
        (("all {\ntell.pause 1s\ntell.refuse\n}", "all {\ntell.pause 9s\nignore\n}", "tell.pause 5s"), "refused", 1,
         ["tell.pause passed", "tell.refuse refused", "all refused", "tell.pause cancelled", "all cancelled",
          "tell.pause cancelled"]),
        # or never started
        (("tell.refuse", "tell.pause 9s"), "refused", 0, ["tell.refuse refused"]),
        (("tell.away", "ignore"), "key-set-away", 0, ["tell.away key-set-away"]),
    ],
)  # fmt: skip
def test_the_first_failure_in_the_text_counts(
    branches: tuple[str, ...], name: str, lasted: float, journal: list[str]
) -> None:
    policy = Policy("parallel {\n" + "\n".join(branches) + "\n}\nrespond 200")
    answer = policy.handle()
    assert (answer.name, seconds(policy)) == (name, lasted)
    assert [" ".join(entry) for entry in answer.journal] == [*journal, f"parallel {name}"]


def test_fields_of_a_failed_branch_reach_the_answer() -> None:
    policy = Policy("parallel {\nrate_limit 1/s\nignore\n}\nrespond 200")
    assert policy.handle().header("RateLimit") is not None
    refused = policy.handle()
    assert refused.status == 429
    assert refused.header("RateLimit") is not None


def test_it_stops_when_the_exchange_does() -> None:
    policy = Policy("parallel {\ntell.pause 3s\nall {\ntell.pause 2s\ntell.pause 1s\n}\n}\nrespond 200")
    exchange = policy.exchange()
    coroutine = policy.tree.handle(exchange)
    waiter = coroutine.send(None)
    policy.environment.clock.advance(2.5)
    coroutine.close()
    assert not waiter.done
    policy.environment.clock.advance(10)
    names = [(place.name, outcome) for place, outcome in exchange.journal or ()]
    assert names == [
        ("tell.pause", "cancelled"), ("tell.pause", None), ("tell.pause", "cancelled"), ("all", "cancelled"),
        ("parallel", "cancelled"),
    ]  # fmt: skip


def test_a_branch_that_wakes_another_which_fails_it() -> None:
    """The second branch runs while the first one, which it woke, decides that it is to be cancelled."""
    policy = Policy("respond 200")
    gate: Waiter[str] = Waiter()
    place = Place("test", Span(Source("x", ""), 0, 0))
    reached: list[str] = []

    async def first(exchange: object) -> object:
        await gate
        return "failed"

    async def second(exchange: object) -> object:
        gate.fire("now")
        reached.append("before")
        await policy.environment.clock.sleep(1)
        reached.append("after")
        return None

    lanes = tuple(Lane(place, run, Writes(), frozenset()) for run in (first, second))
    assert run(ParallelWaiting(lanes).run(policy.exchange()), policy.environment.clock) == "failed"
    assert reached == ["before"]


def test_parallel_without_waiting() -> None:
    policy = Policy("parallel {\nlet a = 1\nlet b = 2\n}\nrespond 200, json: a + b")
    exchange = policy.exchange()
    try:
        policy.tree.handle(exchange).send(None)
    except StopIteration as stop:
        assert Answer(stop.value, exchange).json == 3
