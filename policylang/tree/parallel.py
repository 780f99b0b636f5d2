"""`parallel`: branches side by side on one thread, each on a fork of the exchange.

Every branch starts from the state at entry, and what they wrote is merged when all have passed: the checker has seen
to it that no two write one thing. The first failure in the order of the text counts, whichever came first: once a
branch fails, those after it are cancelled and those before it are waited for.
"""

from __future__ import annotations

from copy import copy
from typing import Any

from policylang.sdk.exchange import Exchange, Request, Response
from policylang.sdk.limits_told import tell
from policylang.sdk.message import Field, Message
from policylang.sdk.waiter import Waiter
from policylang.tree.facts import Writes
from policylang.tree.outcome import COROUTINE, Outcome, Place, Run, failure_of


class Lane:
    """One branch as compiled. `slots`: every variable it may bind or write."""

    __slots__ = ("place", "run", "slots", "writes")

    def __init__(self, place: Place, run: Run, writes: Writes, slots: frozenset[int]) -> None:
        self.place = place
        self.run = run
        self.writes = writes
        self.slots = tuple(sorted(slots))


class Parallel:
    """No branch waits: they run in turn, still each from the state at entry."""

    __slots__ = ("lanes",)

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes

    def run(self, exchange: Exchange) -> Outcome:
        forks: list[Exchange] = []
        for lane in self.lanes:
            fork = fork_of(exchange, lane.writes)
            forks.append(fork)
            outcome = lane.run(fork)
            if outcome is not None:
                gather(exchange, forks)
                return outcome
        merge(exchange, self.lanes, forks)
        return None


class ParallelWaiting(Parallel):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        race = Race(exchange, self.lanes)
        try:
            await race.finished()
        except BaseException:
            race.cancel_after(-1)
            gather(exchange, [runner.exchange for runner in race.runners])
            raise
        forks = [runner.exchange for runner in race.runners]
        for runner in race.runners:
            if runner.outcome is not None:
                gather(exchange, forks)
                return runner.outcome
        merge(exchange, self.lanes, forks)
        return None


class Race:
    """The branches of one evaluation while they run."""

    __slots__ = ("_done", "runners")

    def __init__(self, exchange: Exchange, lanes: tuple[Lane, ...]) -> None:
        self._done: Waiter[None] = Waiter()
        self.runners: list[Runner] = []
        for lane in lanes:
            runner = Runner(self, lane, fork_of(exchange, lane.writes), len(self.runners))
            self.runners.append(runner)
            runner.start()
            if runner.outcome is not None:
                break  # what comes later in the text can make no difference

    async def finished(self) -> None:
        if self._undecided():
            await self._done

    def _undecided(self) -> bool:
        return any(runner.running for runner in self.runners)

    def advanced(self, runner: Runner) -> None:
        """A branch has ended after it had waited."""
        if runner.outcome is not None:
            self.cancel_after(runner.index)
        if not self._undecided():
            self._done.fire(None)

    def cancel_after(self, index: int) -> None:
        for runner in self.runners[index + 1 :]:
            runner.cancel()


class Runner:
    """Drives the coroutine of one branch by the callbacks of what it waits for."""

    __slots__ = ("_active", "_cancelled", "_coroutine", "_race", "_waiter", "exchange", "index", "lane", "outcome",
                 "running")  # fmt: skip

    def __init__(self, race: Race, lane: Lane, exchange: Exchange, index: int) -> None:
        self._race: Race | None = race
        self._coroutine: Any = None
        self._waiter: Waiter[Any] | None = None
        self._active = False
        self._cancelled = False
        self.lane = lane
        self.exchange = exchange
        self.index = index
        self.outcome: Outcome = None
        self.running = False

    def start(self) -> None:
        outcome = self.lane.run(self.exchange)
        if outcome.__class__ is COROUTINE:
            self._coroutine = outcome
            self.running = True
            self._send()
        else:
            self.outcome = outcome
        if not self.running:
            self._race = None  # nobody will hear of it again, and the race holds this runner

    def _resume(self) -> None:
        self._waiter = None
        self._send()
        if not self.running and self._race is not None:
            race, self._race = self._race, None
            race.advanced(self)

    def _send(self) -> None:
        self._active = True
        try:
            waiter: Waiter[Any] = self._coroutine.send(None)
        except StopIteration as stop:
            self.outcome = stop.value
            self._end()
            return
        except Exception as error:
            # Statements turn what they raise into failures, so this is a defect of the tree itself.
            self.outcome = failure_of(error, self.lane.place, self.exchange)
            self._end()
            return
        finally:
            self._active = False
        if self._cancelled:  # by another branch, which this one woke up
            self._close()
            return
        self._waiter = waiter
        waiter.callback = self._resume

    def cancel(self) -> None:
        if not self.running:
            return
        if self._active:
            self._cancelled = True
        else:
            self._close()

    def _close(self) -> None:
        if self._waiter is not None:
            self._waiter.callback = None
        coroutine = self._coroutine
        self._end()
        self._race = None
        coroutine.close()

    def _end(self) -> None:
        self.running = False
        self._coroutine = self._waiter = None


