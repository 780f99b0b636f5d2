"""Maps in the store, `not_replayed` and `lockout` in the tree: against a dictionary, side by side, the store away."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk import Space, Unavailable
from policylang.sdk.bench import (
    BenchEnvironment,
    MemoryEntries,
    MemoryStore,
    StubUpstream,
    make_exchange,
    make_response,
)
from policylang.sdk.bench import run as drive
from policylang.sdk.replays import replay_space, replay_spaces
from policylang.sdk.shared_map import LONGEST, SharedMap, lifetime
from policylang.sdk.store import UNKNOWN, settled
from policylang.tree import compile_program
from policylang.tree.tree import Tree
from runtime.cluster.replays import Replays


def compiled(text: str) -> Tree:
    checked = check_text(text)
    assert checked.program is not None, checked.diagnostics
    return compile_program(checked.program)


def ask(tree: Tree, environment: BenchEnvironment, path: str, **given: Any) -> Any:
    """Status, and the body where it is JSON."""
    response = drive(tree.handle(make_exchange(environment, "GET", path, **given)), environment.clock)
    return response.status, json.loads(response.body) if response.body else None


# --- maps ----------------------------------------------------------------------------------------

MAPS = compiled("""
map table, ttl: 60s
service s "/{op}/{key}" {
    match path.op {
        "lookup"    -> { lookup path.key, in: map("table") -> found
                         respond 200, json: found }
        "once"      -> { lookup path.key, in: map("table"), once: true, optional: true -> found
                         respond 200, json: found }
        "store"     -> store path.key, int(request.query.value), in: map("table"), ttl: duration(request.query.ttl)
        "remember"  -> remember path.key, in: map("table"), value: int(request.query.value), ttl: 20s
        "forget"    -> forget path.key, in: map("table")
        "increment" -> { increment path.key, in: map("table"), by: int(request.query.value) ?? 1, ttl: 10s -> sum
                         respond 200, json: sum }
    }
    respond 204
}
""")  # fmt: skip
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["lookup", "lookup", "once", "store", "remember", "forget", "increment", "wait"]),
        st.sampled_from("ab"), st.integers(1, 30),
    ),
    max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(OPERATIONS)
def test_a_map_is_a_dictionary_whose_entries_end(operations: list[tuple[str, str, int]]) -> None:
    environment = BenchEnvironment()
    table: dict[str, tuple[int, float]] = {}
    now = 0.0
    for op, key, number in operations:
        if op == "wait":
            environment.clock.advance(number)
            now += number
            table = {key: entry for key, entry in table.items() if entry[1] > now}
            continue
        found = ask(MAPS, environment, f"/{op}/{key}?value={number}&ttl={number}s")
        there = table.get(key)
        if op == "lookup":
            assert found == ((200, there[0]) if there else (403, found[1]))
        elif op == "once":
            assert found == (200, there[0] if there else None)
            table.pop(key, None)
        elif op == "store":
            assert found == (204, None)
            table[key] = number, now + number
        elif op == "remember":
            assert found[0] == (409 if there else 204)
            table.setdefault(key, (number, now + 20))
        elif op == "forget":
            table.pop(key, None)
            assert found == (204, None)
        else:
            value, until = there or (0, now + 10)
            table[key] = value + number, until
            assert found == (200, value + number)


def test_a_reload_that_changes_little_keeps_the_entries() -> None:
    environment = BenchEnvironment()
    text = 'map m, ttl: {ttl}\nservice put "/put" {{\n store "k", 1, in: map("m")\n respond 204\n}}\n'
    text += 'service get "/get" {{\n lookup "k", in: map("m") -> v\n respond 200, json: v\n}}'
    assert ask(compiled(text.format(ttl="30m")), environment, "/put")[0] == 204
    assert ask(compiled(text.format(ttl="45m")), environment, "/get") == (200, 1)
    assert ask(compiled(text.format(ttl="2h")), environment, "/get")[0] == 403, "a map of another kind begins empty"
    assert SharedMap("m", 60, private=True).space != SharedMap("m", 60).space, "what was private stays so"


def test_lifetimes_are_few_and_cover_all() -> None:
    for seconds in (0.001, 1, 3600, 3601, 86400, 30 * 86400, 200 * 86400):
        assert lifetime(seconds) >= seconds
    assert lifetime(LONGEST) <= LONGEST - 10 and len({lifetime(day * 86400) for day in range(400)}) == 4
    assert {replay_space(day * 86400 + 1) for day in range(32)} <= set(replay_spaces())


def test_two_maps_do_not_mix() -> None:
    assert SharedMap("a", 60).space != SharedMap("b", 60).space
    environment = BenchEnvironment()
    tree = compiled("""
