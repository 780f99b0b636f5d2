"""What an assertion is: a class with parameters, failures, a page, and one method."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, dataclass_transform, get_type_hints

from policylang.sdk.annotations import Reading
from policylang.sdk.card import Card, ParamCard
from policylang.sdk.outcome import Failure, Kind
from policylang.sdk.static_types import Type

if TYPE_CHECKING:
    from policylang.sdk.exchange import Exchange

Outcome: TypeAlias = Any
"""None when it passes; a Failure when it does not; else the output (a tuple when there are several)."""

_UNSET: Any = object()


def param(
    doc: str,
    *,
    default: str | None = _UNSET,
    positional: bool = False,
    many: bool = False,
    shown: bool = False,
    kept: bool = False,
) -> Any:
    """Declare a parameter. `default` is `.pol` text; `default=None` lets it be absent (its value is then None)."""
    facts = {"doc": doc, "default": default, "positional": positional, "many": many, "shown": shown, "kept": kept}
    if default is None:
        return field(default=None, metadata=facts)
    return field(metadata=facts)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(param,))
class Assertion:
    """Derive, write a docstring (first line the summary, an indented example), parameters with `param`, and
    `evaluate(self, exchange)`, `def` where it never waits and `async def` where it may.

    `evaluate` gives None (passed), an output, or `self.failure(…)`. It raises `Failed` for an unreadable message or a
    wrong type and `Unavailable` when the surroundings are away; anything else raised is a defect.
    An attribute of a lazy parameter (`Expr[…]`) is called with the exchange: `self.per(exchange)`.
    """

    name: ClassVar[str]
    failures: ClassVar[Mapping[str, int]] = {}
    """Names of refusals, and their statuses."""
    errors: ClassVar[Mapping[str, int]] = {}
    """Names of failures of kind ERROR: something could not be read or reached."""
    outputs: ClassVar[Mapping[str, Type]] = {}
    private_outputs: ClassVar[frozenset[str]] = frozenset()
    effects: ClassVar[frozenset[str]] = frozenset()
    """What it may write: `user`, `request`, `response`."""
    observes: ClassVar[bool] = False
    """It only watches (logs, counts): an `else` of such alone swallows the failure."""
    answers: ClassVar[bool] = False
    """After it there is a `response`: `route` and its like."""
    waits: ClassVar[bool | None] = None
    """Whether it may wait; None: what `evaluate` is says it. True lets a plain `def` give a coroutine when it must."""
    takes_block: ClassVar[bool] = False
    """Stands around a block: `async def evaluate(self, exchange, block)`, where `await block(exchange)` runs it. That
    gives None when the block passed; anything else is handed on. Such an assertion has no outputs. With `waits = True`
    a plain `def` gives a coroutine where it runs the block."""
    block_optional: ClassVar[bool] = False
    """Of one with `takes_block`: it may stand without, is then called without `block`, and may have outputs."""
    reads_bodies: ClassVar[bool] = True
    """A message given to it is held whole before it runs; false where it can do without (`limit_size`)."""
    sends: ClassVar[bool] = False
    """It sends a copy of the request: the body is held whole before it runs."""
    skips_block: ClassVar[bool] = False
    """It may pass without having run its block, which so must not be what says who the caller is."""
    gives_apart: ClassVar[bool] = False
    """Few policies take its outputs: `evaluate` gives none, and where one is taken `giving(exchange)`, which gives
    them, runs in its place."""
    counts_as: ClassVar[str] = ""
    """It asks for the counters of the assertion of this name: those of the same `name:`, else in its service the one
    with the same text of the key that stands last before it."""
    deprecated: ClassVar[str] = ""
    """Of one that is there for old policies only: what to do, such as "use `limit_size`". It works as it did."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, kw_only=True, eq=False)(cls)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        """Where parameters constrain each other: a sentence for the author when these constants cannot be right."""
        return None

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        """Which of `failures` a call can give: what tests of it should have seen. `given` are its arguments that are
        known when the policy is loaded, by name; a message is its name there."""
        return cls.failures

    def evaluate(self, exchange: Exchange) -> Outcome:
        raise TypeError(f"{type(self).__name__} has no evaluate")

    @classmethod
    def failure(
        cls, name: str, detail: str = "", *, headers: tuple[tuple[str, str], ...] = (), **members: Any
    ) -> Failure:
        """A failure under a name that `failures` or `errors` declares; `members` extend its problem document."""
        refusal = cls.failures.get(name)
        status = refusal if refusal is not None else cls.errors[name]
        kind = Kind.REFUSAL if refusal is not None else Kind.ERROR
        return Failure(name, status, detail, kind=kind, headers=headers, members=members or None, assertion=cls.name)


def card_of(cls: type[Assertion]) -> Card:
    """The Card of an assertion's class. Raises TypeError on an annotation that the language has no word for."""
    hints = get_type_hints(cls)
    params = tuple(_param_card(f.name, hints[f.name], f.metadata) for f in fields(cls))  # type: ignore[arg-type]
    summary, doc, example = split_doc(cls.__doc__ or "")
    return Card(
        name=cls.name,
        group=cls.__module__.split(".")[1] if "." in cls.__module__ else "",
        summary=summary,
        doc=doc,
        example=example,
        params=params,
        outputs=dict(cls.outputs),
        private_outputs=cls.private_outputs,
        failures=dict(cls.failures),
        errors=dict(cls.errors),
        effects=cls.effects,
        waits=inspect.iscoroutinefunction(cls.evaluate) if cls.waits is None else cls.waits,
        observes=cls.observes,
        answers=cls.answers,
        takes_block=cls.takes_block,
        block_optional=cls.block_optional,
        reads_bodies=cls.reads_bodies,
        sends=cls.sends,
        make=cls,
        skips_block=cls.skips_block,
        gives_apart=cls.gives_apart,
        counts_as=cls.counts_as,
        deprecated=cls.deprecated,
    )


def _param_card(attribute: str, annotation: Any, facts: Mapping[str, Any]) -> ParamCard:
    reading = Reading(annotation)
    default = facts["default"]
    return ParamCard(
        name=attribute.rstrip("_"),
        doc=facts["doc"],
        types=reading.types,
        lazy=reading.lazy,
        positional=facts["positional"],
        required=default is _UNSET and not reading.absent,
        default=default if isinstance(default, str) else None,
        symbols=reading.symbols,
        accepts_none=reading.none,
        many=facts["many"],
        shown=facts["shown"],
        attribute=attribute,
        kept=facts["kept"],
    )


def split_doc(doc: str) -> tuple[str, str, str]:
    """A docstring's first line, its prose, and its indented example."""
    lines = inspect.cleandoc(doc).splitlines()
    if len(lines) > 2 and not lines[1] and not any(line.startswith("    ") for line in lines):
        # Nothing stands between the summary and the example, so the example's indent was taken for the margin.
        lines[2:] = ["    " + line if line else line for line in lines[2:]]
    prose: list[str] = []
    example: list[str] = []
    for line in lines:
        (example if line.startswith("    ") or (not line and example and not prose[-1:]) else prose).append(line)
    summary = prose[0] if prose else ""
    return summary, "\n".join(prose).strip(), inspect.cleandoc("\n".join(example)) if example else ""
