"""Quotas as the operator sees them: which there are, the paths, a worker's answers, the token."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_admin_server import TOKEN, Listener, Operated

from policylang.check import check_text
from policylang.sdk.bench import BenchEnvironment, make_exchange
from policylang.sdk.bench import run as drive
from policylang.tree import compile_program
from runtime.admin.messages import Refused, Request
from runtime.admin.quotas import question
from runtime.admin.server import AdminServer
from runtime.quotas.ledger import Ledger
from runtime.quotas.named import NamedQuota, named_quotas
from runtime.workers.quotas import QuotaAnswers

POLICY = """
assertion metered(who: string) {
    quota 100/day, per: who, name: "metered"
}

service one "/one/{id}" {
    if request.method == "POST" {
        quota 10/month, per: path.id, zone: "Europe/Istanbul"
    } else {
        any {
            quota rate(int(request.query.n ?? "7"), request.query.unit ?? "day"), per: path.id, name: "tier"
            quota 5/hour, per: path.id, name: "tier", zone: "Asia/Kolkata"
        }
    }
    metered who: path.id
    respond 200
}

service two "/two" {
    quota 3/day, per: request.bearer, name: "tokens", count: success
    quota 2/min, per: [client.ip, "x", 7], scope: node, name: "here"
    respond 200
}
"""


def program() -> Any:
    checked = check_text(POLICY)
    assert checked.program is not None, [str(found.message) for found in checked.diagnostics]
    return checked.program


class Worker(Operated):
    """A supervisor with one worker, which serves POLICY over a store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = BenchEnvironment()
        entries, clock = self.environment.entries, self.environment.clock
        self.ledger = Ledger(entries, entries, b"gateway1", clock, self.environment.defects.append)
        self.environment.quotas = self.ledger  # type: ignore[assignment]
        self.said: list[str] = []
        answers = QuotaAnswers(self.ledger, clock, self.said.append)
        checked = program()
        self.tree = compile_program(checked)
        answers.serve(named_quotas(checked))
        self.answerers: dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]] = {}
        taken: Any = self
        answers.give(taken)

    def give(self, what: str, answerer: Any) -> None:
        self.answerers[what] = answerer

    def ask(self, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        return json.loads(json.dumps(drive(self.answerers[what](arguments), self.environment.clock)))

    def request(self, method: str, path: str, **fields: str) -> int:
        exchange = make_exchange(self.environment, method, path, headers=fields)
        return drive(self.tree.handle(exchange), self.environment.clock).status

    def entries(self, what: str, name: str, key: str, kind: str = "text", **more: Any) -> list[dict[str, Any]]:
        arguments = {"name": name, "key": key, "kind": kind, "unit": None, **more}
        found: list[dict[str, Any]] = self.ask(f"quota.{what}", arguments, 1.0)["entries"]
        return found


@pytest.fixture
def worker() -> Worker:
    return Worker()


def test_a_policy_s_quotas_have_names(worker: Worker) -> None:
    found = {quota.name: quota for quota in named_quotas(program())}
    assert list(found) == ["here", "metered", "one path.id", "tier", "tokens"]
    assert found["here"].here and found["tokens"].private and not found["tier"].private
    tier: NamedQuota = found["tier"]
    assert tier.zones == ("Asia/Kolkata", "UTC") and tier.units == ("s", "min", "hour", "day", "month")
    assert found["one path.id"].units == ("month",) and found["one path.id"].zones == ("Europe/Istanbul",)
    listed = worker.ask("quota.list", {}, 1.0)["quotas"]
    assert [one["name"] for one in listed] == list(found) and listed[0]["scope"] == "node"


def test_what_a_key_has_used_is_found_by_the_text_that_the_policy_counts(worker: Worker) -> None:
    for _ in range(4):
        assert worker.request("POST", "/one/ann") == 200
    worker.request("POST", "/one/b%C3%B6b")
    (month,) = worker.entries("show", "one path.id", "ann")
    assert (month["key"], month["used"], month["left"], month["unit"]) == ("ann", 4, 6, "month")
    assert month["start"] == 1767214800, "midnight in Istanbul"
    assert worker.entries("show", "metered", "böb")[0]["used"] == 1
    page = worker.ask("quota.page", {"name": "metered"}, 1.0)
    assert [one["key"] for one in page["entries"]] == ["ann", "böb"] and page["next"] is None


def test_private_keys_are_shown_as_hashes_and_found_by_both(worker: Worker) -> None:
    worker.request("GET", "/two", authorization="Bearer secret")
    (shown,) = worker.ask("quota.page", {"name": "tokens"}, 1.0)["entries"]
    assert "key" not in shown and "secret" not in json.dumps(shown)
    assert worker.entries("show", "tokens", "secret")[0]["used"] == 1
    assert worker.entries("show", "tokens", shown["hash"], "hash")[0]["used"] == 1


def test_keys_that_are_lists_and_quotas_of_one_machine(worker: Worker) -> None:
    worker.request("GET", "/two", authorization="Bearer secret")
    (shown,) = worker.entries("show", "here", '["192.0.2.1", "x", 7]', "json")
    assert (shown["key"], shown["used"], shown["unit"]) == (["192.0.2.1", "x", 7], 1, "min")


def test_a_change_says_which_period_where_there_are_several(worker: Worker) -> None:
    worker.request("GET", "/one/ann?unit=day&n=1")
    worker.request("GET", "/one/ann?unit=day&n=1")  # refused, and counted by the hour
    assert {one["unit"] for one in worker.entries("show", "tier", "ann")} == {"day", "hour"}
    with pytest.raises(Refused, match="several counts: say which by its unit, hour or day") as refused:
        worker.entries("set", "tier", "ann", units="0")
    assert refused.value.status == 409
    (day,) = worker.entries("set", "tier", "ann", units="0", unit="day")
    assert (day["used"], day["left"]) == (0, 1)
    assert worker.said == ["the operator has changed the quota `tier`: set to 0 used"]
    worker.request("GET", "/one/ann?unit=day&n=1")
    assert [one["used"] for one in worker.entries("show", "tier", "ann", unit="hour")] == [1]


def test_units_are_given_and_taken(worker: Worker) -> None:
    (given,) = worker.entries("add", "one path.id", "eve", units="5")
    assert given["used"] == -5
    assert [worker.request("POST", "/one/eve") for _ in range(16)] == [200] * 15 + [429]
    worker.entries("add", "one path.id", "eve", units="-3")
    assert worker.entries("show", "one path.id", "eve")[0]["left"] == 0
    worker.entries("add", "one path.id", "eve", units="4")
    assert [worker.request("POST", "/one/eve") for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    "what, arguments, status, said",
    [
        ("show", {"name": "none"}, 404, "no quota `none`"),
        ("show", {"name": "metered"}, 404, "nothing was used"),
        ("set", {"name": "tier", "units": "1"}, 404, "say by which unit"),
        ("set", {"name": "metered", "units": "x"}, 400, "no whole number"),
        ("add", {"name": "metered", "units": "9" * 30}, 400, "too many"),
        ("show", {"name": "metered", "kind": "json", "key": "{"}, 400, "no JSON"),
        ("show", {"name": "metered", "kind": "hash"}, 400, "no digits of a hash"),
        ("show", {"name": "metered", "unit": "week"}, 400, "`week` is no unit"),
        ("page", {"name": "metered", "after": "x"}, 400, "the `next`"),
    ],
)
def test_what_cannot_be_done_says_why(
    worker: Worker, what: str, arguments: dict[str, Any], status: int, said: str
) -> None:
    with pytest.raises(Refused, match=said) as refused:
        worker.ask(f"quota.{what}", {"key": "ann", "kind": "text", **arguments}, 1.0)
    assert refused.value.status == status


def test_a_page_ends_and_the_next_goes_on(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.workers.quotas.MOST", 3)
    for number in range(8):
        worker.request("POST", f"/one/c{number}")
    found, after = [], "0."
    while after is not None:
        page = worker.ask("quota.page", {"name": "one path.id", "after": after}, 1.0)
        found += [one["key"] for one in page["entries"]]
        after = page["next"]
    assert found == [f"c{number}" for number in range(8)]
    worker.environment.clock.advance(40 * 86400)
    assert worker.ask("quota.page", {"name": "one path.id"}, 1.0) == {"entries": [], "next": None}


# --- paths -------------------------------------------------------------------------------------------


def asked(method: str, path: str) -> tuple[str, dict[str, Any]]:
    path, _, query = path.partition("?")
    return question(Request(method, path, query, {}, 0))


def test_paths() -> None:
    assert asked("GET", "/quotas") == ("quota.list", {})
    assert asked("GET", "/quotas/one%20path.id?after=0.ab") == ("quota.page", {"name": "one path.id", "after": "0.ab"})
    key = {"name": "a/b", "key": "c/d", "kind": "json", "unit": "day"}
    assert asked("GET", "/quotas/a%2Fb/c%2Fd?key=json&unit=day") == ("quota.show", key)
    assert asked("POST", "/quotas/a%2Fb/c%2Fd?key=json&unit=day&used=3") == ("quota.set", {**key, "units": "3"})
    assert asked("POST", "/quotas/a%2Fb/c%2Fd?key=json&unit=day&add=-3") == ("quota.add", {**key, "units": "-3"})


@pytest.mark.parametrize(
    "method, path, status",
    [("POST", "/quotas", 405), ("DELETE", "/quotas/a/b", 405), ("POST", "/quotas/a/b", 400),
     ("POST", "/quotas/a/b?used=1&add=1", 400), ("GET", "/quotas/%FF", 400), ("GET", "/quotas?x", 400)],
)  # fmt: skip
def test_paths_that_are_none(method: str, path: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        asked(method, path)
    assert refused.value.status == status


@pytest.fixture
def tcp(tmp_path: Path) -> Iterator[Listener]:
    operated = Worker()
    server = AdminServer("127.0.0.1:0", TOKEN, operated, tmp_path)
    server.start()
    try:
        yield Listener(server, operated)
    finally:
        server.close()


def test_over_tcp_reading_and_changing_need_the_token(tcp: Listener) -> None:
    assert tcp.ask("/quotas")[0] == tcp.ask("/quotas/metered/ann?used=1", "POST")[0] == 401
    token = {"Authorization": f"Bearer {TOKEN}"}
    status, _, body = tcp.ask("/quotas/metered/ann?used=1", "POST", **token)
    assert status == 200 and json.loads(body)["entries"][0]["used"] == 1
    assert tcp.ask("/quotas/metered/ann", **token)[0] == 200
    assert tcp.ask("/quotas/metered/nobody", **token)[0] == 404
    tcp.operated.changed["draining"] = True
    assert tcp.ask("/quotas/metered/ann?used=1", "POST", **token)[0] == 409
    assert tcp.ask("/quotas/metered/ann", **token)[0] == 200
