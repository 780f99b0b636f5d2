"""The compiled policy: finds the service of a request, evaluates it, and gives the final answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from policylang.check.program import Expr, Program
from policylang.check.program import Service as CheckedService
from policylang.sdk.exchange import Exchange, Response
from policylang.sdk.limits_told import add_limit_fields
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.tree.build import row_of, run_of
from policylang.tree.facts import wants_request
from policylang.tree.keys import key_function
from policylang.tree.outcome import CANCELLED, COROUTINE, RESPONDED, Outcome, Place, Run, Step, copied, note
from policylang.tree.problem import problem
from policylang.tree.router import Router


class Service:
    """One service as compiled. Its steps begin with those of `global before`."""

    __slots__ = ("name", "on_failure", "size", "steps")

    def __init__(self, name: str, size: int, steps: tuple[Step, ...], on_failure: tuple[Run, bool] | None) -> None:
        self.name = name
        self.size = size
        self.steps = steps
        self.on_failure = on_failure


class _Later(Service):
    """A service that is compiled when it is asked for the first time."""

    __slots__ = ("_compile", "_made")

    def __init__(self, checked: CheckedService, compile: Callable[[], Service]) -> None:
        self.name = checked.name
        self.size = len(checked.slot_names)
        self._compile = compile
        self._made: Service | None = None

    @property
    def made(self) -> Service:
        if self._made is None:
            self._made = self._compile()
        return self._made

    @property
    def steps(self) -> tuple[Step, ...]:  # type: ignore[override]
        return self.made.steps

    @property
    def on_failure(self) -> tuple[Run, bool] | None:  # type: ignore[override]
        return self.made.on_failure


class Tree:
    """`program` is what it was compiled from, `hash` names the policy. Holds no reference cycle.

    `upstream_keys`: for an upstream that balances by `hash`, what decides; it raises Failed where that is none.
    """

    __slots__ = ("_after", "_global_slots", "_router", "hash", "program", "services", "upstream_keys")

    def __init__(self, program: Program, at_once: bool = True) -> None:
        """Raises ValueError where the program cannot be compiled: the checker lets none such through."""
        self.program = program
        self.hash = program.hash
        self.upstream_keys: dict[str, Callable[[Exchange], str]] = {
            upstream.name: _text_key(upstream.on, f"balance|{upstream.name}")
            for upstream in program.upstreams
            if upstream.on is not None
        }
        self._global_slots = len(program.global_slots)
        after = [statement for block in program.after for statement in block.statements]
        self._after = tuple(run_of(block.statements) for block in program.after)
        wanted_last = any(wants_request(statement) for statement in after)
        before = [statement for block in program.before for statement in block.statements]
        self.services: dict[str, Service] = {}
        self._router: Router[Service] = Router()
        # What the globals read later decides for every service alike whether a route before must hold the body.
        early = tuple(step._replace(early=True) for step in row_of(before, True))
        for checked in program.services:
            compile = partial(_compiled, checked, early, wanted_last)
            service = self.services[checked.name] = compile() if at_once else _Later(checked, compile)
            self._router.add(service, checked.host, checked.paths, checked.methods)

    def find(self, host: str, path: str, method: str) -> tuple[Service | None, Mapping[str, str], str | None]:
        """The service of a request, what its path captured, and where there is none the `Allow` of a 405 (404: None).

        Raises Failed(400) on a path with a segment that is not UTF-8.
        """
        return self._router.find(host, path, method)

    async def handle(self, exchange: Exchange) -> Response:
        """Evaluate the policy. Never raises except when it is closed; suspends only by yielding Waiters."""
        request = exchange.request
        inside: tuple[Place, ...] = ()
        try:
            service, captures, allow = self._router.find(request.host, request.path, request.method)
            if service is None:
                exchange.slots = [None] * self._global_slots
                return await self._finish(exchange, None, _not_found(allow), True)
            exchange.service = service.name
            exchange.slots = [None] * service.size
            exchange.path = captures
            journal = exchange.journal
            for run, waits, closes, inside, early in service.steps:
                outcome = run(exchange)
                if waits and outcome.__class__ is COROUTINE:
                    outcome = await outcome
                if outcome is not None:
                    note(exchange, inside, outcome)
                    inside = ()
                    return await self._finish(exchange, service, outcome, early)
                if closes and journal is not None:
                    journal.extend(closes)
            response = exchange.response
            if response is None or self._after:
                inside = ()
                return await self._finish(exchange, service, None, False)
            if exchange.limits is not None:
                add_limit_fields(exchange, exchange.limits)
            if exchange.fields is not None:
                response.add_fields(exchange.fields)
            return response
        except GeneratorExit:
            note(exchange, inside, CANCELLED)
            raise
        except Exception as error:
            return _broken(exchange, error)

    async def _finish(
        self, exchange: Exchange, service: Service | None, outcome: Outcome, early: bool
    ) -> Response:
        """From the outcome of the service's block to the answer. `early`: it was decided before that block."""
        if outcome is None and exchange.response is None:
            outcome = Failure("no-answer", 500, "the policy has given no answer", kind=Kind.ERROR)
        if outcome is not None and outcome is not RESPONDED:
            exchange.failure = outcome
            if service is not None and service.on_failure is not None and not early:
                await _after_failure(exchange, service.on_failure)
            else:
                exchange.response = problem(outcome, exchange.request)
        for run, waits in self._after:
            outcome = run(exchange)
            if waits and outcome.__class__ is COROUTINE:
                outcome = await outcome
            if outcome is not None and outcome is not RESPONDED:
                exchange.failure = outcome
                exchange.response = problem(outcome, exchange.request)
                break
        response = exchange.response
        assert response is not None
        if exchange.limits is not None:
            add_limit_fields(exchange, exchange.limits)
        if exchange.fields is not None:
            response.add_fields(exchange.fields)
        return response


