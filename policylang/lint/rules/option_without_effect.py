"""A parameter that does nothing as long as another is not given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from policylang.check import program as p
from policylang.lint.look import constant, given
from policylang.lint.moves import without_named, without_option
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.syntax import nodes as n

Test = Callable[[Mapping[str, Any]], bool]
_CALLS: Mapping[str, tuple[tuple[tuple[str, ...], str, Test], ...]] = {
    "rate_limit": ((("queue", "wait"), "over: shape", lambda has: has["over"] == "shape"),),
    "concurrency_limit": ((("queue", "wait"), "over: wait", lambda has: has["over"] == "wait"),),
    "cache": ((("wait",), "collapse: true", lambda has: has["collapse"] is True),),
    "circuit_breaker": ((("slow",), "slower_than:", lambda has: has["slower_than"] is not None),),
    "lockout": ((("max",), "`growing:` above 1", lambda has: has["growing"] != 1),),
}
"""By assertion: parameters, what they need, and whether that is there."""
_SETTINGS: Mapping[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("gateway", "listen"): (("client_cert", "client_ca"), ("crl", "client_ca"), ("min_tls", "cert")),
    ("upstream", "circuit_breaker"): (("slow", "slower_than"),),
}
"""By setting: a parameter, and the one that it needs."""


class OptionWithoutEffect(Rule):
    """A parameter that says how something is done which is not done at all.

    `queue` and `wait` are for limits that let requests wait, `wait` of a cache is for those who wait for one another,
    `client_cert: required` asks nobody for a certificate without `client_ca`.

        rate_limit 10/s, per: client.ip, queue: 50
        route orders
    ==
        rate_limit 10/s, per: client.ip, over: shape, queue: 50
        route orders
    """

    name: ClassVar[str] = "option-without-effect"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Invoke):
                for names, needs, there in _CALLS.get(statement.card.name, ()):
                    has = {bound.param.name: constant(bound.value) for bound in statement.args}
                    for name in names if not there(has) else ():
                        value = given(statement, name)
                        if value is not None:
                            needed = needs if "`" in needs else f"`{needs}`"
                            yield Finding(
                                value.span, f"`{name}:` has no effect without {needed}",
                                help=f"add {needed}, or leave `{name}:` out",
                                fix=without_option(policy, statement, name),
                            )  # fmt: skip
        for node in policy.declarations:
            if isinstance(node, (n.Gateway, n.Upstream)):
                kind = "gateway" if isinstance(node, n.Gateway) else "upstream"
                for setting in node.settings:
                    args = {arg.name: arg for arg in setting.args}
                    for name, needed in _SETTINGS.get((kind, setting.name), ()):
                        if name in args and needed not in args:
                            yield Finding(
                                args[name].span, f"`{name}:` has no effect without `{needed}:`",
                                help=f"add `{needed}:`, or leave `{name}:` out",
                                fix=without_named(setting.args, name, setting.name_span),
                            )  # fmt: skip
