"""`test` declarations: bodies like a service's, with words and names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from policylang.catalog import Catalog
from policylang.check import program as p
from policylang.check import testing_names, testing_words
from policylang.check.binding import usable
from policylang.check.blocks import check_block, head
from policylang.check.definitions import Definition, define_all
from policylang.check.expressions import check_text
from policylang.check.kinds import UNKNOWN
from policylang.check.loading import TESTS
from policylang.check.members import CONTEXT
from policylang.check.order import walk_nodes
from policylang.check.scope import Slots, Var
from policylang.check.surroundings import Given
from policylang.check.testing_unit import TestingUnit, common
from policylang.check.unit import Unit
from policylang.check.walk import ExpressionCheck, Frame, StatementCheck, Walk
from policylang.diagnostics import Label
from policylang.record import record
from policylang.source import Span
from policylang.syntax import nodes as n
from policylang.testing.vocabulary import CARDS, GIVEN

EXPRESSIONS: dict[type[n.Node], ExpressionCheck] = {
    n.Name: testing_names.check_name, n.Member: testing_names.check_member, n.Index: testing_names.check_index,
    n.CallExpr: testing_names.check_call, n.ListValue: testing_names.check_list, n.MapValue: testing_names.check_map,
}  # fmt: skip
STATEMENTS: dict[type[n.Node], StatementCheck] = {
    n.Call: testing_words.check_call, n.Group: testing_words.check_group, n.Split: testing_words.check_split,
    n.Respond: testing_words.check_respond, n.Fail: testing_words.check_fail, n.Set: testing_words.check_set,
    n.Remove: testing_words.check_remove,
}  # fmt: skip


@record
class CheckedTest:
    """`rows`: where it is a table, a test for each, with the row in `row_slot`; None where it is one test."""

    span: Span
    title: p.Expr
    body: p.Block
    slot_names: tuple[str, ...]
    row_slot: int | None = None
    rows: tuple[Any, ...] | None = None


def check_tests(
    policy: Unit, declarations: Sequence[n.Declaration], files: Sequence[n.File]
) -> tuple[CheckedTest, ...]:
    """Check what stands in files of tests. `policy`: the unit of what they import, checked before; `files`: all that
    were read."""
    unit = TestingUnit(
        policy.report, Catalog({**CARDS, "given": GIVEN["map"]}, policy.catalog.functions), policy.surroundings,
        {**policy.expressions, **EXPRESSIONS}, {**policy.statements, **STATEMENTS}, upstreams=policy.upstreams,
        maps=policy.maps, broken=policy.broken, policy=policy, called=_called(declarations),
    )  # fmt: skip
    unit.constant_spans.update(policy.constant_spans)
    tests = [node for node in declarations if isinstance(node, n.Test)]
    for node in declarations:
        if not isinstance(node, n.Test):
            _declare(unit, node)
    unit.work_out_constants()
    define_all(unit)
    _policy_imported(unit, tests, files)
    seen: dict[str, Span] = {}
    found = []
    for node in tests:
        title = node.title.literal
        first = seen.setdefault(title, node.title.span) if title is not None else node.title.span
        if first is not node.title.span:
            unit.report.error("duplicate-name", node.title.span, "there is a test of this name already",
                              labels=[Label(first, "first here")], help="say what this one is about")  # fmt: skip
        found.append(_test(unit, node))
    return tuple(found)


def _policy_imported(unit: TestingUnit, tests: Sequence[n.Test], files: Sequence[n.File]) -> None:
    """Without a policy everything is answered 404, which some test may even expect."""
    imports = (node for file in files for node in file.declarations if isinstance(node, n.Import))
    if tests and all((node.path.literal or "").endswith(TESTS) for node in imports):
        unit.report.error("no-policy", tests[0].title.span, "this file imports no policy: nothing answers its tests",
                          help='write `import "policy.pol"` above, with the path of yours')  # fmt: skip


def _declare(unit: TestingUnit, node: n.Declaration) -> None:
    report = unit.report
    if isinstance(node, n.Constant):
        first = unit.constant_spans.get(node.name)
        if node.name in CONTEXT:
            report.error("reserved-name", node.name_span, f"`{node.name}` is a name of the language",
                         help="choose another name")  # fmt: skip
        elif first is not None:
            report.error("duplicate-name", node.name_span, f"a constant called `{node.name}` is declared already",
                         labels=[Label(first, "first here")], help="rename one of them")  # fmt: skip
        else:
            unit.constant_nodes[node.name] = node
            unit.constant_spans[node.name] = node.name_span
    elif isinstance(node, n.AssertionDeclaration):
        name = node.name
        known = unit.definitions.get(name) or unit.policy.definitions.get(name)
        if name in unit.catalog.assertions or name in unit.policy.catalog.assertions or name in unit.catalog.functions:
            report.error("redefined-builtin", node.name_span, f"`{name}` is a word that is built in",
                         help="choose another name")  # fmt: skip
        elif known is not None:
            report.error("duplicate-name", node.name_span, f"an assertion called `{name}` is declared already",
                         labels=[Label(known.node.name_span, "first here")], help="rename one of them")  # fmt: skip
        else:
            unit.definitions[name] = Definition(node)
    elif not isinstance(node, n.Import):
        report.error("policy-in-tests", head(node), "a file of tests declares tests, constants and assertions",
                     help="move this into a file of its own, and import that")  # fmt: skip


def _test(unit: TestingUnit, node: n.Test) -> CheckedTest:
    slots = Slots()
    walk = Walk(unit, Frame("test", slots), "test")
    unit.rows = {}
    unit.sent = False
    rows: tuple[Any, ...] | None = None
    slot: int | None = None
    if node.rows is not None and node.name is not None:
        rows = _rows(unit, node.rows)
        unit.rows = {node.name: rows}
        name_span = node.name_span or node.title.span
        usable(walk, node.name, name_span, "loop")
        slot = walk.slot(node.name)
        kind = common(rows) if rows else UNKNOWN  # of a table that is wrong nothing more is said
        walk.state.names[node.name] = Var(node.name, slot, kind, name_span, "loop")
    if node.title.literal is not None and not node.title.literal.strip():
        walk.error("empty-test", node.title.span, "this test has no title", help="say what it is about")
    if not node.body.statements:
        walk.error("empty-test", node.title.span, "this test holds nothing: it cannot fail",
                   help="ask for something, and expect what is to come of it")  # fmt: skip
    title = check_text(walk, node.title)
    body = check_block(walk, node.body)
    return CheckedTest(node.title.span, title, body, tuple(slots.names), slot, rows)


def _rows(unit: TestingUnit, node: n.Expr) -> tuple[Any, ...]:
    value = Walk(unit, Frame("test", Slots()), "constant").value(node)
    if value.type.name == "unknown":
        return ()
    if any(isinstance(each, n.BadExpr) for each in walk_nodes(node)):
        return ()  # what could not be read was reported
    if not isinstance(value, p.Const):
        unit.report.error("not-constant", value.span, "the rows of a table are known before it runs",
                          help="write them out: `for row in [{ … }, { … }]`")  # fmt: skip
        return ()
    if not isinstance(value.value, (list, tuple, range)) or not value.value:
        unit.report.error("wrong-type", value.span, "a table is a list of rows, of one at least",
                          help="write it as `for row in [{ … }, { … }]`")  # fmt: skip
        return ()
    return tuple(value.value)


# --- what is given, before anything of it is checked ---------------------------------------------


def _givens(declarations: Iterable[n.Declaration]) -> list[tuple[n.CallExpr, str | None, n.Call]]:
    """Every `given`: what, its first argument where that is a literal, and the statement."""
    found = []
    for declaration in declarations:
        for node in walk_nodes(declaration):
            if isinstance(node, n.Call) and node.name == "given" and node.args:
                call = node.args[0].value
                if isinstance(call, n.CallExpr) and call.args:
                    first = call.args[0].value
                    found.append((call, first.literal if isinstance(first, n.Text) else None, node))
    return found


def _called(declarations: Iterable[n.Declaration]) -> Mapping[str, frozenset[str] | None]:
    names: dict[str, set[str] | None] = {"caller": set(), "certificate": set()}
    for call, name, _ in _givens(declarations):
        known = names.get(call.name)
        if known is not None and name is not None:
            known.add(name)
        elif call.name in names:
            names[call.name] = None
    return {what: None if known is None else frozenset(known) for what, known in names.items()}


def literal(node: n.Expr) -> Any:
    """What is written there; None where it is to be worked out."""
    if isinstance(node, n.Text):
        return node.literal
    if isinstance(node, (n.Number, n.Bool)):
        return node.value
    if isinstance(node, n.ListValue):
        return [literal(item) for item in node.items]
    if isinstance(node, n.MapValue):
        return {entry.key: literal(entry.value) for entry in node.entries}
    return None


def given_in(declarations: Iterable[n.Declaration]) -> Given:
    """What some test gives, so that the policy can be checked where its surroundings have none of it."""
    found = Given(missing=True)
    for call, name, node in _givens(declarations):
        if name is None:
            continue
        if call.name == "map":
            written = next((arg.value for arg in node.args[1:] if arg.name == "entries"), None)
            entries = literal(written) if written is not None else None
            found.maps[name] = {**found.maps.get(name, {}), **(entries if isinstance(entries, dict) else {})}
        elif call.name in ("env", "secret", "file"):
            written = next((arg.value for arg in node.args[1:] if arg.name in ("value", "text")), None)
            text = (written.literal if isinstance(written, n.Text) else None) or ""
            {"env": found.variables, "secret": found.secrets, "file": found.files}[call.name].setdefault(name, text)
    return found