# --- forks ---


def fork_of(exchange: Exchange, writes: Writes) -> Exchange:
    """An exchange of its own. Messages that the branch does not write are shared, since nobody writes those."""
    request: Request = copy(exchange.request) if writes.request else exchange.request
    fork = Exchange(request, exchange.client, exchange.environment, exchange.started)
    response = exchange.response
    fork.origin = exchange.origin or exchange
    fork.response = copy(response) if writes.response and response is not None else response
    fork.user = exchange.user
    fork.path = exchange.path
    fork.slots = exchange.slots.copy()
    fork.failure = exchange.failure
    fork.service = exchange.service
    journal = exchange.journal
    if journal is not None:
        branch = getattr(journal, "branch", None)  # a journal that notes more than entries
        fork.journal = [] if branch is None else branch(fork)
    return fork


def gather(exchange: Exchange, forks: list[Exchange]) -> None:
    """What stays of every branch, passed or not: the journal in the order of the text, and fields for the answer."""
    for fork in forks:
        if exchange.journal is not None and fork.journal:
            exchange.journal.extend(fork.journal)
        if fork.fields:
            exchange.fields = [*(exchange.fields or ()), *fork.fields]
        for told in fork.limits or ():
            tell(exchange, *told)


def merge(exchange: Exchange, lanes: tuple[Lane, ...], forks: list[Exchange]) -> None:
    """Take over what each branch wrote, against the state that all of them started from."""
    gather(exchange, forks)
    request_before = _state(exchange.request)
    response_before = None if exchange.response is None else _state(exchange.response)
    user_before = exchange.user
    for lane, fork in zip(lanes, forks, strict=True):
        for slot in lane.slots:
            exchange.slots[slot] = fork.slots[slot]
        if fork.user is not user_before:
            exchange.user = fork.user
        if lane.writes.request:
            _merge_message(exchange.request, fork.request, request_before)
            _merge_request(exchange.request, fork.request, request_before)
        if lane.writes.response:
            _merge_response(exchange, fork.response, response_before)


def _state(message: Message) -> dict[str, Any]:
    names = ("headers", "body", "limit", "method", "path", "query_string", "status", "coder")
    return {name: getattr(message, name) for name in names if hasattr(message, name)}


def _merge_message(message: Message, fork: Message, before: dict[str, Any]) -> None:
    if fork.headers is not before["headers"]:
        _merge_headers(message, fork.headers, before["headers"])
    if fork.body is not before["body"]:
        if before["body"] is None and fork.body is fork.received:  # it was only read
            message.body = message.received = fork.body
        elif fork.body is not None:
            message.set_body(fork.body)
    if fork.limit != before["limit"] and fork.limit is not None:
        message.limit_body(fork.limit)


def _merge_request(request: Request, fork: Request, before: dict[str, Any]) -> None:
    if fork.method != before["method"]:
        request.method = fork.method
    if fork.path != before["path"]:
        request.path = fork.path
    if fork.query_string != before["query_string"]:
        request.set_query(fork.query_string)


def _merge_response(exchange: Exchange, fork: Response | None, before: dict[str, Any] | None) -> None:
    if fork is None:
        return
    if exchange.response is None or before is None:
        exchange.response = fork
        return
    _merge_message(exchange.response, fork, before)
    if fork.coder is not before["coder"]:
        exchange.response.coder = fork.coder
    if fork.status != before["status"]:
        exchange.response.status = fork.status


def _merge_headers(message: Message, headers: list[Field], before: list[Field]) -> None:
    """Fields are one thing each by name: only the names that the branch changed are taken over."""
    changed = {field[0] for field in headers} | {field[0] for field in before}
    changed = {
        name for name in changed
        if [field for field in headers if field[0] == name] != [field for field in before if field[0] == name]
    }  # fmt: skip
    kept = [field for field in message.headers if field[0] not in changed]
    if b"cookie" in changed:
        message.remove_header(b"cookie")  # what was parsed of it is no longer so
    message.headers = kept + [field for field in headers if field[0] in changed]
    if b"content-encoding" in changed:
        message.unread()
