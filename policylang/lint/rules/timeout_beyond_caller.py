"""Waiting for longer than any caller does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant, given
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.lint.ways import certain, earlier
from policylang.sdk.values import Duration, UpstreamName

_HEAD = Duration(30)


class TimeoutBeyondCaller(Rule):
    """The upstream is given more time than callers wait, so that the answer finds nobody.

    Most clients, and most proxies in front of a gateway, give up after a minute, and ask again: the upstream works for
    both. What limits let wait is added. The option `seconds` says how long callers of this gateway wait.

        route orders, timeout: 2m
    ==
        route orders, timeout: 20s
    """

    name: ClassVar[str] = "timeout-beyond-caller"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO
    options: ClassVar[dict[str, int]] = {"seconds": 60}

    def check(self, policy: Policy) -> Iterator[Finding]:
        heads = {
            upstream.name: setting.values["head"]
            for upstream in policy.program.upstreams for setting in upstream.settings if setting.name == "timeouts"
        }  # fmt: skip
        for visit in policy.visits:
            statement = visit.statement
            name = constant(argument(statement, "upstream"))
            if not calls(statement, "route") or not isinstance(name, UpstreamName):
                continue
            said = given(statement, "timeout")
            own = constant(said) if said is not None else heads.get(name.name, _HEAD)
            if not isinstance(own, Duration):
                continue
            total = own.seconds + sum(
                _wait(each) for before in earlier(policy, visit) for each in certain(before)
            )
            if total > self.given["seconds"]:
                patience = Duration(self.given["seconds"])
                yield Finding(
                    (said or statement).span, f"this may take {Duration(total)}, and callers wait {patience}",
                    help="wait less, or say in `pol.toml` how long callers wait: `seconds`",
                )  # fmt: skip


def _wait(statement: p.Statement) -> float:
    """How long a limit may let a request wait."""
    if calls(statement, "rate_limit", "concurrency_limit"):
        wait = constant(argument(statement, "wait"))
        if constant(argument(statement, "over")) in ("shape", "wait") and isinstance(wait, Duration):
            return wait.seconds
    return 0.0
