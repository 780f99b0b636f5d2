"""Branches that may fail and be taken back: `any`, `none`, `else`, `try`.

As in `blocks`, the sequence around a statement journals it, and what waits has a class of its own.
"""

from __future__ import annotations

from typing import Any

from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failure, Kind
from policylang.tree.facts import Writes
from policylang.tree.outcome import COROUTINE, RESPONDED, Outcome, Place, Run, copied, placed, recoverable


class Undo:
    """What a branch may have written, as it was before. Keeps references only."""

    __slots__ = ("_request", "_response", "_slots", "_user")

    def __init__(self, writes: Writes) -> None:
        self._request = writes.request
        self._response = writes.response
        self._user = writes.user
        self._slots = tuple(sorted(writes.slots))

    def save(self, exchange: Exchange) -> Any:
        response = exchange.response
        return (
            (exchange.request.snapshot(), exchange.request.limit) if self._request else None,
            response,
            (response.snapshot(), response.limit) if self._response and response is not None else None,
            exchange.user,
            [exchange.slots[slot] for slot in self._slots],
        )

    def restore(self, exchange: Exchange, saved: Any) -> None:
        request, response, state, user, slots = saved
        if self._request:
            exchange.request.restore(request[0])
            exchange.request.limit = request[1]
        if self._response:
            exchange.response = response
            if response is not None:
                response.restore(state[0])
                response.limit = state[1]
        if self._user:
            exchange.user = user
        for slot, value in zip(self._slots, slots, strict=True):
            exchange.slots[slot] = value


class Branch:
    """One way inside `any`, `none`, `try` or left of `else`. `undo` is None where it writes nothing."""

    __slots__ = ("run", "undo", "waits")

    def __init__(self, run: Run, waits: bool, writes: Writes) -> None:
        self.run = run
        self.waits = waits
        self.undo = None if writes.nothing else Undo(writes)

    def attempt(self, exchange: Exchange) -> Outcome:
        """Only where it does not wait."""
        undo = self.undo
        if undo is None:
            return self.run(exchange)
        saved = undo.save(exchange)
        outcome = self.run(exchange)
        if outcome is not None and outcome is not RESPONDED:
            undo.restore(exchange, saved)
        return outcome

    async def attempt_waiting(self, exchange: Exchange) -> Outcome:
        undo = self.undo
        saved = None if undo is None else undo.save(exchange)
        outcome = self.run(exchange)
        if outcome.__class__ is COROUTINE:
            outcome = await outcome
        if undo is not None and outcome is not None and outcome is not RESPONDED:
            undo.restore(exchange, saved)
        return outcome


class AnyOf:
    """Passes with the first branch that does. Fails as its last one, with every challenge that was made."""

    __slots__ = ("branches", "place")

    def __init__(self, place: Place, branches: tuple[Branch, ...]) -> None:
        self.place = place
        self.branches = branches

    def run(self, exchange: Exchange) -> Outcome:
        failures: list[Failure] = []
        for branch in self.branches:
            outcome = branch.attempt(exchange)
            if not recoverable(outcome):
                return outcome
            failures.append(outcome)
        return exhausted(failures, self.place)


class AnyOfWaiting(AnyOf):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        failures: list[Failure] = []
        for branch in self.branches:
            outcome = await branch.attempt_waiting(exchange)
            if not recoverable(outcome):
                return outcome
            failures.append(outcome)
        return exhausted(failures, self.place)


def exhausted(failures: list[Failure], place: Place) -> Failure:
    """The failure of `any`: its last statement's, with the challenges of all.

    It is an error if one of them was: nobody knows what that branch would have said, so `none` must not pass on it.
    """
    if not failures:
        return placed(Failure("no-alternative", 403), place)
    last = failures[-1]
    challenges: dict[tuple[str, str], None] = {}
    for failure in failures:
        for header in failure.headers:
            if header[0].lower() == "www-authenticate":
                challenges[header] = None
    kind = Kind.ERROR if any(failure.kind is Kind.ERROR for failure in failures) else last.kind
    others = tuple(header for header in last.headers if header[0].lower() != "www-authenticate")
    headers = (*challenges, *others)
    if kind is last.kind and len(headers) == len(last.headers):
        return last
    return copied(last, kind=kind, headers=headers)


class NoneOf:
    """Passes when every branch is refused. One that passes is a refusal, any other failure is its own."""

    __slots__ = ("branches", "failure")

    def __init__(self, place: Place, branches: tuple[Branch, ...]) -> None:
        self.branches = branches
        self.failure = placed(Failure("not-refused", 403), place)

    def run(self, exchange: Exchange) -> Outcome:
        for branch in self.branches:
            outcome = branch.attempt(exchange)
            if outcome is None:
                return self.failure
            if outcome is RESPONDED or outcome.kind is not Kind.REFUSAL:
                return outcome
        return None


class NoneOfWaiting(NoneOf):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        for branch in self.branches:
            outcome = await branch.attempt_waiting(exchange)
            if outcome is None:
                return self.failure
            if outcome is RESPONDED or outcome.kind is not Kind.REFUSAL:
                return outcome
        return None


class Else:
    """The left one, or after a failure that `any` would go on after too, the right one."""

    __slots__ = ("left", "right")

    def __init__(self, left: Branch, right: Run) -> None:
        self.left = left
        self.right = right

    def run(self, exchange: Exchange) -> Outcome:
        failure = self.left.attempt(exchange)
        if not recoverable(failure):
            return failure
        return fallen(failure, self.right(exchange))


class ElseWaiting(Else):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        failure = await self.left.attempt_waiting(exchange)
        if not recoverable(failure):
            return failure
        outcome = self.right(exchange)
        if outcome.__class__ is COROUTINE:
            outcome = await outcome
        return fallen(failure, outcome)


def fallen(left: Failure, right: Outcome) -> Outcome:
    """The right one's outcome; a refusal after an error stays an error, as in `any`."""
    if isinstance(right, Failure) and right.kind is Kind.REFUSAL and left.kind is Kind.ERROR:
        return copied(right, kind=Kind.ERROR)
    return right


class Try:
    """Whatever fails goes to the handler: refusals, errors, surroundings that are away, defects."""

    __slots__ = ("body", "handler", "slot")

    def __init__(self, body: Branch, slot: int | None, handler: Run) -> None:
        self.body = body
        self.slot = slot
        self.handler = handler

    def run(self, exchange: Exchange) -> Outcome:
        failure = self.body.attempt(exchange)
        if failure is None or failure is RESPONDED:
            return failure
        if self.slot is not None:
            exchange.slots[self.slot] = failure
        return self.handler(exchange)


class TryWaiting(Try):
    __slots__ = ()

    async def run(self, exchange: Exchange) -> Outcome:
        failure = await self.body.attempt_waiting(exchange)
        if failure is None or failure is RESPONDED:
            return failure
        if self.slot is not None:
            exchange.slots[self.slot] = failure
        outcome = self.handler(exchange)
        if outcome.__class__ is COROUTINE:
            outcome = await outcome
        return outcome
