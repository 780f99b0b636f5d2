"""The patterns of a `match`: a table where all are texts, else tests in the order of the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from policylang.check import program as p
from policylang.sdk.networks import Networks
from policylang.sdk.values import Ip
from policylang.tree.outcome import Run
from policylang.tree.values import bounds, kind_of, same

Cases = Sequence[tuple[tuple[p.Const, ...], Run]]


def texts_of(subject: p.Expr, cases: Cases) -> dict[str | None, Run] | None:
    """From text to what it leads to; None where some pattern is no text. The first of two equal ones counts."""
    if subject.type.name == "ip":
        return None
    table: dict[str | None, Run] = {}
    for patterns, run in cases:
        for pattern in patterns:
            if pattern.value.__class__ is not str and pattern.value is not None:
                return None
            table.setdefault(pattern.value, run)
    return table


def cases_of(subject: p.Expr, cases: Cases) -> tuple[tuple[Callable[[Any], bool], Run], ...]:
    return tuple((_test(subject, patterns), run) for patterns, run in cases)


def _test(subject: p.Expr, patterns: tuple[p.Const, ...]) -> Callable[[Any], bool]:
    if subject.type.name == "ip":
        # Beside an ip, texts are addresses and networks.
        texts = [pattern.value for pattern in patterns if isinstance(pattern.value, str)]
        sets = [pattern.value for pattern in patterns if isinstance(pattern.value, Networks)]
        if len(texts) + len(sets) == len(patterns):
            everything = (Networks(texts), *sets)
            return lambda value: any(value in networks for networks in everything)
    tests = tuple(_one(pattern) for pattern in patterns)
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)


def _one(pattern: p.Const) -> Callable[[Any], bool]:
    wanted = pattern.value
    if wanted is None:
        return lambda value: value is None
    if pattern.type.name == "range" or isinstance(wanted, range):
        low, high = bounds(wanted)
        return lambda value: (value.__class__ is int or value.__class__ is float) and low <= value <= high
    if isinstance(wanted, Networks):
        return lambda value: value in wanted
    kind = "string" if isinstance(wanted, Ip) else kind_of(wanted)
    # Another type matches no pattern, and is no failure.
    return lambda value: kind_of(value) == kind and same(value, wanted)
