"""A document drawn on the policy's text: which lines ran, what came of each, with what values, and what did not run.

    7 ✓ |     api_key request.header["X-API-Key"], in: map("clients") -> caller    caller = { id: "ann" }   31 µs
    8 ✗ |     require caller.contract == "gold"                                    caller.contract = "basic"
        |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 403 requirement-not-met
    9 · |     route orders
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from policylang.diagnostics.text import columns, printable
from policylang.record import record
from policylang.source import Source
from policylang.trace.nesting import Node, nested, within
from policylang.trace.written import inner_lines

WIDTH = 118
"""Columns that a line is kept to where it can be."""
MOST_LINES = 1000
LONGEST_RUN = 8
"""Lines that did not run, one after another, before those in their middle are left out."""
_DEEPEST = 40
"""Calls in each other that are drawn; a policy's are at most 32 deep."""
_ASIDE = 72
"""Columns of text beside which values still stand."""
_PASSED, _FAILED, _TAKEN, _ANSWERED, _CANCELLED, _NOT_REACHED = "✓", "✗", "~", "→", "!", "·"
_STYLES = {
    _PASSED: "32", _FAILED: "1;31", _TAKEN: "33", _ANSWERED: "1;36", _CANCELLED: "33", _NOT_REACHED: "2",
    "frame": "1;34", "dim": "2", "strong": "1", "bad": "1;31", "good": "1;32",
}  # fmt: skip
_CLOSING = re.compile(r"[\s)\]}]+(#.*)?\Z")
_STRUCTURE = re.compile(r"\s*\}?\s*(else|catch|on failure)\b.*\{\s*(#.*)?\Z")
_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))


def picture(document: dict[str, Any], sources: Iterable[Source], color: bool = False, *, times: bool = True) -> str:
    """The annotated tree, ending with the verdict and a line break. Draws what it can of any document that was read.

    `sources`: the policy's files by the names that the document has; where one is not there, the entries stand alone.
    """
    return _Picture(document, {source.name: source for source in sources}, color, times).draw()


def verdict(document: dict[str, Any]) -> str:
    """What became of it, in a few words: `429 rate-limited: over 500/s`."""
    status = document.get("status")
    failure = document.get("failure")
    if failure is None:
        return "given up, without an answer" if status is None else str(status)
    said = f"{failure['status']} {failure['name']}"
    if failure.get("detail"):
        said += f": {failure['detail']}"
    if status is None:
        return f"given up, after {said}"
    return said if status == failure["status"] else f"{status}, after {said}"


def time_text(ns: int) -> str:
    for size, unit in _UNITS:
        if ns >= size:
            value = ns / size
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return "0 µs" if ns < 100 else f"{ns / 1000:.1f} µs"


@record
class _Line:
    """One line of a policy as it is drawn. `said`: what stands beside it. `under`: the lines below, ready made."""

    number: int
    mark: str
    text: str
    said: tuple[str, ...]
    under: tuple[str, ...] = ()