map a, ttl: 60s
map b, ttl: 60s
service put "/put" {
    store "k", 1, in: map("a")
    respond 204
}
service get "/get" {
    lookup "k", in: map("b"), optional: true -> v
    respond 200, json: v
}
""")
    assert ask(tree, environment, "/put")[0] == 204 and ask(tree, environment, "/get") == (200, None)


@pytest.mark.parametrize("key", ["a", 1, 1.5, True, ["a", 1], [["a"], "b"]])
def test_whatever_is_a_key_finds_what_it_stored(key: Any) -> None:
    environment = BenchEnvironment()
    tree = compiled("""
map m, ttl: 60s
service put "/put" {
    store request.json.k, "found", in: map("m")
    respond 204
}
service get "/get" {
    lookup request.json.k, in: map("m") -> v
    respond 200, json: v
}
""")
    body = orjson.dumps({"k": key})
    assert ask(tree, environment, "/put", body=body)[0] == 204
    assert ask(tree, environment, "/get", body=body) == (200, "found")
    assert ask(tree, environment, "/get", body=orjson.dumps({"k": "other"}))[0] == 403
    assert ask(tree, environment, "/put", body=b"{}")[0] == 400, "no key is no key"
    assert ask(tree, environment, "/get", body=b"{}")[0] == 403


def test_long_numbers_stay_exact_and_endless_ones_are_refused() -> None:
    environment = BenchEnvironment()
    tree = compiled("""
map m, ttl: 60s
service s "/" {
    increment "k", in: map("m"), by: request.json.by -> sum
    respond 200, json: sum
}
""")
    assert ask(tree, environment, "/", body=b'{"by": 100000000000000000000000}') == (200, 10**23)
    assert ask(tree, environment, "/", body=b'{"by": 1}') == (200, 10**23 + 1)
    assert ask(tree, environment, "/", body=b'{"by": 1e308}')[0] == 200
    assert ask(tree, environment, "/", body=b'{"by": 1e308}')[1]["detail"] == "the sum is too large for a number"
    assert ask(tree, environment, "/", body=b'{"by": "1"}')[0] == 400


@pytest.mark.parametrize("op", ["lookup", "once", "store", "remember", "forget", "increment"])
def test_while_the_store_is_away_it_is_an_error(op: str) -> None:
    environment = BenchEnvironment()
    environment.store.down = True
    status, problem = ask(MAPS, environment, f"/{op}/a?value=1&ttl=5s")
    assert (status, problem["title"]) == (503, "Store away") and not environment.defects


# --- not_replayed --------------------------------------------------------------------------------

ONCE = compiled('service s "/{id}" {\n not_replayed path.id, within: 60s\n respond 204\n}')


class Members(MemoryEntries):
    """A cluster's: always a coroutine, and every reply is lost `lost` times."""

    lost = 0

    def update(self, space: Space, key: bytes, change: Any, guess: object = UNKNOWN) -> Coroutine[Any, Any, Any]:
        async def later() -> Any:
            for _ in range(self.lost):
                await settled(MemoryEntries.update(self, space, key, change))
            return await settled(MemoryEntries.update(self, space, key, change))

        return later()

    def forget(self) -> None:
        self._spaces.clear()


def clustered() -> tuple[BenchEnvironment, Members]:
    environment = BenchEnvironment()
    environment.entries = members = Members(environment.clock, environment.store)
    environment.machine = MemoryEntries(environment.clock, MemoryStore())
    return environment, members


def test_one_own_token_back_is_one_own_retry() -> None:
    environment, members = clustered()
    members.lost = 2
    assert ask(ONCE, environment, "/a")[0] == 204
    assert ask(ONCE, environment, "/a")[0] == 403


def test_a_machine_knows_what_it_has_let_pass_when_all_members_begin_anew() -> None:
    environment, members = clustered()
    assert ask(ONCE, environment, "/a")[0] == 204
    members.forget()
    assert ask(ONCE, environment, "/a")[0] == 403
    assert ask(ONCE, environment, "/b")[0] == 204
    environment.clock.advance(61)
    assert ask(ONCE, environment, "/a")[0] == 403, "the clock of a gateway may be 2 s ahead"
    environment.clock.advance(1)
    assert ask(ONCE, environment, "/a")[0] == 204


