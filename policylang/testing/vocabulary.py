"""The words that a test knows besides those of the language, as Cards."""

from __future__ import annotations

from dataclasses import replace

from policylang.sdk.assertion import Assertion, card_of
from policylang.sdk.card import Card
from policylang.testing.asking import Delete, Get, Head, Options, Patch, Post, Put, Repeat, Send, Together
from policylang.testing.expecting import Expect, Expectation
from policylang.testing.givens import GIVEN as KINDS
from policylang.testing.moments import Advance, StoreAway, StoreBack, StoreSlow
from policylang.testing.stubbing import ANSWER as PARTS
from policylang.testing.stubbing import Stub


def _card(kind: type[Assertion]) -> Card:
    card = card_of(kind)
    params = tuple(sorted(card.params, key=lambda each: not each.positional))
    return replace(card, group="test", params=params)


CARDS: dict[str, Card] = {
    kind.name: _card(kind)
    for kind in (
        Stub, Get, Head, Post, Put, Patch, Delete, Options, Send, Together, Repeat, Advance, StoreAway, StoreSlow,
        StoreBack, Expect,
    )
}  # fmt: skip
GIVEN: dict[str, Card] = {word: _card(kind) for word, kind in KINDS.items()}
"""By the word behind `given`; their names are both words."""
EXPECTATION = card_of(Expectation)
REQUESTS = frozenset({"get", "head", "post", "put", "patch", "delete", "options", "send"})
ANSWER = tuple(each for each in CARDS["stub"].params if each.name in PARTS)
"""What one answer of a `sequence` is made of."""
