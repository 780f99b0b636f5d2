"""Expressions and statements that are asked of an exchange by somebody else than its policy.

They are checked as a policy's are, with the names of the language, the policy's constants, maps and assertions, and the
variables of one service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from policylang.catalog import load_catalog
from policylang.check import program as p
from policylang.check.blocks import check_statement
from policylang.check.checking import EXPRESSIONS, STATEMENTS, declare
from policylang.check.report import Report
from policylang.check.scope import Slots, Var
from policylang.check.services import captures_of
from policylang.check.surroundings import Surroundings
from policylang.check.unit import Unit
from policylang.check.walk import Frame, Walk, is_unknown
from policylang.diagnostics import Diagnostic, Edit, Fix, Label
from policylang.sdk import static_types as t
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, missing_value
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse
from policylang.tree.facts import bodies

LONGEST = 4096
"""Characters of one question."""
NAME = "<asked>"
"""What diagnostics call the text that was asked."""
_BEFORE_EXPRESSION = "let x = "
_BEFORE_STATEMENT = 'service x "/" {\n'


class Wrong(ValueError):
    """What is asked cannot be. `diagnostics` are on the text as it was given."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__(diagnostics[0].message)
        self.diagnostics = diagnostics


class Question:
    """An expression, compiled. Call it with an exchange: it raises Failed where it has no value there.

    `private`: what it gives must not be shown. `holds`: whose bodies must be held before, as `facts.bodies` says it.
    """

    __slots__ = ("_function", "expr", "holds", "private", "text", "type")

    def __init__(self, text: str, expr: p.Expr) -> None:
        from policylang.tree.emit import compiled

        self.text = text
        self.expr = expr
        self.type = expr.type
        self.private = expr.private
        self.holds = bodies(expr)
        self._function = compiled(expr)

    def __call__(self, exchange: Exchange) -> Any:
        try:
            return self._function(exchange)
        except Failed:
            raise
        except Exception:
            # The policy's own expressions run where the checker knows that all is there. This one may be asked of an
            # exchange that was refused before its body was held, or a variable bound.
            raise missing_value("it reads what this exchange does not have") from None


class Floor:
    """Where questions about one program stand. `service`: whose captures they may read, and its `variables` too unless
    nothing of it has run; "" for none.

    `environ`: what `env` and `secret` read, for the policy's constants too; this process's where it is None. Files are
    those that the policy has read, and no others.
    """

    def __init__(
        self, program: p.Program, service: str = "", environ: Mapping[str, str] | None = None, *, variables: bool = True
    ) -> None:
        def load(path: str) -> bytes:
            found = program.files.get(path)
            if found is None:
                raise FileNotFoundError(2, "No such file or directory", path)
            return found

        self.report = Report()
        self.unit = Unit(self.report, load_catalog(), Surroundings(load, environ), EXPRESSIONS, STATEMENTS)
        files = [parse(source)[0] for source in program.sources]
        with_names = (n.Upstream, n.MapDeclaration, n.Constant, n.AssertionDeclaration)
        self.report.muted += 1  # it was checked, and what is not here now concerns only who asks for it
        declare(self.unit, [node for file in files for node in file.declarations if isinstance(node, with_names)])
        self.report.muted -= 1
        found = next((each for each in program.services if each.name == service), None)
        self.slots = Slots(program.global_slots if found is None else found.slot_names)
        hidden = program.private_slots if found is None else found.private_slots
        self.walk = Walk(
            self.unit, Frame(service or "asked", self.slots, set(program.private_fields), set(hidden)), "asked",
            captures=None if found is None else captures_of(found.paths),
        )  # fmt: skip
        state = self.walk.state
        state.response = "maybe"
        here = Span(Source(NAME, ""), 0, 0)
        for slot, name in enumerate(self.slots.names):
            if variables and "." not in name:  # that of an assertion's body, which nobody outside can read
                state.bind(Var(name, slot, t.JSON, here, "let", slot in hidden, True))

    @property
    def names(self) -> list[str]:
        """The variables that can be read."""
        return sorted(self.walk.state.names)

    def expression(self, text: str) -> Question:
        """Raises Wrong."""
        node = read_expression(text)
        with _Noted(self, text, len(_BEFORE_EXPRESSION)):
            expr = self.walk.value(node)
            if is_unknown(expr) and not self.report.diagnostics:
                self.report.error("unknown-name", expr.span, "it needs a constant that has no value here",
                                  help="set the environment variable or secret it is made of")  # fmt: skip
        return Question(text, expr)

    def statement(self, text: str) -> p.Statement:
        """Check a statement; the names that it binds, perhaps anew, can be read from then on. Raises Wrong."""
        node = read_statement(text)
        state = self.walk.state
        self.walk.state = state.copy()
        for name in _bound_by(node):
            self.walk.state.names.pop(name, None)
        self.walk.frame.counters = {}  # said twice, it counts where it counted before
        try:
            with _Noted(self, text, len(_BEFORE_STATEMENT)):
                found = check_statement(self.walk, node)
        except Wrong:
            self.walk.state = state
            raise
        assert found is not None  # what is not understood is reported
        self.walk.state.alive = True  # `respond` and `fail` end a policy, and no conversation
        return found


