"""Files and their imports: every declaration of a program in one row, each file once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from policylang.check.order import around
from policylang.check.report import Report
from policylang.check.surroundings import Surroundings, resolve
from policylang.diagnostics import Diagnostic, Label
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse


@dataclass(slots=True)
class Loaded:
    declarations: list[n.Declaration] = field(default_factory=list)
    tests: list[n.Declaration] = field(default_factory=list)
    """What stands in files of tests."""
    sources: list[Source] = field(default_factory=list)
    files: list[n.File] = field(default_factory=list)
    """One for each source."""
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """Syntax errors."""
    broken: list[str] = field(default_factory=list)
    """The texts of files that have some."""


@dataclass(slots=True)
class _Open:
    """A file whose declarations are being gone through."""

    path: str
    rest: Iterator[n.Declaration]


TESTS = "_test.pol"
"""How the name of a file of tests ends."""


def load_files(paths: Sequence[str], surroundings: Surroundings, report: Report) -> Loaded:
    """Raises OSError for a file of `paths` itself: that is for the command line to say."""
    loaded = Loaded()
    known: dict[str, Span | None] = {}
    for path in paths:
        if path in known:
            continue
        known[path] = None
        text = surroundings.decoded(report, surroundings.read(path), path, Span(Source(path, ""), 0, 0))
        above = [_opened(path, text, loaded)] if text is not None else []
        while above:
            node = next(above[-1].rest, None)
            if node is None:
                above.pop()
            elif not isinstance(node, n.Import):
                (loaded.tests if above[-1].path.endswith(TESTS) else loaded.declarations).append(node)
            else:
                found = _imported(node, above, known, surroundings, report, loaded)
                if found is not None:
                    above.append(found)
    return loaded


def _opened(path: str, text: str, loaded: Loaded) -> _Open:
    source = Source(path, text)
    file, found = parse(source)
    loaded.sources.append(source)
    loaded.files.append(file)
    loaded.diagnostics += found
    if found:
        loaded.broken.append(text)
    return _Open(path, iter(file.declarations))


def _imported(
    node: n.Import, above: list[_Open], known: dict[str, Span | None], surroundings: Surroundings, report: Report,
    loaded: Loaded,
) -> _Open | None:  # fmt: skip
    written = node.path.literal
    if written is None:
        report.error("not-constant", node.path.span, "the path of an import is a literal",
                     help="write it without `${…}`")  # fmt: skip
        return None
    path = above[-1].path
    where = resolve(written, path)
    opened = [each.path for each in above]
    if where in opened:
        way = around([*opened[opened.index(where) :], where])
        first = known[where]
        report.error(
            "import-cycle", node.path.span,
            f"`{where}` imports itself" if where == path else f"`{where}` is being imported already",
            labels=[Label(first, "by this import")] if first is not None else [],
            help=f"the circle is {way}: move what both need into a third file",
        )  # fmt: skip
        return None
    if where in known:
        return None
    if where.endswith(TESTS) and not path.endswith(TESTS):
        report.error("imported-tests", node.path.span, f"`{where}` holds tests, and no part of a policy",
                     help="leave it out: the tests import the policy")  # fmt: skip
        return None
    known[where] = node.path.span
    text = surroundings.text(report, written, node.path.span)
    return None if text is None else _opened(where, text, loaded)
