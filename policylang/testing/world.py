"""The world of one test: a clock that stands still, gateways with what they share, upstreams, and who asks.

It is the environment of the exchange that the test itself runs on; the policy's exchanges have a `Node` each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from policylang.check.surroundings import Given
from policylang.diagnostics import Diagnostic
from policylang.diagnostics.nearest import nearest
from policylang.sdk.bench import VirtualClock
from policylang.sdk.certificate import Certificate
from policylang.sdk.circuits import Circuits
from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.limits import BodyLimits
from policylang.sdk.lines import Lines
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.sdk.values import Duration
from policylang.testing.asked import NO_ANSWER, Asked
from policylang.testing.stores import Reached, Stores
from policylang.testing.stubs import StubbedUpstream
from policylang.testing.told import Answer

if TYPE_CHECKING:
    from policylang.check.program import Program
    from policylang.tree.tree import Tree

GIVES_UP, NOTICED = 10.0, 12.0
"""Seconds without the store after which a gateway has lost its permits, and after which others may have them."""
LOST = "permit-lost"
GATEWAY = "gateway"
"""The name of the one gateway of a test that says nothing of gateways."""


class Broken(Exception):
    """The test cannot be asked: it, or the policy, is wrong in a way that no expectation is about."""


class WrongPolicy(Broken):
    """The policy has errors in the surroundings that the test gives it."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("the policy is wrong in these surroundings")
        self.diagnostics = tuple(diagnostics)


class Trees(Protocol):
    def tree(self, given: Given) -> Tree:
        """The policy as compiled in these surroundings. Raises WrongPolicy."""
        ...


class Node:
    """One gateway: `policylang.sdk.exchange.Environment`. The draws are the same in each run of a test."""

    def __init__(self, world: World, name: str, reached: Reached, program: Program) -> None:
        self.name = set_in(program, "name")["text"]
        self.version = "test"
        self.node = name
        self.clock = world.clock
        self.reach = reached.reach
        self.store = reached.rates
        self.entries = reached.entries
        self.machine = reached.machine
        self.permits = reached.permits
        self.quotas = reached.quotas
        self.caches = reached.caches
        self.upstreams: Mapping[str, StubbedUpstream] = world.upstreams
        self.bodies = bodies_of(program)
        self.draw = Random(name).random
        self.circuit = Circuits().get
        self.lines = Lines()
        self._world = world

    def whole(self) -> bool:
        return True

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self._world.logs.append({"level": level, "text": text, "service": exchange.service, "gateway": self.node})

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        self._world.defects.append(error)
        return f"defect-{len(self._world.defects)}"


