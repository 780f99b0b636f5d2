"""An address that is read from a field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.look import argument, calls, expressions, text_of
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule

REMOVED = frozenset({
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto", "x-real-ip",
})  # fmt: skip
"""What the gateway takes out of every request before the policy sees it."""
_INSTEAD = {"x-forwarded-for": "client.ip", "x-real-ip": "client.ip", "x-forwarded-proto": "request.scheme"}
ADDRESSES = REMOVED | frozenset({
    "cf-connecting-ip", "cf-connecting-ipv6", "true-client-ip", "fastly-client-ip", "x-client-ip", "client-ip",
    "x-cluster-client-ip", "x-original-forwarded-for", "x-remote-ip", "x-remote-addr", "x-originating-ip",
    "x-proxyuser-ip", "x-envoy-external-address", "x-azure-clientip",
})  # fmt: skip


class ForwardedRead(Rule):
    """The client's address is read from a header field.

    What somebody says of his own address is worth nothing. The gateway removes `Forwarded`, `X-Forwarded-For` and the
    like, so that reading one gives `none`, always; fields such as `CF-Connecting-IP` arrive as any client wrote them.
    Name the proxies whose word counts with `trusted_proxies`: then `client.ip` is the client.

        rate_limit 10/s, per: request.header["X-Forwarded-For"] ?? "none"
    ==
        rate_limit 10/s, per: client.ip
    """

    name: ClassVar[str] = "forwarded-read"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            whole: dict[int, p.Expr] = {}  # with what stands in its place where there is none
            for expr in expressions(visit.statement):
                if isinstance(expr, p.BinaryOp) and expr.op == "??":
                    whole[id(expr.left)] = expr
                if isinstance(expr, p.Named) and (expr.message, expr.kind) == ("request", "header"):
                    name = str(expr.key.value).lower() if isinstance(expr.key, p.Const) else ""
                    if name in ADDRESSES:
                        yield _finding(expr, name, whole.get(id(expr), expr))
                elif isinstance(expr, p.FunctionCall) and expr.card.name == "ip":
                    chosen = policy.origins.of(visit.service).chosen(expr.args[0], visit)
                    judged = calls(visit.statement, "allow_ip", "deny_ip") and argument(visit.statement, "ip") is expr
                    if judged and chosen and not any(name in ADDRESSES for _, name in chosen):
                        yield _finding(expr, "", expr)


def _finding(expr: p.Expr, name: str, whole: p.Expr) -> Finding:
    instead = _INSTEAD.get(name, "client.ip")
    message = f"`{text_of(expr)}` is what the client says of itself"
    fix = None
    if name in REMOVED:
        message = f"`{text_of(expr)}` is always `none`: the gateway removes what clients say of themselves"
    if name in _INSTEAD:
        fix = Fix(f"write `{instead}`", (Edit(whole.span, instead),))
    cure = f"read `{instead}`, and name the proxies in front with `trusted_proxies`"
    return Finding(expr.span, message, help=cure, fix=fix)