def test_what_the_cluster_refused_this_machine_does_not_keep() -> None:
    environment, members = clustered()
    other, _ = clustered()
    other.entries = members
    assert ask(ONCE, other, "/a")[0] == 204
    assert ask(ONCE, environment, "/a")[0] == 403
    kept: Any = environment.machine.scan(replay_space(60), b"", 10)
    assert drive(settled(kept)) == []


@pytest.mark.parametrize("which", ["entries", "machine"])
def test_nothing_passes_while_it_cannot_be_remembered(which: str) -> None:
    environment, _ = clustered()
    getattr(environment, which)._store.down = True
    assert ask(ONCE, environment, "/a")[0] == 503


def test_nothing_passes_before_a_cluster_that_began_anew_is_whole() -> None:
    environment, _ = clustered()
    environment.whole = lambda: False
    began = environment.clock.monotonic()
    assert ask(ONCE, environment, "/a")[0] == 503
    assert environment.clock.monotonic() - began == 100_000_000, "it was waited for a little"
    environment.whole = lambda: environment.clock.monotonic() > began + 150_000_000
    assert ask(ONCE, environment, "/b")[0] == 204
    assert ask(ONCE, environment, "/a")[0] == 403, "nobody knows whether it had passed elsewhere"


def test_a_machine_puts_back_what_all_members_have_forgotten() -> None:
    environment, members = clustered()
    other, _ = clustered()
    other.entries, other.clock = members, environment.clock
    assert [ask(ONCE, environment, f"/{number}")[0] for number in range(50)] == [204] * 50
    environment.clock.advance(30)
    assert ask(ONCE, environment, "/late")[0] == 204
    members.forget()
    reports: list[str] = []
    replays = Replays(members, environment.machine, environment.clock, reports.append)
    drive(replays.put_back(), environment.clock)
    assert [ask(ONCE, other, f"/{number}")[0] for number in range(50)] == [403] * 50
    environment.clock.advance(32)
    assert ask(ONCE, other, "/7")[0] == 204, "it lives no longer than it was to"
    members.forget()
    drive(replays.put_back(), environment.clock)
    assert ask(ONCE, other, "/8")[0] == 204 and ask(ONCE, other, "/late")[0] == 403
    assert reports == []


def test_what_is_only_tried_refuses_nobody_while_the_store_is_away() -> None:
    text = 'service s "/{id}" {\n not_replayed path.id, within: 60s, log_only: true\n respond 204\n}'
    for environment in (BenchEnvironment(), clustered()[0]):
        tree = compiled(text)
        environment.store.down = True
        exchange = make_exchange(environment, "GET", "/a")
        assert drive(tree.handle(exchange), environment.clock).status == 204
        assert [told[3] for told in exchange.limits or ()] == ["uncounted"]
        assert [text for _, text in environment.logs] == ["nobody knows whether it is a replay: store: it is down"]


def test_long_ids_are_told_apart() -> None:
    environment = BenchEnvironment()
    long = "x" * 3000
    assert [ask(ONCE, environment, f"/{long}{end}")[0] for end in ("1", "2", "1")] == [204, 204, 403]


def test_statements_count_apart_unless_they_have_one_name() -> None:
    def once(name: str) -> str:
        return f'not_replayed request.id, within: 60s{name}'

    for name, status in (("", 204), (', name: "events"', 403)):
        tree = compiled(f'service s "/" {{\n {once(name)}\n {once(name)}\n respond 204\n}}')
        assert ask(tree, BenchEnvironment(), "/", id="r-1")[0] == status


# --- lockout -------------------------------------------------------------------------------------


def together(tree: Tree, environment: BenchEnvironment, count: int) -> list[Any]:
    """That many exchanges, all begun before any goes on."""
    running = [tree.handle(make_exchange(environment, "GET", "/")) for _ in range(count)]
    waiting, statuses = [], []
    for one in running:
        try:
            waiting.append((one, one.send(None)))
        except StopIteration as stop:
            statuses.append(stop.value.status)
    while waiting:
        for one, waiter in list(waiting):
            if not waiter.done:
                continue
            waiting.remove((one, waiter))
            try:
                waiting.append((one, one.send(None)))
            except StopIteration as stop:
                statuses.append(stop.value.status)
        environment.clock.jump()
    return statuses


LOGIN = 'upstream logins { server "http://127.0.0.1:9000" }\nservice s "/" {\n lockout client.ip, after: 5RULES {\n' \
        "  route logins\n }\n}"  # fmt: skip


