"""A second, slow and obvious interpreter of policies, written from language.md alone.

It walks the syntax tree; names are looked up in dicts, a branch that may have to take its writes back works after a
deep copy, nothing waits, nothing is compiled. It shares with the real tree the parser, the value types and the
functions of the catalog, and nothing else.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from reference import amounts, assertions, caching, limiting, names, sending, splits, state, writing
from reference.expressions import Record, evaluate, reads_body, reads_message
from reference.message import Message, Request, Response
from reference.policy import GLOBAL, Policy, key_of, place
from reference.services import find
from reference.values import (
    Failing,
    Interval,
    Known,
    boolean,
    check_fit,
    kind_of,
    missing_value,
    same,
    within,
    wrong_type,
)
from reference.walk import walk
from reference.world import World

from policylang.syntax import nodes as n

PASSED, RESPONDED, CANCELLED = "passed", "responded", "cancelled"
ROUNDS = 1000


@dataclass
class State:
    """What a failed branch gives back, besides variables."""

    request: Request
    response: Response | None = None
    user: Any = None


@dataclass
class Result:
    status: int
    failure: str | None
    headers: list[tuple[str, str]]
    body: bytes
    journal: list[tuple[str, int, str]]
    logs: list[tuple[str, str | None, bool]]
    limits: list[tuple[str, int]]
    """Names and what is left, as the answer's fields have them."""
    calls: list[Any]
    skipped: list[tuple[int, int]]
    is_problem: bool
    detail: str = ""


