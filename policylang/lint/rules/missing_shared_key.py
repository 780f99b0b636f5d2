"""A key that all have in common who bring none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.likeness import shape
from policylang.lint.limits import items, key_of
from policylang.lint.look import calls, constant, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.rules.limit_by_client_choice import LimitByClientChoice
from policylang.lint.ways import meaning

_ASSERTIONS = ("rate_limit", "quota", "concurrency_limit", "lockout", "not_replayed", "remember", "store")
_SPELLING = frozenset({"lower", "upper", "trim", "string"})
_ADDRESSES = frozenset({"forwarded", "x-forwarded-for", "x-real-ip"})


class MissingSharedKey(Rule):
    """Who does not send the field shares one counter, one lock or one entry with all others who do not.

    One client without it uses up the limit of all of them, or is refused for what another has done.

        concurrency_limit 1, per: request.header["X-Account"] ?? "none"
        route orders
    ==
        let account = request.header["X-Account"]
        concurrency_limit 1, per: account
        route orders
    """

    name: ClassVar[str] = "missing-shared-key"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        found = list(_found(policy))
        # a key that a client makes up is worse than one that some share, and the cure is the same
        made_up = {each.span for each in LimitByClientChoice().check(policy)} if found else set()
        return (each for each in found if each.span not in made_up)


def _found(policy: Policy) -> Iterator[Finding]:
    for visit in policy.visits:
        key = key_of(visit.statement) if calls(visit.statement, *_ASSERTIONS) else None
        if key is None:
            continue
        made = [_plain(policy, visit.service, each) for each in items(_plain(policy, visit.service, key))]
        if calls(visit.statement, "store") and any(_of_cookie(each) for each in made):
            continue  # a client that names its own session is wrong with a cookie, too: `session-fixation`
        missing = [each for each in map(_with_default, made) if each is not None]
        if missing and len(missing) + sum(map(_same_for_all, made)) == len(made):
            yield Finding(
                key.span, f"all who come without `{text_of(missing[0])}` share one key",
                help="refuse them first, or fall back to what tells them apart, such as `client.ip`",
            )  # fmt: skip


def _plain(policy: Policy, service: p.Service | None, expr: p.Expr) -> p.Expr:
    """What the names stand for, without what only spells it in another way."""
    expr = meaning(policy, service, expr)
    while isinstance(expr, p.FunctionCall) and expr.card.name in _SPELLING:
        expr = meaning(policy, service, expr.args[0])
    return expr


def _of_cookie(expr: p.Expr) -> bool:
    left = expr.left if isinstance(expr, p.BinaryOp) else expr
    return isinstance(left, p.Named) and left.kind == "cookie"


def _with_default(expr: p.Expr) -> p.Expr | None:
    """What may be missing, where it falls back to something that is the same for all."""
    if isinstance(expr, p.BinaryOp) and expr.op == "??" and _same_for_all(expr.right):
        left = expr.left
    elif isinstance(expr, p.IfExpr) and (_same_for_all(expr.orelse) or _same_for_all(expr.then)):
        left = expr.then if _same_for_all(expr.orelse) else expr.orelse
        test = expr.condition
        if not (isinstance(test, p.BinaryOp) and shape(left) in (shape(test.left), shape(test.right))):
            return None
    else:
        return None
    if not left.type.optional:
        return None  # the rule `default-never-used`
    # fields about the client's address are wrong as a key whether they are there or not: the rule `forwarded-read`
    return None if isinstance(left, p.Named) and str(constant(left.key)).lower() in _ADDRESSES else left


def _same_for_all(expr: p.Expr) -> bool:
    return isinstance(expr, p.Const) or (isinstance(expr, p.ContextValue) and expr.root in ("service", "gateway"))
