"""Statements that hold no other statement. Each journals how it ended and turns what is raised into its failure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from policylang.sdk.exchange import Exchange
from policylang.sdk.message import Message
from policylang.sdk.outcome import Failure
from policylang.tree.outcome import (
    CANCELLED,
    COROUTINE,
    RESPONDED,
    Entry,
    Outcome,
    Place,
    Run,
    Waiting,
    failure_of,
    note,
    placed,
)

Evaluate = Callable[..., Any]


class Leaf:
    """`passed` is the journal's entry for success, made once."""

    __slots__ = ("passed", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.passed = Entry(place, None)

    def failed(self, exchange: Exchange, failure: Failure) -> Failure:
        placed(failure, self.place)
        if exchange.journal is not None:
            exchange.journal.append(Entry(self.place, failure))
        return failure

    def caught(self, exchange: Exchange, error: Exception) -> Failure:
        failure = failure_of(error, self.place, exchange)
        if exchange.journal is not None:
            exchange.journal.append(Entry(self.place, failure))
        return failure

    def unexpected(self, exchange: Exchange, outcome: Any) -> Failure:
        """An assertion that gives what it has not declared has not said that it passed."""
        if isinstance(outcome, Failure):
            return self.failed(exchange, outcome)
        return self.caught(exchange, TypeError(f"`{self.place.name}` gave {type(outcome).__name__}"))


# --- assertions of the catalog ---


class Invoke(Leaf):
    """An assertion that does not wait and has no output that is taken."""

    __slots__ = ("evaluate",)

    def __init__(self, place: Place, evaluate: Evaluate) -> None:
        super().__init__(place)
        self.evaluate = evaluate

    def run(self, exchange: Exchange) -> Outcome:
        try:
            outcome = self.evaluate(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if outcome is not None:
            return self.unexpected(exchange, outcome)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class InvokeWaiting(Leaf):
    """As Invoke, of an assertion that may wait: what it gives at once costs no coroutine."""

    __slots__ = ("evaluate",)

    def __init__(self, place: Place, evaluate: Evaluate) -> None:
        super().__init__(place)
        self.evaluate = evaluate

    def run(self, exchange: Exchange) -> Outcome | Coroutine[Any, Any, Outcome]:
        try:
            outcome = self.evaluate(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if outcome.__class__ is COROUTINE:
            return self._wait(exchange, outcome)
        if outcome is not None:
            return self.unexpected(exchange, outcome)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None

    async def _wait(self, exchange: Exchange, waiting: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            outcome = await waiting
        except Exception as error:
            return self.caught(exchange, error)
        except GeneratorExit:
            note(exchange, (self.place,), CANCELLED)
            raise
        if outcome is not None:
            return self.unexpected(exchange, outcome)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class Outputs:
    """Where an assertion's outputs go: a slot or None for each, and whether it may be none."""

    __slots__ = ("optional", "slots")

    def __init__(self, slots: tuple[int | None, ...], optional: tuple[bool, ...]) -> None:
        self.slots = slots
        self.optional = optional

    def bind(self, exchange: Exchange, outcome: Any) -> None:
        """Raises TypeError when there are not as many as declared, or one is none that may not."""
        values = (outcome,) if len(self.slots) == 1 else outcome
        if not isinstance(values, tuple) or len(values) != len(self.slots):
            raise TypeError(f"{len(self.slots)} outputs are declared, {outcome.__class__.__name__} was given")
        for slot, optional, value in zip(self.slots, self.optional, values, strict=True):
            if value is None and not optional:
                raise TypeError("an output is None that is declared as always there")
            if slot is not None:
                exchange.slots[slot] = value


class InvokeGiving(Leaf):
    """As Invoke, and its outputs are bound."""

    __slots__ = ("evaluate", "outputs")

    def __init__(self, place: Place, evaluate: Evaluate, outputs: Outputs) -> None:
        super().__init__(place)
        self.evaluate = evaluate
        self.outputs = outputs

    def run(self, exchange: Exchange) -> Outcome:
        try:
            outcome = self.evaluate(exchange)
            if isinstance(outcome, Failure):
                return self.failed(exchange, outcome)
            self.outputs.bind(exchange, outcome)
        except Exception as error:
            return self.caught(exchange, error)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class InvokeGivingOne(InvokeGiving):
    """The usual case: one output, which is taken and may be anything that JSON has."""

    __slots__ = ("slot",)

    def __init__(self, place: Place, evaluate: Evaluate, outputs: Outputs) -> None:
        super().__init__(place, evaluate, outputs)
        slot = outputs.slots[0]
        assert slot is not None
        self.slot = slot

    def run(self, exchange: Exchange) -> Outcome:
        try:
            outcome = self.evaluate(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if isinstance(outcome, Failure):
            return self.failed(exchange, outcome)
        exchange.slots[self.slot] = outcome
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class InvokeGivingWaiting(InvokeGiving):
    """As InvokeGiving, of an assertion that may wait: what it gives at once costs no coroutine."""

    __slots__ = ()

    def run(self, exchange: Exchange) -> Outcome | Coroutine[Any, Any, Outcome]:
        try:
            outcome = self.evaluate(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if outcome.__class__ is COROUTINE:
            return self._wait(exchange, outcome)
        return self._given(exchange, outcome)

    async def _wait(self, exchange: Exchange, waiting: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            outcome = await waiting
        except Exception as error:
            return self.caught(exchange, error)
        except GeneratorExit:
            note(exchange, (self.place,), CANCELLED)
            raise
        return self._given(exchange, outcome)

    def _given(self, exchange: Exchange, outcome: Any) -> Outcome:
        if isinstance(outcome, Failure):
            return self.failed(exchange, outcome)
        try:
            self.outputs.bind(exchange, outcome)
        except Exception as error:
            return self.caught(exchange, error)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class InvokeAround(Leaf):
    """An assertion with a block: `evaluate(exchange, block)`, where `await block(exchange)` runs the block.

    What the block gives is None when it passed; anything else the assertion hands on. It has no outputs. One that needs
    no block to answer costs no coroutine.
    """

    __slots__ = ("block", "evaluate")

    def __init__(self, place: Place, evaluate: Evaluate, block: Callable[[Exchange], Awaitable[Outcome]]) -> None:
        super().__init__(place)
        self.evaluate = evaluate
        self.block = block

    def run(self, exchange: Exchange) -> Outcome | Coroutine[Any, Any, Outcome]:
        try:
            outcome = self.evaluate(exchange, self.block)
        except Exception as error:
            return self.caught(exchange, error)
        if outcome.__class__ is COROUTINE:
            return self._wait(exchange, outcome)
        return self._ended(exchange, outcome)

    async def _wait(self, exchange: Exchange, waiting: Coroutine[Any, Any, Outcome]) -> Outcome:
        try:
            outcome = await waiting
        except Exception as error:
            return self.caught(exchange, error)
        except GeneratorExit:
            note(exchange, (self.place,), CANCELLED)
            raise
        return self._ended(exchange, outcome)

    def _ended(self, exchange: Exchange, outcome: Outcome) -> Outcome:
        if outcome is None:
            if exchange.journal is not None:
                exchange.journal.append(self.passed)
            return None
        if outcome is RESPONDED:
            note(exchange, (self.place,), outcome)
            return outcome
        return self.unexpected(exchange, outcome)


def awaitable(run: Run, waits: bool) -> Callable[[Exchange], Awaitable[Outcome]]:
    """A block's run as something that can always be awaited."""

    async def block(exchange: Exchange) -> Outcome:
        outcome = run(exchange)
        return await outcome if waits and hasattr(outcome, "__await__") else outcome

    return block


class Load:
    """Hold a message's body before the statement that reads it, and whose failure its failure is.

    The sequence around journals it: a step of its own, inside of that statement.
    """

    __slots__ = ("place", "response")

    def __init__(self, place: Place, response: bool) -> None:
        self.place = place
        self.response = response

    def run(self, exchange: Exchange) -> Outcome | Waiting:
        message = exchange.response if self.response else exchange.request
        if message is None:
            return None
        bounds = message.bounds = exchange.environment.bodies
        body = message.body
        if body is not None and message.limit is None and len(body) <= bounds.body:
            return None
        return self._load(message, exchange)

    async def _load(self, message: Message, exchange: Exchange) -> Outcome:
        try:
            await message.load(exchange.environment.bodies)
        except Exception as error:
            return failure_of(error, self.place, exchange)
        return None


# --- the language's own ---


class Require(Leaf):
    __slots__ = ("condition", "failure")

    def __init__(self, place: Place, condition: Callable[[Exchange], bool]) -> None:
        super().__init__(place)
        self.condition = condition
        self.failure = placed(Failure("requirement-not-met", 403), place)

    def run(self, exchange: Exchange) -> Outcome:
        try:
            if not self.condition(exchange):
                return self.failed(exchange, self.failure)
        except Exception as error:
            return self.caught(exchange, error)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class Let(Leaf):
    """`missing` is the failure where there is no value; None for `let x?`."""

    __slots__ = ("missing", "slot", "value")

    def __init__(self, place: Place, slot: int, value: Callable[[Exchange], Any], missing: Failure | None) -> None:
        super().__init__(place)
        self.slot = slot
        self.value = value
        self.missing = missing if missing is None else placed(missing, place)

    def run(self, exchange: Exchange) -> Outcome:
        try:
            value = self.value(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if value is None and self.missing is not None:
            return self.failed(exchange, self.missing)
        exchange.slots[self.slot] = value
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class Act(Leaf):
    """`set`, `remove`, `ignore`, and the outputs of a user's assertion: something is done and nothing decided."""

    __slots__ = ("act",)

    def __init__(self, place: Place, act: Callable[[Exchange], None]) -> None:
        super().__init__(place)
        self.act = act

    def run(self, exchange: Exchange) -> Outcome:
        try:
            self.act(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        if exchange.journal is not None:
            exchange.journal.append(self.passed)
        return None


class Quiet:
    """As Act, for a part of a larger statement: the sequence around journals."""

    __slots__ = ("act", "place")

    def __init__(self, place: Place, act: Callable[[Exchange], None]) -> None:
        self.place = place
        self.act = act

    def run(self, exchange: Exchange) -> Outcome:
        try:
            self.act(exchange)
        except Exception as error:
            return failure_of(error, self.place, exchange)
        return None


class Respond(Leaf):
    __slots__ = ("answer",)

    def __init__(self, place: Place, answer: Callable[[Exchange], None]) -> None:
        super().__init__(place)
        self.answer = answer

    def run(self, exchange: Exchange) -> Outcome:
        try:
            self.answer(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        note(exchange, (self.place,), RESPONDED)
        return RESPONDED


class Fail(Leaf):
    __slots__ = ("failure",)

    def __init__(self, place: Place, failure: Callable[[Exchange], Failure]) -> None:
        super().__init__(place)
        self.failure = failure

    def run(self, exchange: Exchange) -> Outcome:
        try:
            failure = self.failure(exchange)
        except Exception as error:
            return self.caught(exchange, error)
        return self.failed(exchange, failure)
