"""An answer that is kept under less than it was chosen by."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.guards import literal_text
from policylang.lint.likeness import shape
from policylang.lint.limits import key_of
from policylang.lint.look import Visit, argument, calls, constant, given, text_of, within
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import earlier, meaning, sources
from policylang.source import Span

_CALLER = ("caller",)


class CacheKeyIncomplete(Rule):
    """What chooses an answer must be in the key that it is kept under, or others get what was made for one.

    Told are fields, cookies, addresses, entries and callers that come in by way of a name, or are written into the
    request; what stands in the block itself the checker tells (`unkeyed-input`). Of `cache_store` it is the caller, and
    the query, which `route` sends along: whoever adds `?lang=tr` first chooses for all. `query: {}` sends none.

        let region = request.header["X-Region"] ?? "eu"
        cache ttl: 1m {
            route orders, path: "/${region}/orders"
        }
    ==
        let region = request.header["X-Region"] ?? "eu"
        cache ttl: 1m, key: region {
            route orders, path: "/${region}/orders"
        }
    """

    name: ClassVar[str] = "cache-key-incomplete"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            statement = visit.statement
            if isinstance(statement, p.Invoke) and calls(statement, "cache") and statement.block is not None:
                yield from self._around(policy, visit, statement, statement.block)
            elif calls(statement, "cache_store"):
                yield from self._beside(policy, visit)

    def _around(self, policy: Policy, visit: Visit, cache: p.Invoke, block: p.Block) -> Iterator[Finding]:
        told = _told(policy, visit)
        told |= {("request", "header", str(name).lower(), False) for name in constant(argument(cache, "vary")) or ()}
        if constant(argument(cache, "shared")) is not True:
            told.add(_CALLER)  # it is bypassed for those who are known
            yield from self._written(policy, visit, told)
        for statement in (inner for each in block.statements for inner in within(each)):
            for expr in _deciding(statement):
                for root in _roots(policy, visit.service, expr):
                    if root not in told:
                        told.add(root)
                        yield _finding(expr, visit.statement, f"the answer is chosen by `{text_of(expr)}`")

    def _written(self, policy: Policy, visit: Visit, told: set[Hashable]) -> Iterator[Finding]:
        """What was found of this caller, and goes along with the request."""
        if not any(calls(each.statement, "lookup") for each in policy.visits_of(visit.service)):
            return
        for statement in (inner for each in earlier(policy, visit) for inner in within(each)):
            if not isinstance(statement, p.SetPlace) or not isinstance(statement.place, p.NamedPlace):
                continue
            entries = [
                key for each in sources(policy, visit.service, statement.value)
                if isinstance(each, p.Invoke) and calls(each, "lookup") and (key := key_of(each)) is not None
            ]
            found = any(not told.issuperset(_roots(policy, visit.service, key)) for key in entries)
            if found and statement.place.message == "request" and statement.place.kind != "query":
                told |= set(_roots(policy, visit.service, statement.value))
                yield _finding(statement.value, visit.statement, f"the upstream is told `{text_of(statement.value)}`")

    def _beside(self, policy: Policy, visit: Visit) -> Iterator[Finding]:
        value, key = argument(visit.statement, "value"), key_of(visit.statement)
        if value is None or key is None or not _of_answer(policy, visit.service, value):
            return
        told = _told(policy, visit)
        asks = any(
            isinstance(each, p.Named) and each.message == "request" and each.kind == "query"
            for each in sources(policy, visit.service, key)
        )
        for statement in (inner for each in earlier(policy, visit) for inner in within(each)):
            if not (isinstance(statement, p.Invoke) and statement.card.answers):
                continue
            for expr in _deciding(statement):
                if _CALLER in set(_roots(policy, visit.service, expr)) - told:
                    yield _finding(key, statement, f"the answer is chosen by `{text_of(expr)}`")
                    return
            path = given(statement, "path")
            if not asks and given(statement, "query") is None and not _has_query(policy, visit.service, path):
                yield Finding(
                    key.span, "the answer may depend on the query, and the key does not",
                    labels=[Label(statement.span, "this sends the query along")],
                    help="send none, with `query: {}`, or put what counts of it into the key",
                )  # fmt: skip
                return


def _finding(expr: p.Expr, statement: p.Statement, message: str) -> Finding:
    cache = statement.span.text.split(None, 1)[0]
    place = Span(statement.span.source, statement.span.start, statement.span.start + len(cache))
    return Finding(
        expr.span, f"{message}, which its key does not tell apart",
        labels=[Label(place, "kept here for all who ask with one key" if cache == "cache" else "asked for here")],
        help="put it into `key:`",
    )  # fmt: skip


def _deciding(statement: p.Statement) -> Iterator[p.Expr]:
    """By what a statement chooses an answer."""
    if isinstance(statement, p.Invoke) and statement.card.answers:
        yield from (bound.value for bound in statement.args)
    elif isinstance(statement, p.If):
        yield from (condition for condition, _ in statement.arms)
    elif isinstance(statement, p.Match) and not isinstance(statement, p.Split):
        yield statement.subject
    elif isinstance(statement, p.SetPlace) and getattr(statement.place, "message", "") == "request":
        yield statement.value


def _told(policy: Policy, visit: Visit) -> set[Hashable]:
    key = key_of(visit.statement)
    return set(_roots(policy, visit.service, key)) if key is not None else set()


def _roots(policy: Policy, service: p.Service | None, expr: p.Expr) -> Iterator[Hashable]:
    """What of a request that is in no key of its own an expression comes from."""
    waiting, seen = [expr], set()
    while waiting:
        for each in sources(policy, service, waiting.pop()):
            if isinstance(each, p.Invoke):
                key = key_of(each)
                if each.card.group == "identity":
                    yield _CALLER
                elif calls(each, "lookup", "cache_lookup") and key is not None and id(each) not in seen:
                    seen.add(id(each))
                    waiting.append(key)  # an entry is as good as what it was looked up by
            elif isinstance(each, p.ContextValue) and each.root in ("user", "client"):
                yield _CALLER if each.root == "user" else (each.root, each.field)
            elif isinstance(each, p.Named) and each.message == "request" and each.kind in ("header", "cookie"):
                yield shape(each)


def _has_query(policy: Policy, service: p.Service | None, path: p.Expr | None) -> bool:
    return path is not None and "?" in literal_text(meaning(policy, service, path))


def _of_answer(policy: Policy, service: p.Service | None, value: p.Expr) -> bool:
    return any(
        isinstance(each, (p.MessageField, p.Named, p.MessageRef)) and each.message == "response"
        for each in sources(policy, service, value)
    )
