"""A signed message that counts again each time it comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, compared, expressions, text_of
from policylang.lint.origins import SENT, Way, children
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


class WebhookReplayable(Rule):
    """A request proves who has signed it, but not that it was not sent before.

    Whoever has seen it once can send it again: its signature stays right. Let an id pass once with `not_replayed`, or
    hold a time that is signed too against `now`. An id that is not a part of what is signed does not help: with
    another one the same message passes again.

        let signature = hmac_sha256(request.text, key: secret("HOOK_KEY"))
        require same_secret(signature, request.header["X-Signature"])
        route orders
    ==
        let signature = hmac_sha256(request.text, key: secret("HOOK_KEY"))
        require same_secret(signature, request.header["X-Signature"])
        not_replayed request.json.id, within: 1d
        route orders
    """

    name: ClassVar[str] = "webhook-replayable"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            if service.methods and set(service.methods) <= {"GET", "HEAD"}:
                continue
            way = policy.origins.of(service)
            read = [expr for visit in way.path for expr in expressions(visit.statement)]
            signed = [expr for expr in read if _verifies(way, expr)]
            covered = frozenset().union(*(way.flows(side) for expr in signed[:1] for side in children(expr)))
            if ("body", "") not in covered:
                continue
            once = [visit for visit in way.path if calls(visit.statement, "not_replayed", "remember")]
            timed = any(
                isinstance(expr, p.ContextValue) and expr.root == "now"
                for visit in way.path if isinstance(visit.statement, (p.Require, p.If, p.Match, p.Let, p.Expand))
                for expr in expressions(visit.statement)
            )  # fmt: skip
            if not once and not timed:
                yield Finding(
                    signed[0].span, "whoever has seen this message once can send it again",
                    help="put `not_replayed request.json.id, within: 1d` behind it",
                )  # fmt: skip
            for visit in once:
                id = argument(visit.statement, "id") or argument(visit.statement, "key")
                sources = way.flows(id) if id is not None else frozenset()
                said = {source for source in sources if source[0] in SENT}
                if id is not None and said and not said & covered and not timed:
                    yield Finding(
                        id.span, f"`{text_of(id)}` is not signed: with another one the same message passes again",
                        labels=[Label(signed[0].span, "this is what is signed")],
                        help="take an id out of the signed text, or the signature itself",
                    )  # fmt: skip


def _verifies(way: Way, expr: p.Expr) -> bool:
    return any(("signature", "") in way.flows(side) for side in compared(expr))
