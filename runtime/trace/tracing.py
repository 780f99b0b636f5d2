"""Tracing in one worker: which exchanges are recorded, and to whom their journals are told.

While nobody follows and no request shows a token nothing here is called. A request with a token takes the closer look
that other rare fields get; while somebody follows, the edge's `handle` and `on_done` are those of this module.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from policylang.diagnostics.nearest import nearest
from policylang.diagnostics.text import render
from policylang.sdk import Client, Clock, Exchange, Failed, Failure, Field, Kind, Request, Response, Waiter
from policylang.sdk.static_types import BOOLEAN, JSON
from policylang.trace.document import document
from policylang.trace.expression import Floor, Question, Wrong
from policylang.trace.outline import outline_of
from policylang.trace.plan import paths
from policylang.trace.reading import shortened, to_field
from policylang.trace.recorded import Recorded
from runtime.admin.messages import Refused
from runtime.trace.tokens import LONGEST_LIFE, USUAL_LIFE, Grant, issue, read
from runtime.workers.aside import aside

if TYPE_CHECKING:
    from policylang.check.program import Program
    from runtime.edge.edge import Edge, Handler, OnDone, OnRefused
    from runtime.edge.request import Granted
    from runtime.wire.limits import WireError
    from runtime.wire.request import RequestHead
    from runtime.workers.answers import Answers
    from runtime.workers.control import Channel

JOURNALS_A_SECOND: Final = 100
"""That one worker tells to its followers, and BYTES_A_SECOND of them; what is beyond is counted. None is longer than
these alone: of one that were, a follower's queue might never have the room."""
BYTES_A_SECOND: Final = 512 * 1024


Found: TypeAlias = "Question | BaseException | None"
"""What has become of a follower's expression: None where it has none, and follows every exchange."""


class Order(NamedTuple):
    """What the supervisor says of a follower."""

    id: int
    expression: str
    service: str


class PolicyTraces:
    """What of one policy's exchanges is told. `questions`: of the followers, by their numbers; None: every one.

    `found`: what was compiled for it before it was served, so that no exchange is missed."""

    __slots__ = ("found", "program", "questions")

    def __init__(self, program: Program, found: Mapping[int, Found]) -> None:
        self.program = program
        self.found = found
        self.questions: dict[int, Question | None] = {}


class _Followed:
    def __init__(self, order: Order) -> None:
        self.order = order
        self.lost = self.unread = 0  # not told yet


