"""One policy on a gateway without a network: the compiled tree, stores in memory, stubbed upstreams, a clock that
stands still."""

from __future__ import annotations

from typing import Any

from policylang.check import program as p
from policylang.record import record
from policylang.sdk.bench import BenchEnvironment, VirtualClock, make_fields, run
from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.message import Message
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.testing.asked import whole
from policylang.testing.stubs import Planned, StubbedUpstream
from policylang.testing.told import Call
from policylang.testing.world import bodies_of, set_in
from policylang.trace.document import document
from policylang.trace.incoming import Incoming
from policylang.trace.masking import Mask
from policylang.trace.outline import outline_of
from policylang.trace.recorded import Recorded
from policylang.tree import Tree, compile_program
from policylang.tree.outcome import RESPONDED
from policylang.tree.problem import problem
from policylang.tree.values import PRIVATE

LONGEST_BODY = 2000
"""Characters of a body in a document."""
MOST_CALLS = 50
"""Requests to upstreams in a document."""
ANSWER = Planned(200, tuple(make_fields({"Content-Type": "application/json"})), b"{}")
"""What an upstream answers that was told nothing."""


@record
class Answered:
    """An exchange that is over. `document` has also `answer`, as the client has it, and what upstreams `received`."""

    exchange: Exchange
    document: dict[str, Any]


class Offline:
    """Raises ValueError where the program cannot be compiled: the checker lets none such through."""

    def __init__(
        self, program: p.Program, answers: dict[str, list[Planned]] | None = None, epoch: float | None = None,
        tree: Tree | None = None,
    ) -> None:  # fmt: skip
        self.program = program
        self.tree = tree or compile_program(program)
        self._told = answers, epoch
        self.clock = VirtualClock() if epoch is None else VirtualClock(epoch)
        self.requests = 0
        self.upstreams: dict[str, StubbedUpstream] = {}
        for upstream in program.upstreams:
            head = next(each.values["head"].seconds for each in upstream.settings if each.name == "timeouts")
            made = self.upstreams[upstream.name] = StubbedUpstream(self.clock, head, _not_asked)
            made.plan((answers or {}).get(upstream.name) or [ANSWER])
        self.environment: Any = BenchEnvironment(
            clock=self.clock, upstreams=self.upstreams, bodies=bodies_of(program)
        )
        self.environment.name = set_in(program, "name")["text"]

    def begin(self, incoming: Incoming) -> Exchange:
        """An exchange that nothing has been asked of yet."""
        self.requests += 1
        found = incoming.exchange(self.environment, self.requests)
        found.journal = Recorded(found)
        return found

    @property
    def defect(self) -> BaseException | None:
        """The last mistake of ours, or of a plug-in, that an exchange met."""
        found: list[BaseException] = self.environment.defects
        return found[-1] if found else None

    def warm(self, incoming: Incoming) -> None:
        """Ask once elsewhere, so that times are not those of what is done but once: imports, plans, parsers."""
        Offline(self.program, *self._told, self.tree).send(incoming)

    def met(self, incoming: Incoming) -> Exchange:
        """An exchange whose service is found, and nothing of it has run."""
        exchange = self.begin(incoming)
        request = exchange.request
        if exchange.failure is None:
            try:
                service, exchange.path, _ = self.tree.find(request.host, request.path, request.method)
            except Failed as failed:
                exchange.failure = failed.failure
            else:
                exchange.service = "" if service is None else service.name
        return exchange

    def send(self, incoming: Incoming) -> Answered:
        """Ask the whole policy. While it waits for time, time passes."""
        exchange = self.begin(incoming)
        before = {name: (len(each.calls), len(each.mirrored)) for name, each in self.upstreams.items()}
        if exchange.failure is not None:
            exchange.response = problem(exchange.failure, exchange.request)
        else:
            exchange.response = run(self.tree.handle(exchange), self.clock)
        assert exchange.response is not None
        response = exchange.response = whole(exchange, exchange.response)
        end(exchange)
        mask = Mask(outline_of(self.program).hidden, exchange)
        private = _private_answer(exchange)
        found = document(exchange, self.program)
        found["received"] = [
            {"upstream": name, "copy": copy, **_received(name, call, mask)}
            for name, each in self.upstreams.items()
            for copy, calls in (
                (False, each.calls[before[name][0] :]), (True, each.mirrored[before[name][1] :])
            )
            for call in calls
        ][:MOST_CALLS]  # fmt: skip
        found["answer"] = {"status": response.status, **_message(response, mask, private)}
        return Answered(exchange, found)


def end(exchange: Exchange) -> None:
    """Its answer is written, or nobody waits for it: what it holds is given back."""
    calls, exchange.ends = exchange.ends or (), None
    for call in calls:
        call()


def _not_asked(exchange: Exchange) -> Failed:
    return Failed(Failure("upstream-unreachable", 502, kind=Kind.ERROR))


def _private_answer(exchange: Exchange) -> frozenset[str]:
    """What of the answer some `respond` has made of private values: names of fields, and "" for the body."""
    found: set[str] = set()
    for place, outcome in exchange.journal or ():
        statement = place.statement
        if outcome is RESPONDED and isinstance(statement, p.Respond):
            found = {name.lower() for name, value in statement.headers if value.private}
            if any(expr is not None and expr.private for expr in (statement.body, statement.json)):
                found.add("")
    return frozenset(found)


def _received(name: str, call: Call, mask: Mask) -> dict[str, Any]:
    query = mask.query(None if call.query is None else call.query.encode("utf-8", "surrogatepass"))
    target = mask.path(call.path) + ("" if query is None else f"?{query}")
    if name in mask.hidden.targets or mask.writes("request", "path") or mask.writes("request", "query"):
        target = PRIVATE
    return {"method": call.method, "target": target, "host": mask.text(call.host), **_message(call.message, mask)}


def _message(message: Message, mask: Mask, private: frozenset[str] = frozenset()) -> dict[str, Any]:
    """`fields` as pairs, and `body` where there is one: as text without credentials, cut where it is long."""
    side = "response" if isinstance(message, Response) else "request"
    fields = [
        [field[1].decode("latin-1"), PRIVATE if field[0].decode("latin-1") in private else mask.field(field, side)]
        for field in message.headers
    ]
    body = message.body
    if not body:
        return {"fields": fields}
    if "" in private or mask.writes(side, "body"):
        return {"fields": fields, "body": PRIVATE}
    try:
        if message.content_type == "application/x-www-form-urlencoded":
            text = mask.query(message.text.encode()) or ""
        else:
            text = mask.body(message.text)
    except Failed:
        text = f"({len(body)} bytes that are no text)"
    if len(text) > LONGEST_BODY:
        text = f"{text[:LONGEST_BODY]}… ({len(body)} bytes)"
    return {"fields": fields, "body": text}