class _Picture:
    def __init__(self, document: dict[str, Any], sources: dict[str, Source], color: bool, times: bool) -> None:
        self.document = document
        self.sources = sources
        self.color = color
        self.times = times
        self.lines: list[str] = []
        self.roots = nested(document["entries"])
        places = [*document["entries"], *document["parts"], *(e["body"] for e in document["entries"] if "body" in e)]
        self.gutter = max((len(str(max(place["line"], place["end_line"]))) for place in places), default=1)

    def draw(self) -> str:
        self._head()
        left = list(self.roots)
        for part in self.document["parts"]:
            own = [node for node in left if _inside(node.entry, part)]
            left = [node for node in left if not _inside(node.entry, part)]
            self.lines.append("")
            self._section(part, own, "")
        if left:
            self.lines += ["", *self._alone(left, "")]
        if len(self.lines) > MOST_LINES:
            self.lines = [*self.lines[:MOST_LINES], "…"]
        for call in self.document.get("received", ()):
            self._received(call)
        self._verdict()
        return "\n".join(line.rstrip() for line in self.lines) + "\n"

    def _head(self) -> None:
        document, request = self.document, self.document["request"]
        target = request["path"] + (f"?{request['query']}" if "query" in request else "")
        line = f"{request['method']} {target}" if request["method"] else "a request that was not taken in"
        self._add(self._paint("strong", printable(line)))
        facts = [f"client {document['client']['ip']}", *([f"host {request['host']}"] if request["host"] else ())]
        if "user" in document:
            facts.append(f"user {document['user']}")
        facts.append(f"service {document['service']}" if document["service"] else "no service")
        if document["policy"]:
            facts.append(f"policy {document['policy']}")
        self._add(printable(", ".join(facts)))

    def _received(self, call: dict[str, Any]) -> None:
        """A request that an upstream got."""
        what = "got a copy of" if call["copy"] else "received"
        line = f"{call['upstream']} {what} {call['method']} {call['target']}"
        rows = [f"{name}: {value}" for name, value in call["fields"] if name.lower() != "host"]
        rows.insert(0, f"Host: {call['host']}")
        rows += ["", *call["body"].rstrip("\n").split("\n")] if "body" in call else []
        self.lines += ["", self._paint("strong", printable(line)), *(f"    {printable(row)}" for row in rows)]

    def _verdict(self) -> None:
        document = self.document
        cut = document.get("cut")
        self.lines.append("")
        if cut is not None:
            self.lines.append(f"{cut['entries']} entries in the middle are left out of this journal")
        good = "failure" not in document and "status" in document
        time = f"  in {time_text(document['elapsed'])}" if self.times and document["elapsed"] > 0 else ""
        self.lines.append(self._paint("good" if good else "bad", f"=> {printable(verdict(document))}") + time)

    # --- a stretch of text ---

    def _section(self, place: dict[str, Any], nodes: list[Node], prefix: str) -> None:
        """The lines of a service, a global block, or the body of an assertion, with what ran of it."""
        if len(self.lines) > MOST_LINES or len(prefix) > 2 * _DEEPEST:
            return
        pad = " " * self.gutter
        name = printable(place["file"])
        self._add(f"{pad}{self._paint('frame', '-->')} {prefix}{name}:{place['line']}")
        source = self.sources.get(place["file"])
        first, last = place["line"], min(place["end_line"], 0 if source is None else source.line_count)
        if source is None or last < first or first < 1:
            for text in self._alone(nodes, prefix):
                self._add(text)
            return
        starting: dict[int, list[Node]] = {}
        running: set[int] = set()
        beneath = inner_lines(source, place)
        for node in within(nodes):
            entry = node.entry
            starting.setdefault(entry["line"], []).append(node)
            own = range(entry["line"] + 1, min(entry["end_line"], last) + 1)
            held = beneath.get((entry["line"], entry["column"], entry["end_line"], entry["end_column"]), frozenset())
            if node.children:  # its arms speak for themselves
                own = range(own.start, min(held, default=own.stop))
            running.update(number for number in own if number not in held)
        drawn = [
            self._line(source, number, starting.get(number, []), number in running, prefix)
            for number in range(first, last + 1)
        ]
        ends = {first, place["end_line"], *(node.entry["end_line"] for nodes in starting.values() for node in nodes)}
        drawn = _marked(drawn, ends)
        room = WIDTH - self.gutter - 8
        aside = max((columns(line.text) for line in drawn if line.said and columns(line.text) <= _ASIDE
                     and columns(line.text) + columns("   ".join(line.said)) <= room), default=0)  # fmt: skip
        for line in _without_long_runs(drawn):
            if isinstance(line, str):
                self._add(self._paint("dim", f"{pad}   {self._bar()} {prefix}{line}"))
                continue
            self._draw(line, aside)
            calls = [node for node in starting.get(line.number, ()) if "body" in node.entry]
            for bodies in _by_body(calls):
                inner = [child for node in bodies for child in node.children]
                self._section(bodies[0].entry["body"], inner, f"{prefix}┆ ")

    def _line(self, source: Source, number: int, nodes: list[Node], running: bool, prefix: str) -> _Line:
        raw = source.line(number)
        text = prefix + printable(raw)
        if not nodes:
            known = "cut" not in self.document  # else it may have run, and its entry is left out
            return _Line(number, _NOT_REACHED if known and not running else "", text, ())
        groups: dict[tuple[int, str], list[Node]] = {}
        for node in nodes:
            groups.setdefault((node.entry["column"], node.entry["word"]), []).append(node)
        said: list[str] = []
        for (_, word), group in groups.items():
            told = self._told(group)
            if told and len(groups) > 1:
                told[0] = f"{word}: {told[0]}"
            said += told
        return _Line(number, min((_mark(node) for node in nodes), key=_ORDER.index), text, tuple(said),
                     self._caret(raw, nodes, prefix))  # fmt: skip

    def _told(self, group: list[Node]) -> list[str]:
        """What there is to say of a statement that ran, perhaps several times."""
        told: list[str] = []
        if len(group) > 1:
            refused = sum(node.failed for node in group)
            told.append(f"{len(group)} times" + (f", {refused} failed" if refused else ""))
        node = next((each for each in group if each.counts), group[-1])
        entry = node.entry
        if node.innermost and not self._is_the_failure(node):
            told.append(f"{entry.get('status', '')} {entry.get('name', 'failed')}".strip())
        elif entry["outcome"] == "cancelled":
            told.append("cancelled")
        told += [f"{name} = {value}" for name, value in entry.get("reads", {}).items()]
        told += [f"-> {name} = {value}" for name, value in entry.get("binds", {}).items()]
        waited = sum(each.waited for each in group)
        if self.times and waited:
            told.append(time_text(waited))
        return [printable(each) for each in told]

    def _is_the_failure(self, node: Node) -> bool:
        failure = self.document.get("failure")
        if failure is None or not node.counts or not node.innermost or "line" not in failure:
            return False
        return node.place == (failure["file"], failure["line"], failure["column"])

    def _caret(self, raw: str, nodes: list[Node], prefix: str) -> tuple[str, ...]:
        node = next((node for node in nodes if self._is_the_failure(node)), None)
        if node is None:
            return ()
        entry, failure = node.entry, self.document["failure"]
        start = min(entry["column"] - 1, len(raw))
        end = min(entry["end_column"] - 1 if entry["end_line"] == entry["line"] else len(raw), len(raw))
        detail = f": {failure['detail']}" if failure.get("detail") else ""
        sign = "^" * max(1, columns(raw[start:end]))
        said = printable(f"{failure['status']} {failure['name']}{detail}")
        indent = " " * columns(prefix + raw[:start])
        if columns(indent) + columns(sign) + 1 + columns(said) + self.gutter + 5 <= WIDTH:
            return (indent + self._paint("bad", f"{sign} {said}"),)
        return indent + self._paint("bad", sign), indent + self._paint("bad", said)

    def _draw(self, line: _Line, aside: int) -> None:
        text, mark = line.text, line.mark
        number = self._paint("frame", f"{line.number:>{self.gutter}}")
        head = f"{number} {self._paint(mark, mark or ' ')} {self._bar()} "
        said = "   ".join(line.said)
        painted = self._paint("dim", text) if mark == _NOT_REACHED else text
        wide = columns(text)
        if said and max(wide, aside) + 3 + columns(said) + self.gutter + 5 <= WIDTH:
            self._add(head + painted + " " * (max(aside - wide, 0) + 3) + self._paint("frame", said))
            self._under(line)
        else:
            self._add(head + painted)
            self._under(line)
            indent = " " * (wide - columns(text.lstrip(" ┆")) + 4)
            for row in _rows(line.said, WIDTH - self.gutter - 5 - len(indent)):
                self._add(f"{' ' * self.gutter}   {self._bar()} {indent}{self._paint('frame', row)}")

    def _under(self, line: _Line) -> None:
        for text in line.under:
            self._add(f"{' ' * self.gutter}   {self._bar()} {text}")

    def _alone(self, nodes: list[Node], prefix: str) -> Iterator[str]:
        """Entries whose text is not here."""
        waiting = [(node, 0) for node in reversed(nodes)]
        while waiting:
            node, depth = waiting.pop()
            entry, mark = node.entry, _mark(node)
            said = "   ".join(self._told([node]))
            place = f"{entry['file']}:{entry['line']}:{entry['column']}"
            text = printable(f"{'    ' * depth}{entry['word']}  {place}") + (f"   {said}" if said else "")
            yield f"{' ' * self.gutter} {self._paint(mark, mark)} {self._bar()} {prefix}{text}"
            waiting += [(child, depth + 1) for child in reversed(node.children)]

    def _bar(self) -> str:
        return self._paint("frame", "|")

    def _add(self, line: str) -> None:
        if len(self.lines) <= MOST_LINES:
            self.lines.append(line)

    def _paint(self, style: str, text: str) -> str:
        code = _STYLES.get(style) if self.color and text else None
        return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


