"""What a statement's run gives, and how exceptions become failures.

A run gives None (passed), a Failure, or RESPONDED; one that waits gives a coroutine of these. Failures of every kind
are values inside the tree: Failed, Unavailable and defects are turned into one where they leave an assertion.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, Final, NamedTuple, TypeAlias

from policylang.check.program import Statement
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, Failure, Kind, Unavailable
from policylang.sdk.waiter import Waiter
from policylang.source import Span

RESPONDED: Final = "responded"
"""The policy has ended with an answer of its own; stands in the journal too."""
CANCELLED: Final = "cancelled"
"""Only in the journal: what was still running when its branch, or the whole exchange, was given up."""

Outcome: TypeAlias = Any
"""None, a Failure or RESPONDED."""
Waiting: TypeAlias = Coroutine[Waiter[Any], None, Outcome]
Run: TypeAlias = Callable[[Exchange], Any]
"""Gives an outcome, or where its step `waits` maybe a Waiting of one."""

COROUTINE: Final = CoroutineType

_OF_REQUEST = frozenset({"unreadable-body", "unreadable-query", "unreadable-cookie", "repeated-field"})
_RECOVERABLE = (Kind.REFUSAL, Kind.ERROR)


class Place:
    """Where a statement stands: what the journal's entries name. `name` is the statement's word or the assertion's.

    `plan`: what a journal of values reads there (see `policylang.trace.plan`), once somebody has made one.
    `goes_on`: where it has passed, the next statement to end only looks too and comes at once, so that what this one
    read can be read with that.
    """

    __slots__ = ("column", "file", "goes_on", "line", "name", "plan", "span", "statement")

    def __init__(self, name: str, span: Span, statement: Statement | None = None) -> None:
        self.name = name
        self.span = span
        self.statement = statement
        self.plan: Any = None
        self.goes_on = False
        self.file = span.source.name
        self.line, self.column = span.source.position(span.start)

    def __repr__(self) -> str:
        return f"{self.name} {self.file}:{self.line}:{self.column}"


class Entry(NamedTuple):
    """One line of the journal."""

    place: Place
    outcome: Outcome


class Step(NamedTuple):
    """One stop on the way through a sequence.

    `waits`: `run` may give a coroutine. `closes`: what the journal gets when it has passed: the statements that end
    with it. `inside`: the statements it is a part of, the innermost first: they share its failure.
    `early`: it belongs to `global before`.
    """

    run: Run
    waits: bool = False
    closes: tuple[Entry, ...] = ()
    inside: tuple[Place, ...] = ()
    early: bool = False


def note(exchange: Exchange, places: tuple[Place, ...], outcome: Outcome) -> None:
    """Journal how the statements around a step ended with it."""
    if exchange.journal is not None:
        for place in places:
            exchange.journal.append(Entry(place, outcome))


def recoverable(outcome: Outcome) -> bool:
    """Whether `any` and `else` may go on after this: not after surroundings that are away, and defects of ours."""
    return isinstance(outcome, Failure) and outcome.kind in _RECOVERABLE


def placed(failure: Failure, place: Place) -> Failure:
    """Say where it failed, unless something inside has said so."""
    if failure.span is None:
        failure.span = place.span
    if not failure.assertion:
        failure.assertion = place.name
    return failure


def failure_of(error: Exception, place: Place, exchange: Exchange) -> Failure:
    """What was raised while a statement ran, as the failure of that statement."""
    if isinstance(error, Failed):
        # A copy: who raised it may raise the same one for another exchange.
        return placed(copied(error.failure), place)
    if isinstance(error, Unavailable):
        name = f"{error.what.strip().lower().replace(' ', '-')}-away"
        return Failure(
            name, error.status, error.detail, kind=Kind.AWAY, assertion=place.name, span=place.span,
            headers=(("Retry-After", str(max(1, error.retry_after))),),
        )  # fmt: skip
    if isinstance(error, UnicodeError):
        # Stray bytes of a header field live on as lone surrogates; whoever must encode them cannot.
        return Failure(
            "unreadable-text", 400, "a text is not UTF-8", kind=Kind.ERROR, assertion=place.name, span=place.span
        )
    number = exchange.environment.defect(error, exchange)
    return Failure(
        "defect", 500, f"the log has it as {number}", title="Internal error", kind=Kind.DEFECT,
        assertion=place.name, span=place.span,
    )  # fmt: skip


def copied(
    failure: Failure, *, kind: Kind | None = None, headers: tuple[tuple[str, str], ...] | None = None
) -> Failure:
    return Failure(
        failure.name, failure.status, failure.detail, title=failure.title, kind=kind or failure.kind,
        headers=failure.headers if headers is None else headers, members=failure.members,
        assertion=failure.assertion, span=failure.span, reason=failure.reason,
    )  # fmt: skip


def at_502(failed: Failed, also_request: bool) -> Failed:
    """A wrong type or a missing value of an expression that reads the response: the upstream's fault."""
    failure = failed.failure
    if failure.status == 400 and failure.kind is Kind.ERROR and not (also_request and failure.name in _OF_REQUEST):
        failed.failure = copied(failure)
        failed.failure.status = 502
    return failed


def masked(failed: Failed, text: str) -> Failed:
    """A failure of an expression that holds a private value: its detail might quote it."""
    failed.failure = copied(failed.failure)
    failed.failure.detail = text
    return failed
