"""From text to a checked program, with every finding on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policylang.catalog import Catalog, load_catalog
from policylang.check import (
    branches,
    expressions,
    functions,
    members,
    names,
    operators,
    splits,
    statements,
    targets,
)
from policylang.check import program as p
from policylang.check.blocks import head
from policylang.check.declarations import declared_map, gateway_settings, upstream_settings
from policylang.check.definitions import Definition, define_all
from policylang.check.loading import TESTS, Loaded, load_files
from policylang.check.members import CONTEXT
from policylang.check.paths import Claims
from policylang.check.report import Report
from policylang.check.scope import Slots
from policylang.check.services import Globals, check_global, check_service
from policylang.check.special import SPECIAL
from policylang.check.surroundings import Given, Loader, Surroundings
from policylang.check.unit import Unit
from policylang.check.walk import ExpressionCheck, StatementCheck
from policylang.diagnostics import Diagnostic, Label
from policylang.sdk.shared_map import SharedMap
from policylang.source import Span
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from policylang.check.tests import CheckedTest

EXPRESSIONS: dict[type[n.Node], ExpressionCheck] = {
    n.Text: expressions.check_text, n.Number: expressions.check_number, n.Bool: expressions.check_bool,
    n.NoneValue: expressions.check_none, n.DurationValue: expressions.check_duration,
    n.SizeValue: expressions.check_size, n.RateValue: expressions.check_rate, n.BadExpr: expressions.check_bad,
    n.ListValue: expressions.check_list, n.MapValue: expressions.check_map,
    n.Conditional: expressions.check_conditional, n.Name: names.check_name, n.Member: members.check_member,
    n.Index: members.check_index, n.Unary: operators.check_unary, n.Binary: operators.check_binary,
    n.CallExpr: functions.check_call,
}  # fmt: skip
STATEMENTS: dict[type[n.Node], StatementCheck] = {
    n.Call: statements.check_call, n.Require: statements.check_require, n.Let: statements.check_let,
    n.Respond: statements.check_respond, n.Fail: statements.check_fail, n.Ignore: statements.check_ignore,
    n.BadStatement: statements.check_bad, n.Set: targets.check_set, n.Remove: targets.check_remove,
    n.Group: branches.check_group, n.If: branches.check_if, n.Match: branches.check_match,
    n.Split: splits.check_split, n.For: branches.check_for, n.Try: branches.check_try, n.Else: branches.check_else,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """`program` is None when a diagnostic is an error. `files`: what was read, as it was written.

    `tests`: of files of tests, whose `program` is the policy that they import; `loaded`: to check that policy again.
    """

    program: p.Program | None
    diagnostics: list[Diagnostic]
    files: tuple[n.File, ...] = ()
    tests: tuple[CheckedTest, ...] = ()
    loaded: Loaded | None = None


def check_files(
    paths: Sequence[str],
    load: Loader | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    catalog: Catalog | None = None,
) -> Checked:
    """Check a policy of one or more files and what they import.

    `load` gives a file's bytes (default: from disk), `environ` the environment (default: this process's). Raises
    OSError when one of `paths` itself cannot be read; an import that cannot is a diagnostic.
    """
    report = Report()
    surroundings = Surroundings(load, environ)
    loaded = load_files(paths, surroundings, report)
    unit = Unit(report, catalog or load_catalog(), surroundings, EXPRESSIONS, STATEMENTS, broken=loaded.broken)
    tests: tuple[CheckedTest, ...] = ()
    if loaded.tests:
        from policylang.check.tests import check_tests, given_in

        surroundings.given = given_in(loaded.tests)
        program = _program(unit, loaded)
        tests = check_tests(unit, loaded.tests, loaded.files)
    else:
        program = _program(unit, loaded)
    order = {id(source): place for place, source in enumerate(loaded.sources)}
    # what could not be read is not to be reported again for what it was taken for
    said = {(id(found.span.source), found.span.start) for found in loaded.diagnostics}
    diagnostics = loaded.diagnostics + [
        found for found in report.diagnostics if (id(found.span.source), found.span.start) not in said
    ]
    diagnostics.sort(key=lambda d: (order.get(id(d.span.source), len(order)), d.span.start, d.span.end))
    return Checked(None if diagnostics else program, diagnostics, tuple(loaded.files), tests, loaded)


def check_again(
    loaded: Loaded, given: Given, load: Loader | None = None, environ: Mapping[str, str] | None = None,
    *, catalog: Catalog | None = None,
) -> Checked:  # fmt: skip
    """Check a policy that was read before, in other surroundings."""
    report = Report()
    surroundings = Surroundings(load, environ)
    surroundings.given = given
    surroundings.files.update({each.name: each.text.encode("utf-8", "surrogatepass") for each in loaded.sources})
    unit = Unit(report, catalog or load_catalog(), surroundings, EXPRESSIONS, STATEMENTS)
    program = _program(unit, loaded)
    return Checked(None if report.diagnostics else program, report.diagnostics)


def check_text(
    text: str,
    name: str = "policy.pol",
    files: Mapping[str, bytes] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    catalog: Catalog | None = None,
) -> Checked:
    """Check one text; `files` are all that it can import or read."""
    there = {**(files or {}), name: text.encode("utf-8", "surrogatepass")}

    def load(path: str) -> bytes:
        found = there.get(path)
        if found is None:
            raise FileNotFoundError(2, "No such file or directory", path)
        return found

    return check_files([name], load, environ or {}, catalog=catalog)


# --- the whole -----------------------------------------------------------------------------------


def declare(unit: Unit, declarations: Iterable[n.Declaration]) -> Named:
    """Give every declaration its name, and work out what services are checked against: maps, constants, assertions."""
    named = Named(unit)
    for node in declarations:
        named.add(node)
    for declared in named.maps:
        unit.maps[declared.name] = declared_map(unit, declared)
    unit.work_out_constants()
    define_all(unit)
    return named


def _program(unit: Unit, loaded: Loaded) -> p.Program:
    named = declare(unit, loaded.declarations)
    gateway = gateway_settings(unit, named.gateway)
    upstreams = tuple(upstream_settings(unit, node) for node in unit.upstreams.values())
    shared = Globals()
    claims = Claims()
    before = [check_global(unit, shared, node) for node in named.globals if node.when == "before"]
    # The slots of all globals come first in every service's frame, so `global after` is numbered before the services;
    # it is walked a second time, to the same numbers, once it is known what they make private.
    slots, counters = list(shared.slots.names), dict(shared.counters)
    after = _after(unit, named, shared, slots, counters)
    services = tuple(check_service(unit, shared, claims, node) for node in named.services)
    if shared.tainted:
        after = _after(unit, named, shared, slots, counters)
    statements.check_asked(unit)
    return p.Program(
        sources=tuple(each for each in loaded.sources if not each.name.endswith(TESTS)),
        gateway=gateway,
        upstreams=upstreams,
        services=services,
        before=tuple(before),
        after=tuple(after),
        global_slots=tuple(shared.slots.names),
        hash=_hash(unit.surroundings),
        files={path: data for path, data in unit.surroundings.files.items() if not path.endswith(TESTS)},
        maps=tuple(each.value for each in unit.maps.values() if isinstance(each.value, SharedMap)),
        private_slots=frozenset(shared.hidden | {each for each in shared.tainted if isinstance(each, int)}),
        private_fields=frozenset(each for each in shared.tainted if isinstance(each, tuple)),
    )


def _after(
    unit: Unit, named: Named, shared: Globals, slots: list[str], counters: dict[str, int]
) -> list[p.Block]:
    shared.slots, shared.counters = Slots(slots), dict(counters)
    return [check_global(unit, shared, node) for node in named.globals if node.when == "after"]


class Named:
    """Every declaration under its name; two of one name, and names that are taken, are reported."""

    def __init__(self, unit: Unit) -> None:
        self.unit = unit
        self.gateway: n.Gateway | None = None
        self.maps: list[n.MapDeclaration] = []
        self.services: list[n.Service] = []
        self.globals: list[n.Global] = []
        self._seen: dict[tuple[str, str], Span] = {}

    def add(self, node: n.Declaration) -> None:
        unit = self.unit
        if isinstance(node, n.Service):
            if self._first("service", node.name, node.name_span):
                self.services.append(node)
        elif isinstance(node, n.Upstream):
            if self._first("upstream", node.name, node.name_span):
                unit.upstreams[node.name] = node
        elif isinstance(node, n.MapDeclaration):
            if self._first("map", node.name, node.name_span):
                self.maps.append(node)
        elif isinstance(node, n.Constant):
            self._constant(node)
        elif isinstance(node, n.AssertionDeclaration):
            self._assertion(node)
        elif isinstance(node, n.Global):
            self.globals.append(node)
        elif isinstance(node, n.Gateway):
            if self.gateway is None:
                self.gateway = node
            else:
                unit.report.error("duplicate-name", head(node), "`gateway` stands a second time",
                                  labels=[Label(head(self.gateway), "first here")],
                                  help="put all settings into one block")  # fmt: skip
        elif isinstance(node, n.Test):
            unit.report.error("misplaced-test", node.title.span, "tests stand in a file whose name ends in `_test.pol`",
                              help="move it there, and `import` this file")  # fmt: skip

    def _first(self, kind: str, name: str, span: Span) -> bool:
        first = self._seen.setdefault((kind, name), span)
        if first is span:
            return True
        article = "an" if kind[0] in "aeiou" else "a"
        self.unit.report.error(
            "duplicate-name", span, f"{article} {kind} called `{name}` is declared already",
            labels=[Label(first, "first here")], help="rename one of them",
        )  # fmt: skip
        return False

    def _constant(self, node: n.Constant) -> None:
        if node.name in CONTEXT:
            self.unit.report.error("reserved-name", node.name_span, f"`{node.name}` is a name of the language",
                                   help="choose another name")  # fmt: skip
        elif self._first("constant", node.name, node.name_span):
            self.unit.constant_nodes[node.name] = node
            self.unit.constant_spans[node.name] = node.name_span

    def _assertion(self, node: n.AssertionDeclaration) -> None:
        catalog = self.unit.catalog
        if node.name in catalog.assertions or node.name in catalog.functions or node.name in SPECIAL:
            kind = "an assertion" if node.name in catalog.assertions else "a function"
            self.unit.report.error(
                "redefined-builtin", node.name_span, f"`{node.name}` is {kind} that is built in",
                help="choose another name",
            )  # fmt: skip
        elif self._first("assertion", node.name, node.name_span):
            self.unit.definitions[node.name] = Definition(node)


def _hash(surroundings: Surroundings) -> str:
    """Names the policy. Secrets are left out: a short digest of one could be guessed at."""
    digest = hashlib.sha256()
    for path in sorted(surroundings.files):
        if path not in surroundings.secret_files and not path.endswith(TESTS):
            data = surroundings.files[path]
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
    return digest.hexdigest()[:12]
