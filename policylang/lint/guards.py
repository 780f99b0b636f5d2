"""What stands between strangers and an upstream, and what a policy writes into fields: facts of several rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Network, ip_address, ip_network
from typing import TypeAlias

from policylang.check import program as p
from policylang.lint.limits import LIMITS
from policylang.lint.look import Visit, argument, authenticates, calls, constant, own_expressions, parts, within
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.ways import earlier, later
from policylang.record import record
from policylang.tree.facts import blocks

Test: TypeAlias = Callable[[p.Statement], bool]

OURS = frozenset({"caching", "content", "identity", "observe", "routing", "state", "traffic"})
"""Groups of assertions that are known here; what another one checks is its plug-in's business."""
_OWN = IPv6Network("fc00::/7")  # RFC 4193: of use inside of a site only
_SHARED = frozenset({"constant", "service", "gateway", "secret"})


def limits(statement: p.Statement) -> bool:
    return calls(statement, *LIMITS)


def shared(way: Way, key: p.Expr | None) -> bool:
    """Whether the key is the same for everybody."""
    return key is None or all(kind in _SHARED for kind, _ in way.flows(key))


def firm(way: Way, visit: Visit) -> bool:
    """Whether it is a limit for each caller that no caller can put off by another word for himself."""
    key = argument(visit.statement, "per")
    if not limits(visit.statement) or key is None or constant(argument(visit.statement, "log_only")):
        return False
    sources = way.flows(key)
    return not shared(way, key) and not way.chosen(key, visit) and ("request", "id") not in sources


def identifies(way: Way, statement: p.Statement) -> bool:
    """Whether it asks who is there, or may hold somebody up that this policy does not know."""
    if authenticates(statement) or calls(statement, "allow_ip", "lockout"):
        return True
    if isinstance(statement, p.Invoke) and statement.card.group not in OURS:
        return True
    if calls(statement, "lookup"):
        return not constant(argument(statement, "optional"))
    if isinstance(statement, p.Let):  # a key without an entry ends it here
        return not statement.optional and any(
            isinstance(part, p.MemberOf) and isinstance(part.base, p.Const) for part in parts(statement.value)
        )
    if isinstance(statement, (p.If, p.Match)) and not _may_end(statement):
        return False  # whoever it is, it goes on behind it
    if isinstance(statement, (p.Require, p.If, p.Match)):
        return any(asks_who(way, expr) for expr in own_expressions(statement))
    return False


def _may_end(statement: p.If | p.Match) -> bool:
    """Whether some branch answers, or may refuse."""
    if isinstance(statement, p.Match) and statement.orelse is None:
        return True
    return any(
        not isinstance(each, (p.If, p.Group, p.Expand, p.SetPlace, p.RemovePlace, p.Ignore))
        and not (isinstance(each, p.Invoke) and each.card.observes)
        for block in blocks(statement) for inner in block.statements for each in within(inner)
    )  # fmt: skip


def asks_who(way: Way, expr: p.Expr) -> bool:
    """Whether it looks at who is there, or at what only somebody known can show."""
    return any(_known_of(way, part) for part in parts(expr))


def _known_of(way: Way, part: p.Expr) -> bool:
    if isinstance(part, p.ContextValue):
        return part.root in ("client", "user")
    if isinstance(part, p.FunctionCall):
        return part.card.name in ("same_secret", "hmac_sha256", "hmac_sha512", "in_network")
    if isinstance(part, p.SlotRef):
        return any(kind in ("identity", "stored", "client", "user") for kind, _ in way.flows(part))
    return part.private or (isinstance(part, p.Const) and part.type.name == "map")


def open_to_strangers(policy: Policy) -> bool:
    """Whether anybody may ask: it is public, and some `listen` does without a client's certificate."""
    certified = all(each.values["client_ca"] and each.values["client_cert"] == "required" for each in policy.listens)
    return policy.public and not (policy.listens and certified)


def sends(statement: p.Statement) -> bool:
    return isinstance(statement, p.Invoke) and (statement.card.answers or statement.card.sends)


# --- ways ----------------------------------------------------------------------------------------


class Marked:
    """Some statements, these and none that are equal."""

    def __init__(self, statements: Iterable[p.Statement]) -> None:
        self._ids = {id(each) for each in statements}

    def __bool__(self) -> bool:
        return bool(self._ids)

    def __call__(self, statement: p.Statement) -> bool:
        return id(statement) in self._ids