_ORDER = (_FAILED, _ANSWERED, _CANCELLED, _TAKEN, _PASSED)


def _mark(node: Node) -> str:
    outcome = node.entry["outcome"]
    if outcome == "failed":
        return _FAILED if node.counts else _TAKEN
    return {"responded": _ANSWERED, "cancelled": _CANCELLED}.get(outcome, _PASSED)


def _inside(entry: dict[str, Any], part: dict[str, Any]) -> bool:
    return bool(entry["file"] == part["file"] and part["line"] <= entry["line"] <= part["end_line"])


def _by_body(calls: list[Node]) -> Iterator[list[Node]]:
    """Calls on one line, those of one assertion together: the rounds of a loop."""
    found: dict[tuple[str, int], list[Node]] = {}
    for node in calls:
        found.setdefault((node.entry["body"]["file"], node.entry["body"]["line"]), []).append(node)
    yield from found.values()


def _marked(lines: list[_Line], ends: set[int]) -> list[_Line]:
    """Lines that are no statement have no mark: comments, braces, `else {` of a block that ran.

    `ends`: the first line, and those on which something ends that ran.
    """
    found: list[_Line] = []
    for place, line in enumerate(lines):
        bare = line.text.replace("┆", " ").strip()
        if line.mark == _NOT_REACHED:
            plain = not bare or bare.startswith("#") or line.number in ends
            if plain:
                pass
            elif _CLOSING.match(bare):
                plain = found[-1].mark != _NOT_REACHED
            elif _STRUCTURE.match(bare):
                later = next((each for each in lines[place + 1 :] if each.text.strip(" ┆")), None)
                plain = later is not None and later.mark != _NOT_REACHED
            if plain:
                line = _Line(line.number, "", line.text, ())
        found.append(line)
    return found


def _without_long_runs(lines: list[_Line]) -> Iterator[_Line | str]:
    run: list[_Line] = []
    for line in [*lines, None]:
        if line is not None and line.mark == _NOT_REACHED:
            run.append(line)
            continue
        if len(run) > LONGEST_RUN:
            yield from run[:2]
            yield f"… {len(run) - 4} lines that were not reached"
            yield from run[-2:]
        else:
            yield from run
        run = []
        if line is not None:
            yield line


def _rows(said: Iterable[str], width: int) -> Iterator[str]:
    row = ""
    for each in said:
        if row and columns(row) + 3 + columns(each) > width:
            yield row
            row = each
        else:
            row = f"{row}   {each}" if row else each
    if row:
        yield row