class Tracing:
    """One for a worker. `key`: of the tokens; empty: there are none. `channel`: to the supervisor, from the start on.

    Journals are sent when everything before them has been, else they are lost: nothing here waits. `log` is told who
    may see what; `defect` logs a mistake of ours and gives its id. `counted`: the outcomes, by whom they were for.
    """

    def __init__(
        self, edge: Edge, clock: Clock, key: bytes, log: Callable[[str], None], defect: Callable[[BaseException], str]
    ) -> None:
        self.channel: Channel | None = None
        self.counted: Counter[tuple[str, str]] = Counter()
        self._edge = edge
        self._clock = clock
        self._key = key
        self._log = log
        self._defect = defect
        self._followed: dict[int, _Followed] = {}
        self._traces: PolicyTraces
        self._handle: Handler
        self._on_done: OnDone | None = None
        self._on_refused: OnRefused | None = None
        self._second = 0
        self._journals = self._bytes = 0  # that may still be told in it
        if key:
            edge.grant = self._granted

    def give(self, answers: Answers) -> None:
        """Answer what an operator asks."""
        answers.give("trace.token", self._token)
        answers.give("trace.sources", self._sources)

    @property
    def orders(self) -> list[Order]:
        """Who follows: what `compiled_for` needs."""
        return [followed.order for followed in self._followed.values()]

    def serve(self, program: Program, found: Mapping[int, Found] = MappingProxyType({})) -> PolicyTraces:
        """The edge has begun to use this one; its exchanges' environment is to have the result as `traces`.

        Followers whose expression does not fit it are told so, and follow no more. `found`: of `compiled_for`.
        """
        edge = self._edge
        self._handle, self._on_done, self._on_refused = edge.handle, edge.on_done, edge.on_refused
        self._traces = PolicyTraces(program, found)
        for followed in list(self._followed.values()):
            self._take_up(followed.order)
        self._watch()
        return self._traces

    # --- tokens ---

    def _granted(self, exchange: Exchange, token: bytes) -> Granted | None:
        """`Edge.grant`. A token that was not issued here is as none."""
        grant = read(self._key, token)
        program = self._traces.program
        void = "unknown" if grant is None else grant.void(program.hash, self._clock.wall())
        if grant is None or void:
            self.counted["caller", void] += 1
            return None if grant is None else Void(void)
        exchange.journal = journal = Recorded(exchange)
        exchange.at_end(journal.release)
        return Told(grant, program, self.counted)

    async def _token(self, arguments: dict[str, Any]) -> dict[str, Any]:
        service, seconds = arguments.get("service", ""), arguments.get("for", str(USUAL_LIFE))
        check_service(self._traces.program, service)
        if not (seconds.isascii() and seconds.isdecimal() and 1 <= int(seconds[:9]) <= LONGEST_LIFE):
            raise Refused(422, "wrong-time", f"a token is good for 1 to {LONGEST_LIFE} seconds")
        grant = Grant(service, self._traces.program.hash, round(self._clock.wall() + int(seconds), 3))
        whose = f" of service `{service}`" if service else ""
        self._log(f"an operator has got a token for journals{whose}, good for {seconds} s")
        return {"token": issue(self._key, grant), "service": service, "policy": grant.policy, "expires": grant.until}

    async def _sources(self, arguments: dict[str, Any]) -> dict[str, Any]:
        program = self._traces.program
        return {"policy": program.hash, "files": {source.name: source.text for source in program.sources}}

    # --- followers ---

    def follow(self, order: Order) -> None:
        self._followed[order.id] = _Followed(order)
        self._take_up(order)
        self._watch()

    def unfollow(self, number: int) -> None:
        self._followed.pop(number, None)
        self._traces.questions.pop(number, None)
        self._watch()

    def _take_up(self, order: Order) -> None:
        """Have its expression compiled, in a thread, for the policy that is served now, unless it was before."""
        number, traces = order.id, self._traces

        def taken_up(found: Found) -> None:
            if number not in self._followed or traces is not self._traces:
                return  # it has left, or another policy has come, for which it is compiled anew
            error = ""
            if isinstance(found, BaseException):
                error = found.detail if isinstance(found, Refused) else f"a defect of ours: {self._defect(found)}"
                self.unfollow(number)
            else:
                traces.questions[number] = found
            self._send({"did": "follows", "id": number, "error": error})

        if number in traces.found:
            taken_up(traces.found[number])
        else:
            aside(self._edge.loop, lambda: asked_of(traces.program, order), taken_up)

    def _watch(self) -> None:
        """Look at every exchange while somebody follows, and at none otherwise."""
        edge = self._edge
        if self._followed:
            edge.handle, edge.on_done, edge.on_refused = self._recorded, self._ended, self._refused
        else:
            edge.handle, edge.on_done, edge.on_refused = self._handle, self._on_done, self._on_refused
        edge.traced = edge.on_done is not None or edge.timing

    def _recorded(self, exchange: Exchange) -> Coroutine[Waiter[Any], None, Response]:
        """`Edge.handle` while somebody follows."""
        if not isinstance(exchange.journal, Recorded):  # else its caller has shown a token
            exchange.journal = journal = Recorded(exchange)
            exchange.at_end(journal.release)
        return self._handle(exchange)

    def _ended(
        self, exchange: Exchange, status: int, received: int, sent: int, ended: int, head: RequestHead, host: str
    ) -> None:
        """`Edge.on_done` while somebody follows."""
        if self._on_done is not None:
            self._on_done(exchange, status, received, sent, ended, head, host)
        if not isinstance(exchange.journal, Recorded):
            return  # it began before
        answered = exchange.response
        if answered is None or answered.status != status:
            exchange.response = Response(status, [])  # the client got the edge's own answer, or none
        self._tell(exchange, status, ended)
        exchange.response = answered

    def _refused(self, client: str, error: WireError) -> None:
        """`Edge.on_refused` while somebody follows. What was sent is not told: nobody has looked what is private."""
        if self._on_refused is not None:
            self._on_refused(client, error)
        now = self._clock.monotonic()
        exchange = Exchange(Request("", "", None, []), Client(client, 0), self._edge.environment, now)
        exchange.failure = Failure(error.name, error.status, error.detail, kind=Kind.ERROR)
        exchange.response = Response(error.status, [])
        try:
            self._tell(exchange, error.status, now)
        except Exception as mistake:  # our own, and the connection must be closed as ever
            self._defect(mistake)

    def _wants(self, number: int, exchange: Exchange, traces: PolicyTraces) -> bool:
        followed = self._followed.get(number)
        if followed is None or (followed.order.service and followed.order.service != exchange.service):
            return False
        asked = traces.questions[number]
        if asked is None:
            return True
        try:
            return asked(exchange) is True
        except Failed:
            followed.unread += 1
            return False

    def _tell(self, exchange: Exchange, status: int, ended: int) -> None:
        traces: PolicyTraces = exchange.environment.traces  # type: ignore[attr-defined]
        wanted = [number for number in traces.questions if self._wants(number, exchange, traces)]
        if not wanted:
            return
        second = ended // 1_000_000_000
        if second != self._second:
            self._second, self._journals, self._bytes = second, JOURNALS_A_SECOND, BYTES_A_SECOND
        channel = self.channel
        if self._journals > 0 and self._bytes > 0 and channel is not None and not channel.unsent:
            text = line_of(told(exchange, status, traces.program))
            self._journals -= 1
            self._bytes -= len(text)
            channel.send({"did": "journal", "to": wanted, "text": text})
            self.counted["follower", "told"] += 1
            return
        self.counted["follower", "left_out"] += 1
        for number in wanted:
            self._followed[number].lost += 1

    def tell_missed(self) -> None:
        """Once a second: what could not be told."""
        for number, followed in self._followed.items():
            if followed.lost or followed.unread:
                self._send({"did": "missed", "id": number, "lost": followed.lost, "unread": followed.unread})
                followed.lost = followed.unread = 0

    def _send(self, message: dict[str, Any]) -> None:
        if self.channel is not None:
            self.channel.send(message)


