"""Functions of the language: pure and cheap. What waits or can refuse is an assertion."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from policylang.sdk.annotations import Reading, read_types
from policylang.sdk.assertion import split_doc
from policylang.sdk.card import FunctionCard, ParamCard
from policylang.sdk.static_types import Type


def function(
    *,
    name: str = "",
    docs: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    prepare: Callable[[Mapping[str, Any]], Callable[..., Any]] | None = None,
    returns: Type | None = None,
    returns_for: Callable[[Mapping[str, Any]], Type] | None = None,
    pure: bool = True,
) -> Callable[[Callable[..., Any]], FunctionCard]:
    """Make a function's Card of a Python function: its annotations are the types, its docstring the page.

    `docs`: a sentence for each parameter. `defaults`: `.pol` text by parameter; a parameter whose annotation ends in
    `| None` may be left out or be none. A name that Python reserves ends in `_`. Parameters before the first
    keyword-only one may be positional.
    """

    def made(call: Callable[..., Any]) -> FunctionCard:
        hints = get_type_hints(call)
        params = []
        for parameter in inspect.signature(call).parameters.values():
            word = parameter.name.rstrip("_")
            reading = Reading(hints[parameter.name])
            default = (defaults or {}).get(word)
            params.append(
                ParamCard(
                    name=word,
                    doc=(docs or {}).get(word, ""),
                    types=reading.types,
                    lazy=True,
                    positional=parameter.kind is not parameter.KEYWORD_ONLY,
                    required=default is None and not reading.absent,
                    default=default,
                    symbols=reading.symbols,
                    accepts_none=reading.absent or reading.none,
                    attribute=parameter.name,
                )
            )
        summary, doc, example = split_doc(call.__doc__ or "")
        given = Reading(hints["return"])
        kind = returns if returns is not None else (read_types_of(given))
        return FunctionCard(
            name=name or call.__name__.rstrip("_"),
            group=call.__module__.rsplit(".", 1)[-1],
            summary=summary,
            doc=doc,
            example=example,
            params=tuple(params),
            returns=kind,
            call=_positional(call),
            prepare=prepare,
            returns_for=returns_for,
            pure=pure,
        )

    return made


def read_types_of(reading: Reading) -> Type:
    kind = reading.types[0]
    return kind.maybe() if reading.absent or reading.none else kind


def _positional(call: Callable[..., Any]) -> Callable[..., Any]:
    """A version that takes every argument by position, keyword-only ones too."""
    parameters = inspect.signature(call).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    if not keywords:
        return call
    count = len(parameters) - len(keywords)

    def by_position(*args: Any) -> Any:
        return call(*args[:count], **dict(zip(keywords, args[count:], strict=True)))

    return by_position


__all__ = ["function", "read_types"]
