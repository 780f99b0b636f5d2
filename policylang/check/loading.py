"""Files and their imports: every declaration of a program in one row, each file once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from policylang.check.report import Report
from policylang.check.surroundings import Surroundings, resolve
from policylang.diagnostics import Diagnostic, Label
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse


@dataclass(slots=True)
class Loaded:
    declarations: list[n.Declaration] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    """Syntax errors."""
    broken: list[str] = field(default_factory=list)
    """The texts of files that have some."""


def load_files(paths: Sequence[str], surroundings: Surroundings, report: Report) -> Loaded:
    """Raises OSError or UnicodeDecodeError for a file of `paths` itself: that is for the command line to say."""
    loaded = Loaded()
    known: dict[str, list[Span]] = {}
    for path in paths:
        if path not in known:
            known[path] = []
            _load(path, surroundings.read(path).decode("utf-8"), surroundings, report, loaded, known, [path])
    return loaded


def _load(
    path: str, text: str, surroundings: Surroundings, report: Report, loaded: Loaded, known: dict[str, list[Span]],
    above: list[str],
) -> None:  # fmt: skip
    source = Source(path, text)
    file, found = parse(source)
    loaded.sources.append(source)
    loaded.diagnostics += found
    if found:
        loaded.broken.append(text)
    for node in file.declarations:
        if not isinstance(node, n.Import):
            loaded.declarations.append(node)
            continue
        written = node.path.literal
        if written is None:
            report.error("not-constant", node.path.span, "the path of an import is a literal",
                         help="write it without `${…}`")  # fmt: skip
            continue
        where = resolve(written, path)
        if where in above:
            way = " → ".join(f"`{each}`" for each in [*above[above.index(where) :], where])
            report.error(
                "import-cycle", node.path.span, f"`{where}` imports itself" if where == path
                else f"`{where}` is being imported already",
                labels=[Label(span, "by this import") for span in known[where][:1]],
                help=f"the circle is {way}: move what both need into a third file",
            )  # fmt: skip
            continue
        if where in known:
            continue
        known[where] = [node.path.span]
        imported = surroundings.text(report, written, node.path.span)
        if imported is not None:
            _load(where, imported, surroundings, report, loaded, known, [*above, where])