def surely_before(policy: Policy, visit: Visit, test: Test) -> bool:
    """Whether something of which the test is true has passed, or stands around it, on every way to this statement."""
    return any(map(test, visit.parents)) or any(surely(each, test) for each in earlier(policy, visit))


def surely_beside(policy: Policy, visit: Visit, test: Test) -> bool:
    """As `surely_before`, or it passes on every way that goes on behind it."""
    if surely_before(policy, visit, test):
        return True
    return any(surely(each, test, ends=False) for each in later(policy, visit))


def surely(statement: p.Statement, test: Test, ends: bool = True) -> bool:
    """Whether the test is true of it, or of something in it on each way that goes on behind it; `ends`: a way that
    ends there does not go on."""
    if test(statement) or (ends and isinstance(statement, (p.Fail, p.Respond))):
        return True
    if isinstance(statement, p.For) or (isinstance(statement, p.Group) and statement.kind == "none"):
        return False
    if isinstance(statement, p.If) and statement.orelse is None:
        return False
    if isinstance(statement, p.Invoke) and statement.card.skips_block:
        return False
    if isinstance(statement, p.Group) and statement.kind == "any":
        return all(surely(each, test, ends) for each in statement.body.statements)
    inner = [any(surely(each, test, ends) for each in block.statements) for block in blocks(statement)]
    return bool(inner) and all(inner)


# --- addresses -----------------------------------------------------------------------------------


def too_wide(network: str, v4: int, v6: int) -> bool:
    """Whether its prefix is shorter than that: half the world is in it."""
    try:
        found = ip_network(network)
    except ValueError:
        return False
    if found.is_multicast or found.is_link_local:
        return False
    if isinstance(found, IPv6Network):
        return found.prefixlen < v6 and not found.subnet_of(_OWN)
    return found.prefixlen < v4 and not found.is_reserved


def on_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# --- fields --------------------------------------------------------------------------------------


@record
class Written:
    """A header field that a statement writes; `name` in lower case."""

    message: str
    name: str
    value: p.Expr


def fields_written(statement: p.Statement) -> Iterator[Written]:
    if isinstance(statement, p.SetPlace):
        place = statement.place
        if isinstance(place, p.NamedPlace) and place.kind == "header" and isinstance(place.key, p.Const):
            yield Written(place.message, str(place.key.value).lower(), statement.value)
    elif isinstance(statement, p.Respond):
        for name, value in statement.headers:
            yield Written("response", name.lower(), value)


def writes_part(statement: p.Statement, kind: str, name: str) -> bool:
    """Whether it writes or removes that part of the request, or one that is worked out."""
    if not isinstance(statement, (p.SetPlace, p.RemovePlace)):
        return False
    place = statement.place
    if isinstance(place, p.FieldPlace):
        return place.message == "request" and place.field == "query_string" and kind == "query"
    if not isinstance(place, p.NamedPlace) or place.message != "request":
        return False
    if place.kind == "header" and kind == "cookie" and constant(place.key) in ("Cookie", "cookie"):
        return True
    if place.kind != kind:
        return False
    key = constant(place.key)
    return key is None or (str(key).lower() == name if kind == "header" else str(key) == name)


def literal_text(expr: p.Expr | None) -> str:
    """The text that a value is sure to have, in the order of its parts."""
    if isinstance(expr, p.Const) and isinstance(expr.value, str):
        return expr.value
    if isinstance(expr, p.Template):
        return "".join(part if isinstance(part, str) else literal_text(part) for part in expr.parts)
    if isinstance(expr, p.BinaryOp) and expr.op == "+":
        return literal_text(expr.left) + literal_text(expr.right)
    return ""


def leading_text(expr: p.Expr | None) -> str:
    """What it is sure to begin with."""
    if isinstance(expr, p.Template):
        return expr.parts[0] if expr.parts and isinstance(expr.parts[0], str) else ""
    if isinstance(expr, p.BinaryOp) and expr.op == "+":
        return leading_text(expr.left)
    return literal_text(expr)


__all__ = [
    "LIMITS", "OURS", "Marked", "Test", "Written", "asks_who", "fields_written", "firm", "identifies", "leading_text",
    "limits", "literal_text", "on_loopback", "open_to_strangers", "sends", "shared", "surely", "surely_before",
    "surely_beside", "too_wide", "writes_part",
]  # fmt: skip