async def _after_failure(exchange: Exchange, on_failure: tuple[Run, bool]) -> None:
    """Run `on failure`: its `respond` is the answer, else the failure is, or what failed in it."""
    run, waits = on_failure
    outcome = run(exchange)
    if waits and outcome.__class__ is COROUTINE:
        outcome = await outcome
    if outcome is RESPONDED:
        return
    if outcome is not None:
        exchange.failure = outcome
    failure = exchange.failure
    assert failure is not None
    exchange.response = problem(failure, exchange.request)


def _compiled(checked: CheckedService, early: tuple[Step, ...], wanted: bool) -> Service:
    on_failure = None
    if checked.on_failure is not None:
        on_failure = run_of(checked.on_failure.statements, wanted)
        wanted = wanted or any(wants_request(statement) for statement in checked.on_failure.statements)
    steps = (*early, *row_of(checked.body.statements, wanted))
    return Service(checked.name, len(checked.slot_names), steps, on_failure)


def _text_key(expr: Expr, counter: str) -> Callable[[Exchange], str]:
    key = key_function(expr, counter)
    return lambda exchange: key(exchange).decode("latin-1")


def _not_found(allow: str | None) -> Failure:
    if allow is None:
        return Failure("no-service", 404, title="Not found")
    return Failure("method-not-allowed", 405, headers=(("Allow", allow),))


def _broken(exchange: Exchange, error: Exception) -> Response:
    """A path that cannot be read, or a mistake in the tree itself."""
    if isinstance(error, Failed):
        failure = copied(error.failure)
    else:
        number = exchange.environment.defect(error, exchange)
        detail = f"the log has it as {number}"
        failure = Failure("defect", 500, detail, title="Internal error", kind=Kind.DEFECT)
    exchange.failure = failure
    return problem(failure, exchange.request)


def compile_program(program: Program, *, at_once: bool = True) -> Tree:
    """Compile a checked program; not `at_once`, each service when it is asked for. Raises ValueError where it cannot
    be."""
    return Tree(program, at_once)