class Evaluation:
    """One exchange."""

    def __init__(self, policy: Policy, world: World, request: Request, client: tuple[str, int]) -> None:
        self.policy = policy
        self.world = world
        self.state = State(request)
        request.most = world.bodies.body
        self.client_ip, self.client_port = client
        self.variables: dict[str, Known] = {}
        self.captures: dict[str, str] = {}
        self.service_name = ""
        self.call_path: tuple[str, ...] = (GLOBAL,)
        self.journal: list[tuple[str, int, str]] = []
        self.logs: list[tuple[str, str | None, bool]] = []
        self.limits: list[list[Any]] = []
        """Whose, the name, what is left, whether callers are told."""
        self.upstream_calls: list[Any] = []
        self.ends: list[Callable[[int], None]] = []
        """What is done when the answer has left: each is given its status."""
        self.skipped: list[tuple[int, int]] = []
        """Lines of what a failed `parallel` may have cancelled, or not."""

    # --- the exchange ---

    def handle(self) -> Result:
        failure: Failing | None = None
        try:
            request = self.state.request
            service, self.captures = find(self.policy.services, request.host, request.path, request.method)
            self.service_name = service.name
            failure = self._serve(service)
        except Failing as failing:
            failure = failing
            self.state.response = problem(failing)
        for after in self.policy.after:
            try:
                self.variables, self.call_path = {}, (GLOBAL,)
                self.block(after.body)
            except Failing as failing:
                failure = failing
                self.state.response = problem(failing)
                break
        answer = self.state.response
        assert answer is not None, "a service ended without an answer"
        return Result(
            answer.status, failure.name if failure else None, answer.headers, answer.body, self.journal, self.logs,
            [(name, left) for _, name, left, shown in self.limits if shown], self.upstream_calls, self.skipped,
            answer.is_problem, failure.detail if failure else "",
        )  # fmt: skip

    def _serve(self, service: n.Service) -> Failing | None:
        for before in self.policy.before:
            self.variables = {}
            if self.block(before.body) == RESPONDED:
                return None
        self.variables, self.call_path = {}, (service.name,)
        try:
            self.block(service.body)
            return None
        except Failing as failing:
            if service.on_failure is None:
                raise
            self.variables["failure"] = Known(failure_record(failing))
            if self.block(service.on_failure) != RESPONDED:
                raise
            return failing

    # --- values ---

    def value(self, expr: n.Expr) -> Known:
        """Raises Failing; 400 becomes 502 where the expression reads `response`."""
        try:
            return evaluate(expr, self)
        except Failing as failing:
            raise self._blame(failing, expr) from None

    def _blame(self, failing: Failing, expr: n.Expr) -> Failing:
        if failing.blames_expression:
            failing.blames_expression = False
            if reads_message((expr,), "response"):
                failing.status = 502
        return failing

    def argument(self, expr: n.Expr, types: tuple[str, ...], *, optional: bool = False, what: str) -> Known:
        known = self.value(expr)
        try:
            check_fit(known.value, types, optional, what)
        except Failing as failing:
            raise self._blame(failing, expr) from None
        return known

    def truth(self, expr: n.Expr) -> bool:
        known = self.value(expr)
        try:
            return boolean(known.value)
        except Failing as failing:
            raise self._blame(failing, expr) from None

    def counter_name(self, name: str | None) -> Any:
        return ("named", name) if name is not None else self._unnamed_counter

    # --- statements ---

    def block(self, block: n.Block) -> str:
        for statement in block.statements:
            if self.run(statement) == RESPONDED:
                return RESPONDED
        return PASSED

    def run(self, statement: n.Statement) -> str:
        name = name_of(statement)
        try:
            if sends_copy(statement):
                self.state.request.hold()
            for expr in own_exprs(statement):
                self._hold(statement, expr)
            outcome = self._do(statement)
        except Failing as failing:
            if not failing.assertion:
                failing.assertion, failing.line = name, statement.span.line
            self.journal.append((name, statement.span.line, failing.name))
            raise
        self.journal.append((name, statement.span.line, outcome))
        return outcome

    def _hold(self, statement: n.Statement, expr: n.Expr) -> None:
        if is_limit(statement):
            return
        for name, message in (("request", self.state.request), ("response", self.state.response)):
            if message is None:
                continue
            if message.too_long() and reads_body((expr,), name, perhaps=True):
                self.world.unclear = True  # what a constant or another value leaves out need not be held
            if reads_body((expr,), name):
                message.hold()

    def _do(self, statement: n.Statement) -> str:
        match statement:
            case n.Call():
                return self._call(statement)
            case n.Require():
                if not self.truth(statement.condition):
                    raise Failing(names.REQUIRE, 403)
            case n.Let():
                known = self.value(statement.value)
                if known.value is None and not statement.optional:
                    raise self._blame(missing_value(statement.name), statement.value)
                self.variables[statement.name] = Known(known.value, known.private or statement.private)
            case n.Set():
                writing.write(statement.target, self.value(statement.value), self, statement.value)
            case n.Remove():
                writing.remove(statement.target, self)
            case n.Group(kind="all"):
                return self.block(statement.body)
            case n.Group(kind="any"):
                return self._any(statement.body)
            case n.Group(kind="none"):
                return self._none(statement.body)
            case n.Group(kind="parallel"):
                return self._parallel(statement)
            case n.If():
                for arm in statement.arms:
                    self._hold(statement, arm.condition)  # one after the other, as they are asked
                    if self.truth(arm.condition):
                        return self.block(arm.body)
                if statement.orelse is not None:
                    return self.block(statement.orelse)
            case n.Match():
                return self._match(statement)
            case n.Split():
                return self.block(splits.arm_taken(statement, self).body)
            case n.For():
                return self._for(statement)
            case n.Try():
                return self._try(statement)
            case n.Else():
                return self._else(statement)
            case n.Respond():
                writing.respond(statement, self)
                return RESPONDED
            case n.Fail():
                raise writing.failure_of(statement, self)
            case n.Ignore():
                pass
            case _:
                raise AssertionError(f"no meaning for {statement!r}")
        return PASSED

    def _attempt(self, body: Callable[[], str]) -> str:
        """Whatever this did to messages, `user` and variables is taken back if it fails."""
        state, variables = copy.deepcopy(self.state), copy.deepcopy(self.variables)
        try:
            return body()
        except Failing:
            keep_what_arrived(self.state.request, state.request)
            if self.state.response is not None and state.response is not None:
                keep_what_arrived(self.state.response, state.response)
            self.state, self.variables = state, variables
            raise

    def _any(self, body: n.Block) -> str:
        challenges: list[tuple[str, str]] = []
        unsure = False  # a branch could not be judged: had it been, it might have passed
        for i, statement in enumerate(body.statements):
            try:
                return self._attempt(lambda statement=statement: self.run(statement))  # type: ignore[misc]
            except Failing as failing:
                if failing.kind in ("away", "defect"):
                    raise
                own = [h for h in failing.headers if h[0] == "WWW-Authenticate"]
                unsure = unsure or failing.kind == "error"
                if i + 1 == len(body.statements):
                    rest = [h for h in failing.headers if h[0] != "WWW-Authenticate"]
                    failing.headers = (*rest, *challenges, *own)
                    failing.kind = "error" if unsure else failing.kind
                    raise
                challenges += own
        raise AssertionError("an empty any")

    def _none(self, body: n.Block) -> str:
        for statement in body.statements:
            try:
                self._attempt(lambda statement=statement: self.run(statement))  # type: ignore[misc]
            except Failing as failing:
                if failing.kind != "refusal":
                    raise
            else:
                raise Failing(names.NONE, 403)
        return PASSED

    def _parallel(self, statement: n.Group) -> str:
        self._hold_for_all(statement)
        began, entry_state, entry_variables = self.world.now, self.state, self.variables
        merged_state, merged_variables = copy.deepcopy(entry_state), dict(entry_variables)
        latest = began
        failure: Failing | None = None
        for branch in statement.body.statements:
            self.world.now = began
            self.state, self.variables = copy.deepcopy(entry_state), dict(entry_variables)
            if failure is not None:
                self.state = entry_state
                self._skip(branch)
                continue
            try:
                self.run(branch)
            except Failing as failing:
                failure = failing
            latest = max(latest, self.world.now)
            writing.merge(entry_state, self.state, merged_state)
            for kept in (entry_state, merged_state):
                keep_what_arrived(self.state.request, kept.request)
                if self.state.response is not None and kept.response is not None:
                    keep_what_arrived(self.state.response, kept.response)
            merged_variables.update({
                name: known for name, known in self.variables.items() if entry_variables.get(name) is not known
            })  # fmt: skip
        self.world.now = latest
        if failure is not None:
            self.state, self.variables = entry_state, entry_variables
            raise failure
        self.state, self.variables = merged_state, merged_variables
        return PASSED

    def _hold_for_all(self, statement: n.Group) -> None:
        """A body comes but once: what any branch may read is held before the first begins."""
        inside = [node for node in self._everything_in(statement) if isinstance(node, n.Statement)]
        for name, message in (("request", self.state.request), ("response", self.state.response)):
            if name == "request" and any(sends_copy(s) for s in inside) and message is not None:
                self.world.unclear = self.world.unclear or message.too_long()
                message.hold()
            exprs = [e for s in inside if not is_limit(s) for e in (*own_exprs(s), *conditions(s))]
            if message is not None and reads_body(tuple(exprs), name):
                if message.too_long() and reads_body(tuple(exprs), name, perhaps=True):
                    self.world.unclear = True
                message.hold()

    def _everything_in(self, node: n.Node) -> list[n.Node]:
        """With the bodies of the assertions that are called."""
        found = list(walk(node))
        for call in [each for each in found if isinstance(each, n.Call) and each.name in self.policy.assertions]:
            found += self._everything_in(self.policy.assertions[call.name].body)
        return found

    def _skip(self, branch: n.Statement) -> None:
        """A branch after one that has failed: how far it gets is not laid down, so none of them has written."""
        end = branch.span.source.position(branch.span.end)[0]
        self.skipped.append((branch.span.line, end))
        for node in walk(branch):
            if isinstance(node, n.Call) and node.name in self.policy.assertions:
                self._skip_declared(self.policy.assertions[node.name])
            if isinstance(node, n.Call) and node.name in ("rate_limit", "quota", "concurrency_limit"):
                self.world.uncertain = True

    def _skip_declared(self, declared: n.AssertionDeclaration) -> None:
        for statement in declared.body.statements:
            self._skip(statement)

    def _match(self, statement: n.Match) -> str:
        subject = self.value(statement.subject).value
        for case in statement.cases:
            if not case.patterns:
                return self.block(case.body)
            for pattern in case.patterns:
                wanted = evaluate(pattern, self).value
                if within(subject, wanted) if isinstance(wanted, Interval) else same(subject, wanted):
                    return self.block(case.body)
        raise Failing(names.MATCH, 403)

    def _for(self, statement: n.For) -> str:
        values = self.value(statement.iterable)
        if kind_of(values.value) != "list":
            raise self._blame(wrong_type("for"), statement.iterable)
        if len(values.value) > ROUNDS:
            raise Failing(names.ROUNDS, 400, kind="error")
        outside = set(self.variables)
        for each in values.value:
            self.variables[statement.name] = Known(each, values.private)
            outcome = self.block(statement.body)
            if outcome == RESPONDED:
                return RESPONDED
            for name in set(self.variables) - outside:
                del self.variables[name]
        return PASSED

    def _try(self, statement: n.Try) -> str:
        try:
            return self._attempt(lambda: self.block(statement.body))
        except Failing as failing:
            if statement.name is not None:
                self.variables[statement.name] = Known(failure_record(failing))
            outcome = self.block(statement.handler)
            if statement.name is not None:
                self.variables.pop(statement.name, None)
            return outcome

    def _else(self, statement: n.Else) -> str:
        try:
            return self._attempt(lambda: self.run(statement.left))
        except Failing as failing:
            if failing.kind in ("away", "defect"):
                raise
            unsure = failing.kind == "error"
        try:
            return self.block(statement.right)
        except Failing as failing:
            if unsure and failing.kind == "refusal":
                failing.kind = "error"
            raise

    # --- calls ---

    def _call(self, call: n.Call) -> str:
        declared = self.policy.assertions.get(call.name)
        if declared is not None:
            return self._call_declared(call, declared)
        if call.name in limiting.PARAMETERS:
            return self._limit(call)
        if call.name == "circuit_breaker":
            name: Any = (self.call_path[0], self.policy.ordinals[(*self.call_path, place(call))])
            return sending.circuit_breaker(call, assertions.by_name(call), self, name)
        if call.name == "cache":
            return caching.cache(call, assertions.by_name(call), self, (*self.call_path, place(call)))
        if call.name in ("lockout", "not_replayed", *amounts.PARAMETERS):
            given = assertions.by_name(call)
            name = (self.call_path[0], key_of(call), self.policy.ordinals[(*self.call_path, place(call))])
            if "name" in given:
                name = ("named", self.value(given["name"]).value)
            return self._counting(call, given, name)
        return self._bind(call, assertions.run(call, self))

    def _counting(self, call: n.Call, given: dict[str, n.Expr], name: Any) -> str:
        statement = (*self.call_path, place(call))
        match call.name:
            case "lockout":
                return state.lockout(call, given, self, name)
            case "not_replayed":
                state.not_replayed(call, given, self, name)
                return PASSED
            case "concurrency_limit":
                return amounts.concurrency_limit(call, given, self, name, statement)
            case "quota":
                return self._bind(call, amounts.quota(given, self, name, statement))
        return self._bind(call, amounts.quota_status(given, self, name))

    def _bind(self, call: n.Call, outputs: tuple[Known, ...]) -> str:
        for output, known in zip(call.outputs, outputs, strict=False):
            self.variables[output.name] = Known(known.value, known.private or output.private)
        return PASSED

    def _limit(self, call: n.Call) -> str:
        given, statement = assertions.by_name(call), (*self.call_path, place(call))
        per = given.get("per")
        text = "client.ip" if per is None else per.span.text
        self._unnamed_counter = (self.call_path[0], text, self.policy.ordinals[statement])
        model = limiting.rate_limit if call.name == "rate_limit" else limiting.rate_limit_status
        return self._bind(call, model(given, self, statement))

    def _call_declared(self, call: n.Call, declared: n.AssertionDeclaration) -> str:
        inner: dict[str, Known] = {}
        given = {a.name or declared.parameters[i].name: a.value for i, a in enumerate(call.args)}
        for parameter in declared.parameters:
            if parameter.name in given:
                known = self.argument(
                    given[parameter.name], (parameter.type,), optional=parameter.optional, what=parameter.name
                )
            elif parameter.default is not None:
                known = evaluate(parameter.default, self)
            else:
                known = Known(None)
            inner[parameter.name] = Known(known.value, known.private or parameter.private)
        callers, callers_captures, path = self.variables, self.captures, self.call_path
        self.variables, self.captures, self.call_path = inner, {}, (*path, place(call))
        try:
            outcome = self.block(declared.body)
            inner = self.variables
        finally:
            self.variables, self.captures, self.call_path = callers, callers_captures, path
        if outcome == RESPONDED:
            return RESPONDED
        for taken, output in zip(call.outputs, declared.outputs, strict=False):
            known = inner[output.name]
            self.variables[taken.name] = Known(known.value, known.private or output.private or taken.private)
        return PASSED


