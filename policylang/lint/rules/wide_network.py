"""A network that nearly everybody is in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.demands import denied
from policylang.lint.guards import too_wide
from policylang.lint.look import argument, calls, constant, expressions
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span
from policylang.syntax import nodes as n

_QUOTED = re.compile(r'"([0-9A-Fa-f:./]+)"')


class WideNetwork(Rule):
    """An allowed network has room for a large part of the internet.

    `0.0.0.0/0` allows everybody, and so do a `/1` and its neighbour. Where everybody may come in, leave the check out;
    else name the networks that are meant. `v4` and `v6` are the shortest prefixes that pass.

        allow_ip "10.0.0.0/8", "0.0.0.0/0"
    ==
        allow_ip "10.0.0.0/8", "203.0.113.0/24"
    """

    name: ClassVar[str] = "wide-network"
    category: ClassVar[Category] = "security"
    options: ClassVar[dict[str, int]] = {"v4": 8, "v6": 16}

    def check(self, policy: Policy) -> Iterator[Finding]:
        constants = {each.name: each.value for each in policy.declarations if isinstance(each, n.Constant)}
        for visit in policy.visits:
            if calls(visit.statement, "allow_ip"):
                networks = argument(visit.statement, "networks")
                for network in constant(networks) or ():
                    if networks is not None and too_wide(str(network), self.given["v4"], self.given["v6"]):
                        yield _finding(networks.span, network, "allows")
            keeps_out = denied(visit)
            for expr in expressions(visit.statement):
                if id(expr) in keeps_out:
                    continue
                if isinstance(expr, p.BinaryOp) and expr.op == "in" and expr.left.type.name == "ip":
                    yield from self._written(expr.right, constants)
                elif isinstance(expr, p.FunctionCall) and expr.card.name == "in_network":
                    yield from self._written(expr.args[1], constants)
        for setting in policy.program.gateway:
            if setting.name == "server_timing":
                for network in setting.values["networks"]:
                    if too_wide(network, self.given["v4"], self.given["v6"]):
                        yield _finding(setting.span, network, "tells times to")

    def _written(self, expr: p.Expr, constants: dict[str, n.Expr]) -> Iterator[Finding]:
        """A constant set of networks is ready to be asked, so its text is looked at."""
        declared = constants.get(expr.span.text)
        text = expr.span.text if declared is None else declared.span.text
        for network in _QUOTED.findall(text) if isinstance(expr, p.Const) else ():
            if too_wide(network, self.given["v4"], self.given["v6"]):
                yield _finding(expr.span, network, "takes in")


def _finding(span: Span, network: str, verb: str) -> Finding:
    return Finding(span, f"`{network}` {verb} a large part of the internet", help="name the networks that are meant")
