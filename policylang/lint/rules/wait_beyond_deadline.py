"""A time that an earlier end never lets come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant, given, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.sdk.values import Duration, UpstreamName
from policylang.tree.facts import RESPONSE, all_needs

_HEAD, _CONNECT = Duration(30), Duration(5)
"""What holds where nothing is said."""


class WaitBeyondDeadline(Rule):
    """A time inside of another one, and longer than it: the outer one ends first, always.

    `timeouts head` is for all tries together, so a `per_try` as long leaves no time for a second one; what is slower
    than the whole time allowed has failed, and is never slow. The `timeout:` of a `route` takes the place of `head`.

        upstream orders {
            server "http://10.0.0.1:9000"
            server "http://10.0.0.2:9000"
            timeouts head: 5s
            retries 2, per_try: 5s
        }

        service orders "/orders" { route orders }
    ==
        upstream orders {
            server "http://10.0.0.1:9000"
            server "http://10.0.0.2:9000"
            timeouts head: 5s
            retries 2, per_try: 1500ms
        }

        service orders "/orders" { route orders }
    """

    name: ClassVar[str] = "wait-beyond-deadline"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        retries: dict[str, p.Setting] = {}
        asked = _asked(policy)
        for upstream in policy.program.upstreams:
            settings = {each.name: each for each in upstream.settings}
            if "retries" in settings:
                retries[upstream.name] = settings["retries"]
            times = settings.get("timeouts")
            head = times.values["head"] if times is not None else _HEAD
            longest = max(head, asked.get(upstream.name, head))
            for setting in upstream.settings:
                for name, what in (("per_try", "one try"), ("slower_than", "a slow answer")):
                    inner = setting.values.get(name)
                    if isinstance(inner, Duration) and inner >= longest:
                        yield _finding(setting, f"{what} may take {inner}, and all together end after {longest}", name)
            if times is not None and head < times.values["connect"] != _CONNECT:
                connect = times.values["connect"]
                yield _finding(times, f"a connection may take {connect}, and all ends after {head}", "connect")
        for visit in policy.visits:
            if calls(visit.statement, "route"):
                yield from _of_route(visit.statement, retries)
            elif isinstance(visit.statement, p.Invoke) and calls(visit.statement, "circuit_breaker"):
                yield from _of_circuit(visit.statement)


def _asked(policy: Policy) -> dict[str, Duration]:
    """The longest `timeout:` of a `route` to each upstream, which stands in the place of `timeouts head`."""
    found: dict[str, Duration] = {}
    for visit in policy.visits:
        name, timeout = constant(argument(visit.statement, "upstream")), constant(argument(visit.statement, "timeout"))
        if calls(visit.statement, "route") and isinstance(name, UpstreamName) and isinstance(timeout, Duration):
            found[name.name] = max(timeout, found.get(name.name, timeout))
    return found


def _finding(setting: p.Setting, message: str, name: str) -> Finding:
    return Finding(setting.span, message, help=f"correct `{name}:`, or the other time")


def _of_route(route: p.Statement, retries: dict[str, p.Setting]) -> Iterator[Finding]:
    said = given(route, "timeout")
    timeout, name = constant(said), constant(argument(route, "upstream"))
    setting = retries.get(name.name) if isinstance(name, UpstreamName) else None
    if said is None or not isinstance(timeout, Duration) or setting is None:
        return
    per_try, count = setting.values["per_try"], constant(argument(route, "retries"))
    if isinstance(per_try, Duration) and per_try >= timeout and (setting.values["count"] if count is None else count):
        yield Finding(
            said.span, f"one try may take {per_try}, so there is no time for a second one",
            labels=[Label(setting.span, "said here")], help="give it more time, or each try less",
        )  # fmt: skip


def _of_circuit(circuit: p.Invoke) -> Iterator[Finding]:
    said = given(circuit, "slower_than")
    slow = constant(said)
    inner = [each for each in within(circuit) if each is not circuit]
    routes = [each for each in inner if calls(each, "route")]
    # what else waits in the block, and an answer that is read as a whole, takes its time beside the route
    waits = [each for each in inner if isinstance(each, p.Invoke) and each.card.waits]
    if said is None or not isinstance(slow, Duration) or len(routes) != 1 or len(waits) > 1:
        return
    if any(all_needs(each) & RESPONSE for each in inner):
        return
    timeout = constant(given(routes[0], "timeout"))
    if isinstance(timeout, Duration) and slow >= timeout:
        yield Finding(
            said.span, f"nothing in the block takes longer than {timeout}",
            labels=[Label(routes[0].span, "it has failed by then")], help="make it shorter than the `timeout:`",
        )  # fmt: skip