def name_of(statement: n.Statement) -> str:
    if isinstance(statement, n.Call):
        return statement.name
    if isinstance(statement, n.Group):
        return statement.kind
    return type(statement).__name__.lower()


def is_limit(statement: n.Statement) -> bool:
    """It works on a body without holding it."""
    return isinstance(statement, n.Call) and statement.name in ("limit_size", "compress")


def sends_copy(statement: n.Statement) -> bool:
    return isinstance(statement, n.Call) and statement.name == "mirror"


def conditions(statement: n.Statement) -> list[n.Expr]:
    return [arm.condition for arm in statement.arms] if isinstance(statement, n.If) else []


def own_exprs(statement: n.Statement) -> list[n.Expr]:
    """The expressions that a statement begins with, not those of the statements in it."""
    match statement:
        case n.Call() | n.Respond() | n.Fail() | n.Split():
            return [a.value for a in statement.args]
        case n.Require():
            return [statement.condition]
        case n.Let():
            return [statement.value]
        case n.Set():
            return [statement.value, *([statement.target.key] if isinstance(statement.target, n.Index) else [])]
        case n.Match():
            return [statement.subject]
        case n.For():
            return [statement.iterable]
    return []


def failure_record(failing: Failing) -> Record:
    detail = "[private]" if failing.private else failing.detail
    title = failing.title or failing.name.replace("-", " ").capitalize()
    return Record({
        "name": Known(failing.name), "status": Known(failing.status), "title": Known(title), "detail": Known(detail),
        "assertion": Known(failing.assertion), "line": Known(failing.line), "kind": Known(failing.kind),
    })  # fmt: skip


def problem(failing: Failing) -> Response:
    document = {"title": failing.title, "status": failing.status, "detail": failing.detail}
    headers = [("Content-Type", "application/problem+json"), *failing.headers]
    known = {name for name, _ in headers}
    if failing.status in (429, 503) and "Retry-After" not in known:
        headers.append(("Retry-After", "1"))
    if failing.status == 401 and "WWW-Authenticate" not in known:
        headers.append(("WWW-Authenticate", "Bearer"))
    return Response(status=failing.status, headers=headers, body=json.dumps(document).encode(), is_problem=True)


def keep_what_arrived(now: Message, kept: Message) -> None:
    """A body that a taken-back branch has read stays held."""
    kept.sent = kept.sent or now.sent
    if now.arrived:
        kept.streams, kept.arrived = False, True


def interpret(
    policy: Policy, world: World, request: Request, client: tuple[str, int] = ("192.0.2.1", 40000), outlasts: int = 0
) -> Result:
    """`outlasts`: how many exchanges come before its answer's last byte has left."""
    one = Evaluation(policy, world, request, client)
    result = one.handle()
    world.under_way += [(outlasts, partial(end, result.status)) for end in one.ends]
    world.end_those_due()
    return result