class _Noted:
    """Raises, at its end, what was reported meanwhile."""

    def __init__(self, floor: Floor, text: str, shift: int) -> None:
        self._floor = floor
        self._text = text
        self._shift = shift

    def __enter__(self) -> None:
        self._kept = self._floor.report.capture()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        found = self._floor.report.release(self._kept)
        if found and error is None:
            raise Wrong(_moved(found, self._text, self._shift))


def question(
    text: str, program: p.Program, service: str = "", environ: Mapping[str, str] | None = None
) -> Question:
    """One expression as a function of an exchange, as `Question` says. Raises Wrong; see `Floor`."""
    return Floor(program, service, environ).expression(text)


# --- texts ---


def read_expression(text: str) -> n.Expr:
    """Raises Wrong."""
    declared = _read(text, _BEFORE_EXPRESSION, "\n")
    if len(declared) == 1 and isinstance(declared[0], n.Constant) and declared[0].span.start == 0:
        return declared[0].value
    raise Wrong([_no(text, "this is not one expression", "ask for one value, as in `response.status`")])


def read_statement(text: str) -> n.Statement:
    """Raises Wrong."""
    declared = _read(text, _BEFORE_STATEMENT, "\n}\n")
    if len(declared) == 1 and isinstance(declared[0], n.Service) and declared[0].on_failure is None:
        statements = declared[0].body.statements
        if len(statements) == 1:
            return statements[0]
    raise Wrong([_no(text, "this is not one statement", "give one at a time, or put several into `all { … }`")])


def _bound_by(node: n.Statement) -> list[str]:
    if isinstance(node, n.Let):
        return [node.name]
    return [output.name for output in node.outputs] if isinstance(node, n.Call) else []


def _read(text: str, before: str, after: str) -> tuple[n.Declaration, ...]:
    if len(text) > LONGEST:
        raise Wrong([_no(text[:80], f"this has over {LONGEST} characters", "ask something shorter")])
    if not text.strip():
        raise Wrong([_no(text, "nothing is asked", "write an expression, as in `response.status == 200`")])
    declares = re.match(r"(assertion|gateway|global|import|map|service|test|upstream)[ \t]+[\w\"{]", text.lstrip())
    if declares is not None:
        raise Wrong([_no(text, f"`{declares[1]}` declares something, which only a policy's file can",
                         "write it there and start again, or ask for a value of it")])  # fmt: skip
    file, wrong = parse(Source(NAME, before + text + after))
    if wrong:
        raise Wrong(_moved(wrong, text, len(before)))
    return file.declarations


def _no(text: str, message: str, help: str) -> Diagnostic:
    return Diagnostic("unexpected-text", Span(Source(NAME, text), 0, len(text)), message, help=help)


def _moved(found: list[Diagnostic], text: str, shift: int) -> list[Diagnostic]:
    """Diagnostics on the text as it was given, without what it was put between."""
    source = Source(NAME, text)

    def moved(span: Span) -> Span:
        if span.source.name != NAME:
            return span
        return Span(source, *(min(max(0, offset - shift), len(text)) for offset in (span.start, span.end)))

    def fixed(fix: Fix) -> Fix:
        return Fix(fix.title, tuple(Edit(moved(edit.span), edit.replacement) for edit in fix.edits), fix.safe)

    return [
        Diagnostic(
            each.name, moved(each.span), each.message, each.severity, each.label,
            tuple(Label(moved(label.span), label.text) for label in each.labels), each.help,
            None if each.fix is None else fixed(each.fix),
        )
        for each in found
    ]  # fmt: skip
