"""A token that can be guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import fields_written
from policylang.lint.likeness import shape
from policylang.lint.look import Visit, argument, calls, constant, parts, text_of
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.sdk.shared_map import SharedMap

_DRAWN = frozenset({"random", "cookie", "header", "stored", "made", "secret", "signature"})
"""What was made at random here, or is asked about in another rule."""


class GuessableToken(Rule):
    """What a session is known by is short, or is no random number at all.

    Whoever guesses the key of another's session is that user. A time, an address, a name or the id of a request can be
    guessed or seen; of random bytes it takes eight at the least, and `random_hex()` gives sixteen. `bytes` is the
    fewest that pass.

        let private sid = random_hex(4)
        respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
    ==
        let private sid = random_hex(16)
        respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
    """

    name: ClassVar[str] = "guessable-token"
    category: ClassVar[Category] = "security"
    options: ClassVar[dict[str, int]] = {"bytes": 8}

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            way = policy.origins.of(service)
            stored = list(_stored(way))
            for visit, key in stored:
                where = constant(argument(visit.statement, "in"))
                if isinstance(where, SharedMap) and where.private:
                    yield from self._short(way, key)
            for visit in way.visits:
                for field in fields_written(visit.statement):
                    if (field.message, field.name) == ("response", "set-cookie"):
                        yield from self._cookie(way, field.value, stored)

    def _cookie(self, way: Way, cookie: p.Expr, stored: list[tuple[Visit, p.Expr]]) -> Iterator[Finding]:
        short = list(self._short(way, cookie))
        yield from short
        for part in () if short else parts(cookie):
            kinds = {kind for kind, _ in way.flows(part)}
            told = isinstance(part, (p.Const, p.Template)) or (isinstance(part, p.ContextValue) and part.root == "user")
            if not kinds & _DRAWN and not told:
                for visit, key in stored:
                    if any(shape(each) == shape(part) for each in parts(key)):
                        yield Finding(
                            part.span, f"others can guess `{text_of(part)}`, by which an entry is found",
                            labels=[Label(visit.statement.span, "stored under it here")],
                            help="make it at random: `let private token = random_hex(16)`",
                        )  # fmt: skip
                        return


    def _short(self, way: Way, token: p.Expr) -> Iterator[Finding]:
        for part in parts(token):
            sources = way.flows(part) if isinstance(part, (p.SlotRef, p.FunctionCall)) else frozenset()
            lengths = [int(number) for kind, number in sources if kind == "random" and number.isdecimal()]
            if lengths and max(lengths) < self.given["bytes"]:
                yield Finding(
                    part.span, f"a number of {max(lengths)} random bytes can be guessed",
                    help="take 16: `random_hex(16)`",
                )  # fmt: skip
                return


def _stored(way: Way) -> Iterator[tuple[Visit, p.Expr]]:
    for visit in way.visits:
        if calls(visit.statement, "store", "remember"):
            key = argument(visit.statement, "key")
            if key is not None:
                yield visit, key
