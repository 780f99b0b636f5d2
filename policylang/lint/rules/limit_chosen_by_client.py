"""A limit that the client sets for itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import asks_who, identifies, limits
from policylang.lint.look import Visit, argument, constant, own_expressions, parts, text_of, within
from policylang.lint.origins import CHOSEN, Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.sdk.values import SECONDS, Rate
from policylang.tree.facts import blocks

_MONTH = 30 * SECONDS["day"]


class LimitChosenByClient(Rule):
    """How much somebody may is read from a header field, parameter or cookie that nothing has verified.

    Every client says that it is the best of customers. Take the contract from what is known of the caller: the map
    entry that `api_key` gives, or a session.

        match request.header["X-Plan"] ?? "free" {
            "gold" -> rate_limit 500/s, per: client.ip
            else   -> rate_limit 10/s,  per: client.ip
        }
    ==
        api_key request.header["X-API-Key"], in: map("clients") -> caller
        match caller.contract {
            "gold" -> rate_limit 500/s, per: caller.id
            else   -> rate_limit 10/s,  per: caller.id
        }
    """

    name: ClassVar[str] = "limit-chosen-by-client"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            way = policy.origins.of(service)
            for visit in way.path:
                statement = visit.statement
                limit = argument(statement, "limit") if limits(statement) else None
                if limit is not None and (
                    way.chosen(limit, visit, CHOSEN | {"body"})
                    or any(_by_word(way, visit, part) for part in parts(limit))
                ):  # fmt: skip
                    yield Finding(
                        limit.span, f"the client sets its own limit with `{text_of(limit)}`",
                        help="take it from what is known of the caller, such as a map of contracts",
                    )  # fmt: skip
                if isinstance(statement, (p.If, p.Match)) and not isinstance(statement, p.Split):
                    yield from _tiers(way, visit)


def _by_word(way: Way, visit: Visit, part: p.Expr) -> bool:
    """Whether it is one of two, as the client says."""
    return isinstance(part, p.IfExpr) and not asks_who(way, part.condition) and any(
        way.chosen(each, visit) and not _content(way, each) for each in _deciding(part.condition)
    )


def _tiers(way: Way, visit: Visit) -> Iterator[Finding]:
    arms = [[inner for outer in block.statements for inner in within(outer)] for block in blocks(visit.statement)]
    if any(asks_who(way, expr) for expr in own_expressions(visit.statement)):
        return
    asking = partial(identifies, way)
    open_to_all = [each for arm in arms if not any(map(asking, arm)) for each in arm if limits(each)]
    said = {text_of(limit) for each in open_to_all if (limit := argument(each, "limit")) is not None}
    if len(said) < 2 or _gains_nothing(visit.statement, arms):
        return
    for expr in own_expressions(visit.statement):
        if isinstance(expr, p.Const):
            continue
        for part in _deciding(expr):
            if way.chosen(part, visit) and not _content(way, part):
                yield Finding(
                    expr.span, f"the client chooses its limit with `{text_of(expr)}`",
                    labels=[Label(open_to_all[0].span, "one of the limits")],
                    help="decide by what is known of the caller, such as the entry that `api_key` gives",
                )  # fmt: skip
                return


def _gains_nothing(statement: p.Statement, arms: list[list[p.Statement]]) -> bool:
    """Whether who says nothing has the widest limit, so that nobody has a reason to say what is not so."""
    if not isinstance(statement, (p.If, p.Match)) or statement.orelse is None:
        return False
    *claimed, usual = (min((_a_second(each) for each in arm if limits(each)), default=None) for arm in arms)
    if isinstance(statement, p.If) and len(claimed) == 1 and _says_nothing(statement.arms[0][0]):
        claimed, usual = [usual], claimed[0]
    return usual is not None and usual < inf and all(each is not None and each <= usual for each in claimed)


def _says_nothing(condition: p.Expr) -> bool:
    """Whether it is true for who leaves out what it asks about."""
    if isinstance(condition, p.UnaryOp):
        return not _says_nothing(condition.operand)
    if not isinstance(condition, p.BinaryOp):
        return False
    nothing = any(isinstance(side, p.Const) and side.value is None for side in (condition.left, condition.right))
    return condition.op == ("==" if nothing else "!=")


def _a_second(limit: p.Statement) -> float:
    """How much it lets pass in a second; without end where that is worked out, as nothing is known then."""
    rate = constant(argument(limit, "limit"))
    return rate.count / SECONDS.get(rate.unit, _MONTH) if isinstance(rate, Rate) else inf


def _deciding(expr: p.Expr) -> Iterator[p.Expr]:
    """The sides of its comparisons: a condition itself has no text of anybody's."""
    if isinstance(expr, p.BinaryOp) and expr.type.name == "boolean":
        yield from _deciding(expr.left)
        yield from _deciding(expr.right)
    elif isinstance(expr, p.UnaryOp):
        yield from _deciding(expr.operand)
    elif not isinstance(expr, p.Const):
        yield expr


def _content(way: Way, expr: p.Expr) -> bool:
    """What is negotiated (a type, a language) is no claim about the client."""
    return any(name.startswith(("accept", "content-", "upgrade")) for _, name in way.flows(expr))