def check_service(program: Program, name: str) -> None:
    """Raises Refused for one that the policy does not have; empty stands for all of them."""
    names = [service.name for service in program.services]
    if name and name not in names:
        near = nearest(name, names)
        more = f": did you mean `{near}`?" if near else ""
        raise Refused(422, "unknown-service", f"the policy has no service `{name}`{more}")


def compiled_for(program: Program, orders: Iterable[Order]) -> dict[int, Found]:
    """What will be asked of this policy's exchanges."""
    found: dict[int, Found] = {}
    for order in orders:
        try:
            found[order.id] = asked_of(program, order)
        except Exception as error:  # who follows is told when the policy is served
            found[order.id] = error
    return found


def asked_of(program: Program, order: Order) -> Question | None:
    """The compiled expression; None where there is none. Raises Refused, with what the author is shown."""
    _, expression, service = order
    check_service(program, service)
    hidden = outline_of(program).hidden  # it is kept for the journals: 0.1 s of 10,000 lines that the loop is spared
    if not expression:
        return None
    floor = Floor(program, service)
    asked = floor.unit.surroundings.asked
    asked.clear()  # what the policy's constants are made of
    floor.walk.state.response = "set"  # who is over has one: `_ended` sees to it
    try:
        found = floor.expression(expression)
    except Wrong as wrong:
        raise Refused(422, "wrong-expression", render(wrong.diagnostics).rstrip("\n")) from None
    if found.type.sure() not in (BOOLEAN, JSON.sure()):
        detail = f"the expression is a {found.type.sure()}, and decides nothing: compare it with something"
        raise Refused(422, "wrong-expression", detail)
    # Whoever may follow could guess at it, a letter at a time.
    if found.private or any(map(hidden.named, paths(found.expr))):
        raise Refused(422, "private-expression", "the expression reads something private, of which no journal tells")
    for word, _ in sorted(asked):
        detail = f"the expression reads `{word}`, which is no business of who follows"
        raise Refused(422, "private-expression", detail)
    return found


class Void(NamedTuple):
    """A token that was issued here, and grants nothing (any more). Its holder may know why."""

    why: str

    def fields(self, exchange: Exchange, status: int) -> list[Field]:
        return [(b"polgate-trace", b"Polgate-Trace", self.why.encode())]


class Told(NamedTuple):
    """A token that grants the journal of its service's exchanges."""

    grant: Grant
    program: Program
    counted: Counter[tuple[str, str]]

    def fields(self, exchange: Exchange, status: int) -> list[Field]:
        if self.grant.service and exchange.service != self.grant.service:
            self.counted["caller", "other-service"] += 1
            return Void("other-service").fields(exchange, status)
        try:
            value = to_field(told(exchange, status, self.program))
        except Exception as error:  # our own mistake, and the answer must go out
            exchange.environment.defect(error, exchange)
            return []
        self.counted["caller", "told" if value else "left_out"] += 1
        # Whoever keeps answers for others must not keep this one.
        return [(b"polgate-journal", b"Polgate-Journal", value), (b"cache-control", b"Cache-Control", b"no-store")]


def line_of(document: dict[str, Any]) -> str:
    """In ASCII alone, which a lone surrogate can be said in. Entries in the middle are left out of what is too long."""
    while True:
        text = json.dumps(document)
        count = len(document["entries"])
        if len(text) <= BYTES_A_SECOND or not count:
            return text
        document = shortened(document, min(count - 1, count * BYTES_A_SECOND // len(text)))


def told(exchange: Exchange, status: int, program: Program) -> dict[str, Any]:
    """The journal as it is told. `status`: what the client got, which is the edge's own where the policy gave none."""
    return {**document(exchange, program), "status": status}