def logins(status: int, after: float = 1.0) -> tuple[BenchEnvironment, StubUpstream]:
    environment = BenchEnvironment()
    stub = StubUpstream(lambda sent: make_response(status), clock=environment.clock, after=after)
    environment.upstreams = {"logins": stub}
    return environment, stub


def test_guesses_side_by_side_are_no_more_than_one_after_the_other() -> None:
    tree = compiled(LOGIN.replace("RULES", ""))
    environment, stub = logins(401)
    assert sorted(together(tree, environment, 50)) == [401] * 5 + [429] * 45
    assert len(stub.calls) == 5
    environment.clock.advance(60)
    assert sorted(together(tree, environment, 50)) == [401] + [429] * 49
    assert len(stub.calls) == 6
    assert [text for _, text in environment.logs] == [
        "locked for 1m after too many refusals", "locked for 2m after too many refusals",
    ]  # fmt: skip


def test_those_who_are_right_do_not_stand_in_each_others_way_for_long() -> None:
    tree = compiled(LOGIN.replace("RULES", ""))
    environment, _ = logins(200)
    assert sorted(together(tree, environment, 8)) == [200] * 5 + [429] * 3
    assert [ask(tree, environment, "/")[0] for _ in range(20)] == [200] * 20


def test_a_guess_whose_client_leaves_counts() -> None:
    tree = compiled(LOGIN.replace("RULES", ""))
    environment, _ = logins(401)
    for _ in range(5):
        left = tree.handle(make_exchange(environment, "GET", "/"))
        left.send(None)
        left.close()
    assert ask(tree, environment, "/")[0] == 429
    environment.clock.advance(600)
    assert ask(tree, environment, "/")[0] == 401


@pytest.mark.parametrize(
    "rules, status, calls",
    [("", 503, 0), (", when_down: allow", 401, 20), (", log_only: true", 401, 20)],
)
def test_a_lock_while_the_store_is_away(rules: str, status: int, calls: int) -> None:
    tree = compiled(LOGIN.replace("RULES", rules))
    environment, stub = logins(401, after=0.01)
    environment.store.down = True
    assert [ask(tree, environment, "/")[0] for _ in range(20)] == [status] * 20
    assert len(stub.calls) == calls
    assert len(environment.logs) == (1 if calls else 0), "at most one line a second"
    environment.clock.advance(1)
    ask(tree, environment, "/")
    assert len(environment.logs) == (2 if calls else 0)


def test_a_store_that_leaves_during_an_attempt_changes_no_outcome_and_forgives_nothing() -> None:
    tree = compiled(LOGIN.replace("RULES", ""))
    environment, stub = logins(200)

    def leaves(sent: Any) -> Any:
        environment.store.down = True
        return make_response(200)

    for number in range(5):
        stub.answers = [leaves]
        assert ask(tree, environment, "/")[0] == 200, number
        environment.store.down = False
    assert ask(tree, environment, "/")[0] == 429, "nobody knows how five attempts have ended"
    assert environment.logs[0][1].startswith("the attempt counts until 10m are over: store")


def test_a_refusal_by_the_inner_lock_is_no_guess_for_the_outer() -> None:
    tree = compiled("""
service s "/{name}" {
    lockout path.name, after: 3, name: "names" {
        lockout client.ip, after: 1, for: 1h {
            require path.name == "right"
        }
    }
    respond 204
}
""")
    environment = BenchEnvironment()
    assert [ask(tree, environment, "/ann")[0] for _ in range(10)] == [403] + [429] * 9
    assert [ask(tree, environment, "/ann", client=f"192.0.2.{last}")[0] for last in (2, 3, 4)] == [403, 403, 429]


def test_what_the_store_cannot_answer_is_no_pass() -> None:
    """An error of the store goes past `any` and `else`."""
    environment = BenchEnvironment()
    environment.store.down = True
    tree = compiled("""
map m, ttl: 60s
service s "/" {
    any {
        lookup "k", in: map("m") -> found
        log "no session"
    }
    respond 204
}
""")
    assert ask(tree, environment, "/")[0] == 503


def test_unavailable_is_what_they_raise() -> None:
    environment = BenchEnvironment()
    environment.store.down = True
    calls: list[Callable[[], Any]] = [
        lambda: drive(settled(environment.entries.read(SharedMap("m", 60).space, b"k"))),  # type: ignore[arg-type]
        lambda: environment.entries.read(Space("lockout", "passing", 60), b"k"),
    ]
    for call in calls:
        with pytest.raises(Unavailable):
            call()
