"""Cards: what the tools know of an assertion or function, as plain data made from its class. Nothing is said twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from policylang.sdk.static_types import Type


@dataclass(frozen=True, slots=True)
class ParamCard:
    """One parameter.

    `types`: what it takes (ANY, KEY, SYMBOL and UPSTREAM are for parameters only). `lazy`: worked out for each message;
    else the argument must be known when the policy is loaded. `default` is `.pol` text, None where there is none;
    `required` is false also for a parameter that may be absent (its value is then None). `many`: takes all further
    positional arguments, as a tuple. `shown`: the value reaches a log or an answer, so private text is masked. `kept`:
    it goes into a map of the store, and a private one only into a private map.
    """

    name: str
    doc: str
    types: tuple[Type, ...]
    lazy: bool
    positional: bool = False
    required: bool = True
    default: str | None = None
    symbols: tuple[str, ...] = ()
    accepts_none: bool = False
    many: bool = False
    shown: bool = False
    attribute: str = ""
    """The Python name: `in_` for `in`."""
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """An assertion. `failures`: name -> status of its refusals; `errors`: the same for failures of kind ERROR.

    `effects`: what it may write: `user`, `request`, `response`. `outputs`: name -> type, in the order they are bound.
    `private_outputs`: those that are private. `waits`: evaluate is a coroutine function.
    """

    name: str
    group: str
    summary: str
    doc: str
    example: str
    params: tuple[ParamCard, ...]
    outputs: Mapping[str, Type]
    private_outputs: frozenset[str]
    failures: Mapping[str, int]
    errors: Mapping[str, int]
    effects: frozenset[str]
    waits: bool
    observes: bool
    answers: bool
    takes_block: bool
    reads_bodies: bool
    """A message it is given must be held whole before it runs."""
    sends: bool
    """It sends the request, whose body must be held before it runs."""
    make: Callable[..., Any]
    """The class: call it with one keyword argument for each parameter's `attribute`."""
    block_optional: bool = False
    """It may also stand without its block."""
    skips_block: bool = False
    """It may pass without having run its block."""
    gives_apart: bool = False
    """Outputs that are taken come from `giving`; `evaluate` gives none."""
    counts_as: str = ""
    """It asks for the counters of the assertion of this name, and has none of its own."""
    deprecated: str = ""
    """What to write instead of it, where it is there for old policies only."""

    def param(self, name: str) -> ParamCard | None:
        return next((p for p in self.params if p.name == name), None)


@dataclass(frozen=True, slots=True)
class FunctionCard:
    """A function. `call` takes one positional argument for each parameter.

    `prepare`, where there is one, is given the constant arguments by name when the policy is compiled (those left out
    or not constant are missing from the mapping) and gives the callable to use instead of `call`, with the same
    arguments; it raises ValueError with a message for the author when a literal cannot be right.
    `returns_for` gives a more exact type from the constant arguments. `pure`: the same arguments give the same value,
    so a call with constants may be folded. `load_time`: takes literals only and is resolved when the policy is loaded.
    """

    name: str
    group: str
    summary: str
    doc: str
    example: str
    params: tuple[ParamCard, ...]
    returns: Type
    call: Callable[..., Any]
    prepare: Callable[[Mapping[str, Any]], Callable[..., Any]] | None
    returns_for: Callable[[Mapping[str, Any]], Type] | None
    pure: bool

    def param(self, name: str) -> ParamCard | None:
        return next((p for p in self.params if p.name == name), None)
