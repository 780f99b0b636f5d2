"""Slips of the pen: one token of a policy dropped, doubled or swapped with the one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policylang.source import Source
from policylang.syntax.lexer import scan


@dataclass(frozen=True)
class Mutation:
    """`first` and `last`: the lines that it touched, from 1."""

    what: str
    text: str
    first: int
    last: int

    def near(self, line: int) -> bool:
        """On a line that was touched, or the next."""
        return self.first <= line <= self.last + 1


def mutations(source: Source) -> Iterator[Mutation]:
    tokens = scan(source)
    text = source.text
    places = [
        (start, end) for start, end in zip(tokens.starts, tokens.ends, strict=True) if text[start:end].strip()
    ]  # fmt: skip
    for i, (start, end) in enumerate(places):
        first, last = source.position(start)[0], source.position(end)[0]
        token = text[start:end]
        yield Mutation(f"dropped `{token}`", text[:start] + text[end:], first, last)
        yield Mutation(f"doubled `{token}`", text[:end] + " " + token + text[end:], first, 2 * last - first)
        if i + 1 == len(places):
            continue
        begin, stop = places[i + 1]
        other = text[begin:stop]
        if token != other and "\n" not in text[end:begin]:
            swapped = text[:start] + other + text[end:begin] + token + text[stop:]
            yield Mutation(f"swapped `{token}` and `{other}`", swapped, first, source.position(stop)[0])