class World:
    def __init__(self, trees: Trees, program: Program, observe: Callable[[Tree, Exchange], None] | None) -> None:
        self.name = self.version = self.node = ""
        self.clock = VirtualClock()
        self.given = Given()
        self.logs: list[dict[str, Any]] = []
        self.defects: list[BaseException] = []
        self.callers: dict[str, Mapping[str, Any]] = {}
        self.certificates: dict[str, Certificate] = {}
        self.requests = 0
        self.rounds = 0
        self.last: Asked | None = None
        self.looked_at: Asked | None = None
        self.group: list[Asked] = []
        self.together: list[Asked] | None = None
        self.running: list[Asked] = []
        self.broken: list[str] = []
        self.wrong: tuple[Diagnostic, ...] = ()
        self.make_journal: Callable[[Exchange], list[Any]] | None = None
        self.bodies = BodyLimits()  # of the test's own exchange
        self._trees = trees
        self._program = program
        self._tree: Tree | None = None
        self._observe = observe
        self._ready: deque[Callable[[], None]] = deque()
        self.upstreams = {each.name: self._stubbed(each.name) for each in program.upstreams}
        self._stores = Stores(self.clock, set_in(program, "store")["deadline"].seconds)
        self.nodes: dict[str, Node] = {}
        self.set_gateways([GATEWAY])

    # --- what is there ---

    def _stubbed(self, name: str) -> StubbedUpstream:
        settings = next(each for each in self._program.upstreams if each.name == name).settings
        head = next(one.values["head"].seconds for one in settings if one.name == "timeouts")

        def unasked(exchange: Exchange) -> Failed:
            request = exchange.request
            said = f"`{name}` is asked for {request.method} {request.path}, and no `stub {name}` says what it answers"
            self.broken.append(said)
            return Failed(Failure("not-stubbed", 502, said, kind=Kind.DEFECT))

        return StubbedUpstream(self.clock, head, unasked)

    def set_gateways(self, names: list[str]) -> None:
        count = len(names)
        self.nodes = {name: Node(self, name, self._stores.reached(count), self._program) for name in names}

    @property
    def keeps(self) -> bool:
        """Whether something is in the store."""
        return not self._stores.entries.empty

    @property
    def entries(self) -> Any:
        """Those of the store that all share."""
        return next(iter(self.nodes.values())).entries

    def reach_store(self, name: str | None, away: bool | None, delay: float | None) -> None:
        """How one gateway, or each, reaches the store from here on; None: as before."""
        for node in [self.node_of(name)] if name is not None else self.nodes.values():
            reach = node.reach
            reach.away = reach.away if away is None else away
            reach.delay = reach.delay if delay is None else delay
            if not reach.down:
                reach.since = None
            elif reach.since is None:
                reach.since = since = self.clock.monotonic()
                self.clock.sleep(GIVES_UP).callback = partial(self._lose_permits, node, since)

    def _lose_permits(self, node: Node, since: int) -> None:
        if node.reach.since != since:
            return  # it has come back meanwhile
        for permit in node.permits.lost():
            self.clock.sleep(NOTICED - GIVES_UP).callback = partial(node.permits.freed, permit.key)
            whole = permit.exchange.origin or permit.exchange
            for asked in self.running:
                if asked.exchange is whole and asked.response is None:
                    asked.cut(Failure(LOST, 503, "its permit could not be renewed in time", kind=Kind.AWAY))

    def node_of(self, name: str | None) -> Node:
        if name is None:
            return next(iter(self.nodes.values()))
        found: Node = known(self.nodes, name, "gateway")
        return found

    def change(self, given: Given) -> None:
        """Other surroundings, from the next request on: as when the policy is loaded anew."""
        self.given = given
        self._tree = None

    @property
    def tree(self) -> Tree:
        if self._tree is None:
            self._tree = self._trees.tree(self.given)
            for node in self.nodes.values():
                node.bodies = bodies_of(self._tree.program)
        return self._tree

    # --- asking ---

    def ask(self, exchange: Exchange, refused: Response | None) -> None:
        """Have a request answered, or within `together` begun. `refused`: what the edge has said to it already."""
        self.requests += 1
        tree = self.tree
        if self.make_journal is not None:
            exchange.journal = self.make_journal(exchange)
        elif self._observe is not None:
            exchange.journal = []
        asked = Asked(tree, exchange, tree.handle(exchange), self._ready, self.requests)
        if self.together is not None:
            self.together.append(asked)
        self.running = [asked] if self.together is None else self.together
        if refused is not None:
            asked.give_up()
            asked.answered(refused)
        else:
            asked.step()
        if self.together is None:
            self.settle([asked])

    def settle(self, group: list[Asked]) -> None:
        """Wait for all of them: while every one waits for time, it passes."""
        ready = self._ready
        waiting = deque(group)
        while True:
            while ready:
                ready.popleft()()
            while waiting and waiting[0].response is not None:
                waiting.popleft()
            if not waiting:
                break
            if not self.clock.jump():
                for each in waiting:
                    if each.response is None:
                        each.give_up()
                raise Broken("a request waits for what never comes")
        self.group = group
        self.last = group[-1] if group else self.last
        self.looked_at = None
        if self._observe is not None:
            for each in group:
                self._observe(each.tree, each.exchange)

    def pass_time(self, seconds: float) -> None:
        clock, ready = self.clock, self._ready
        end = clock.monotonic() + round(seconds * 1e9)
        while clock.jump(end):
            while ready:
                ready.popleft()()
        clock.advance((end - clock.monotonic()) / 1e9)

    def trouble(self) -> Failure | None:
        """What ends the test here: it cannot go on from something that is no answer of the policy."""
        if self.broken or self.defects:
            return Failure("broken-test", 500, self.broken[0] if self.broken else "", kind=Kind.DEFECT)
        return None

    def look_at(self, number: int | None) -> None:
        """Of several answers, which one what is said next is about; None: the last one."""
        self.looked_at = self.last
        if number is not None and number < len(self.group):
            self.looked_at = self.group[number]

    def story(self) -> str:
        """What became of the request that is looked at, in a sentence."""
        last = self.looked_at or self.last
        if last is None or last.response is None:
            return ""
        method, path, query = last.line
        line = f"{method} {path}{query.decode('utf-8', 'replace')}"
        status, failure = last.response.status, last.exchange.failure
        said = f"request {last.number}, {line}, was answered {status}"
        if status == NO_ANSWER and failure is not None:
            return f"request {last.number}, {line}, was cut: {failure.detail}"
        if failure is None or failure.span is None:
            return said
        place = f"{failure.span.source.name}:{failure.span.line}"
        return f"{said}: `{failure.assertion}` at {place} failed with `{failure.name}`"

    # --- what the test reads: `tree.emit` asks for it by these names ---

    def told(self, name: str) -> Any:
        if name == "responses":
            return [Answer(each.response, each.elapsed) for each in self.group if each.response is not None]
        if name == "statuses":
            return [each.response.status for each in self.group if each.response is not None]
        if name == "elapsed":
            return Duration(self.last.elapsed if self.last is not None else 0.0)
        if name == "logs":
            return self.logs
        upstream, _, what = name.rpartition(".")
        stub = self.upstreams[upstream]
        return list(stub.calls if what == "calls" else stub.mirrored)

    def log(self, level: str, text: str, exchange: Exchange) -> None:
        self.logs.append({"level": level, "text": text, "service": "", "gateway": ""})

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        if isinstance(error, WrongPolicy):
            self.wrong = error.diagnostics
        if isinstance(error, Broken):
            self.broken.append(str(error))
        else:
            self.defects.append(error)
        return f"defect-{len(self.defects)}"


def world_of(exchange: Exchange) -> World:
    """Of the test whose own exchange this is."""
    environment: Any = exchange.environment
    assert isinstance(environment, World)
    return environment


def known(names: Mapping[str, Any], name: str, what: str) -> Any:
    """What goes by that name. Raises Broken."""
    found = names.get(name)
    if found is None:
        close = nearest(name, names)
        raise Broken(f"no {what} `{name}` is given" + (f": did you mean `{close}`?" if close is not None else ""))
    return found


def bodies_of(program: Program) -> BodyLimits:
    values = set_in(program, "limits")
    return BodyLimits(
        body=values["body"].bytes, decoded=values["decoded"].bytes, json_depth=int(values["json_depth"]),
        xml_depth=int(values["xml_depth"]), xml_text=values["xml_text"].bytes,
    )  # fmt: skip


def set_in(program: Program, name: str) -> dict[str, Any]:
    """A setting of `gateway`: what the policy does not set is there with its defaults."""
    return next(one.values for one in program.gateway if one.name == name)
