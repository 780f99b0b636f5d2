"""`pol fmt`: a syntax tree as text, in the one way that policies are written.

Comments and literals stay as they were; so do single empty lines between statements, brackets around
expressions, blocks on one line, and lists and maps whose items each have a line. Everything else has one
form. The printed text is read again and compared: a formatter must not change what a policy means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from policylang.diagnostics import Diagnostic
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax.marginalia import Marginalia
from policylang.syntax.parser import parse
from policylang.syntax.phrase import INDENT, PATTERN_LEVEL, WIDTH, Phrases, flat, put, width, written


def fmt_text(source: Source) -> str | list[Diagnostic]:
    """The formatted text; the syntax errors of a text that has some. A text that would come out with
    another meaning, which is a defect of ours, is a diagnostic too and leaves the text alone."""
    file, found = parse(source)
    if found:
        return found
    text = format_file(file)
    again, errors = parse(Source(source.name, text))
    if errors or not same(file.declarations, again.declarations) or _comments(file) != _comments(again):
        span = Span(source, 0, min(1, len(source.text)))
        message = "formatting would change what this file means, so it is left as it is"
        return [Diagnostic("format-defect", span, message, help="report this file: the fault is polgate's")]
    return text


def same(a: object, b: object) -> bool:
    """Whether two trees say the same, wherever they stand."""
    pairs: list[tuple[object, object]] = [(a, b)]
    while pairs:
        x, y = pairs.pop()
        if isinstance(x, Span | Source):
            continue
        if type(x) is not type(y):
            return False
        if isinstance(x, tuple) and isinstance(y, tuple):
            if len(x) != len(y):
                return False
            pairs.extend(zip(x, y, strict=True))
        elif isinstance(x, n.Node):
            pairs.extend((getattr(x, f.name), getattr(y, f.name)) for f in fields(x))
        elif x != y:
            return False
    return True


def _comments(file: n.File) -> list[str]:
    return sorted(comment.text for comment in file.comments)


def format_file(file: n.File) -> str:
    """The text of a tree without errors. A tree that was made without a text is printed as well."""
    return _Printer(file).print()


@dataclass(slots=True)
class _Line:
    """One statement, setting, case or declaration, printed: `blank` when an empty line stands before it."""

    text: str
    blank: bool = False
    above: list[str] = field(default_factory=list)
    behind: str = ""


# In a printed case: where the arrow, and where a call's second argument, may be moved to the right.
_ARROW, _SECOND = "\0", "\1"


class _Printer:
    def __init__(self, file: n.File) -> None:
        self.file = file
        self.source = file.source
        self.notes = Marginalia(file)
        self.phrases = Phrases(self.notes.parenthesised, self.notes.opened, self.notes.of_items)

    def print(self) -> str:
        end = len(self.source.text) + 1
        found = [self._line(d, 0, end, self._declaration, apart=True) for d in self.file.declarations]
        for k, (line, declaration) in enumerate(zip(found, self.file.declarations, strict=True)):
            line.blank = k > 0 and not _joined(self.file.declarations[k - 1], declaration, line)
        _align_comments(found, 0)
        blank, rest = self.notes.above(end)
        lines = _written_out(found)
        if rest and (blank or lines):
            lines.append("")
        lines += rest
        while lines and not lines[0]:
            lines.pop(0)
        return "\n".join(lines) + "\n" if lines else ""

    # --- declarations ------------------------------------------------------------------------------------

    def _declaration(self, d: n.Declaration, indent: int) -> str:
        phrases = self.phrases
        match d:
            case n.Import():
                return f"import {written(d.path)}"
            case n.Gateway():
                return "gateway " + self._settings(d.settings, d, 8)
            case n.Upstream():
                return f"upstream {d.name} " + self._settings(d.settings, d, 10 + len(d.name))
            case n.MapDeclaration():
                return put(phrases.arguments(f"map {d.name}{',' if d.args else ''}", d.args), 0, 0)
            case n.Constant():
                return put([f"let {_private(d.private)}{d.name} = ", *phrases.expression(d.value)], 0, 0)
            case n.AssertionDeclaration():
                return self._with_block(self._signature(d), d.body, 0)
            case n.Service():
                head = put(phrases.arguments(f"service {d.name}", d.args, " {"), 0, 0)
                return self._service_body(head[:-1], d)
            case n.Global():
                return self._with_block(f"global {d.when} ", d.body, 0)
            case n.Test():
                title = f"test {written(d.title)} "
                if d.rows is not None:
                    title = self._plain(f"{title}for {d.name} in ", d.rows, 0, 2) + " "
                return self._with_block(title, d.body, 0)
            case _:
                raise TypeError(type(d).__name__)

    def _signature(self, d: n.AssertionDeclaration) -> str:
        name = f"assertion {d.name}"
        outputs = _outputs(d.outputs) + " "
        if not d.parameters:
            return name + outputs
        parameters = [
            f"{_private(p.private)}{p.name}: {p.type}{'?' if p.optional else ''}"
            + (f" = {self.phrases.text(p.default)}" if p.default is not None else "")
            for p in d.parameters
        ]
        text = f"{name}({', '.join(parameters)}){outputs}"
        if width(text) + 1 > WIDTH:
            text = f"{name}(" + (",\n" + " " * (len(name) + 1)).join(parameters) + f"){outputs}"
        return text

    def _settings(self, settings: tuple[n.Setting, ...], owner: n.Declaration, column: int) -> str:
        start = max(owner.span.start, self.source.text.find("{", owner.span.start))
        return self._body(settings, Span(self.source, start, owner.span.end), 0, column, self._setting)

    def _setting(self, s: n.Setting, indent: int) -> str:
        return put(self.phrases.arguments(s.name, s.args), indent, indent)

    def _service_body(self, head: str, d: n.Service) -> str:
        items: list[n.Statement] = list(d.body.statements)
        if d.on_failure is not None and d.on_failure_span is not None:
            # It is printed like a group of that name, which no tree holds.
            items.append(n.Group(d.on_failure_span.to(d.on_failure.span), "on failure", d.on_failure))
        return head + self._body(items, d.body.span, 0, _end_column(head, 0), self._statement)

    # --- blocks --------------------------------------------------------------------------------------------

    def _with_block(self, head: str, block: n.Block, indent: int) -> str:
        return head + self._body(block.statements, block.span, indent, _end_column(head, indent), self._statement)

    def _line(
        self, item: n.Node, indent: int, end: int, show: Callable[[Any, int], str], *, apart: bool = False
    ) -> _Line:
        """`end` is that of the block around it. `apart`: what is moved up from the midst of it does not become
        its documentation."""
        blank, above = self.notes.above(item.span.start)
        self.notes.open()
        text = show(item, indent)
        moved = self.notes.close(item.span.end)
        if moved:
            above = [*moved, "", *above] if apart else [*above, *moved]
        return _Line(text, blank, above, self.notes.behind(item.span.end, end))

    def _body(
        self, items: Sequence[n.Node], span: Span, indent: int, column: int, show: Callable[[Any, int], str]
    ) -> str:
        """From `{` to `}`; `column` is where the `{` comes to stand."""
        notes = self.notes
        notes.move_up(span.start)
        if len(items) == 1 and self.source.text and "\n" not in span.text and not notes.any_before(span.end):
            text = show(items[0], indent).replace(_ARROW, "").replace(_SECOND, "")
            if "\n" not in text and column + width(text) + 4 <= WIDTH:
                return f"{{ {text} }}"
        beside = notes.beside(span.start, items[0].span.start if items else span.end)
        opening = "{" + (f"  {beside}" if beside else "")
        inner = indent + INDENT
        lines = [self._line(item, inner, span.end, show) for item in items]
        if show == self._case:
            _align(lines, inner)
        _align_comments(lines, inner)
        blank, below = notes.above(span.end, blank_below=False)
        if not lines and not below and opening == "{":
            return "{}"
        printed = _written_out(lines)
        if blank and printed and below:
            printed.append("")
        printed += below
        pad = " " * inner
        return opening + "\n" + "".join(f"{pad}{text}\n" if text else "\n" for text in printed) + " " * indent + "}"

    # --- statements ------------------------------------------------------------------------------------------

    def _statement(self, s: n.Statement, indent: int) -> str:
        phrases = self.phrases
        match s:
            case n.Call():
                head = phrases.arguments(s.name, s.args, _outputs(s.outputs) + (" {" if s.block is not None else ""))
                text = put(head, indent, indent)
                return text if s.block is None else self._with_block(text[:-1], s.block, indent)
            case n.Require():
                return self._plain("require ", s.condition, indent)
            case n.Let():
                name = f"{_private(s.private)}{s.name}{'?' if s.optional else ''}"
                return self._plain(f"let {name} = ", s.value, indent)
            case n.Set():
                return self._plain(f"set {phrases.text(s.target)} = ", s.value, indent)
            case n.Remove():
                return self._plain("remove ", s.target, indent)
            case n.Group():
                return self._with_block(f"{s.kind} ", s.body, indent)
            case n.If():
                return self._if(s, indent)
            case n.Match():
                head_text = self._plain("match ", s.subject, indent, 2) + " "
                start = max(s.subject.span.end, self.source.text.find("{", s.subject.span.end))
                span = Span(s.span.source, start, s.span.end)
                return head_text + self._body(s.cases, span, indent, _end_column(head_text, indent), self._case)
            case n.Split():
                head_text = put(phrases.arguments("split", s.args, " {"), indent, indent)[:-1]
                after = s.args[-1].span.end if s.args else s.span.start
                start = max(after, self.source.text.find("{", after))
                span = Span(s.span.source, start, s.span.end)
                return head_text + self._body(s.cases, span, indent, _end_column(head_text, indent), self._case)
            case n.For():
                return self._with_block(self._plain(f"for {s.name} in ", s.iterable, indent, 2) + " ", s.body, indent)
            case n.Try():
                text = self._with_block("try ", s.body, indent)
                return self._with_block(f"{text} catch {s.name + ' ' if s.name else ''}", s.handler, indent)
            case n.Else():
                return self._else(s, indent)
            case n.Respond():
                return put(phrases.arguments("respond", s.args), indent, indent)
            case n.Fail():
                return put(phrases.arguments("fail", s.args), indent, indent)
            case n.Ignore():
                return "ignore"
            case _:
                raise TypeError(type(s).__name__)

    def _plain(self, head: str, value: n.Expr, indent: int, reserve: int = 0) -> str:
        phrases = self.phrases
        written = phrases.expression(value) if head.endswith("= ") else phrases.guarded(value)
        return put([head, *written], indent, indent, reserve)

    def _if(self, s: n.If, indent: int) -> str:
        text = ""
        for arm in s.arms:
            text += (" else " if text else "") + "if "
            text += put(self.phrases.guarded(arm.condition), indent, _end_column(text, indent), 2) + " "
            text = self._with_block(text, arm.body, indent)
        return text if s.orelse is None else self._with_block(text + " else ", s.orelse, indent)

    def _else(self, s: n.Else, indent: int) -> str:
        left = self._statement(s.left, indent)
        if s.right.braced:
            return self._with_block(left + " else ", s.right, indent)
        right = self._statement(s.right.statements[0], indent)
        column = _end_column(left, indent)
        if column + 6 + width(right.split("\n")[0]) <= WIDTH or "\n" in right:
            return f"{left} else {right}"
        return f"{left}\n{' ' * (indent + INDENT)}else {right}"

    def _case(self, c: n.Case, indent: int) -> str:
        patterns = ", ".join(flat(self.phrases.expression(p, PATTERN_LEVEL)) for p in c.patterns) or "else"
        head = f"{patterns}{_ARROW} -> "
        if c.body.braced:
            return self._with_block(head.replace(_ARROW, ""), c.body, indent)
        statement = c.body.statements[0]
        column = indent + width(head) - 1
        text = self._statement(statement, indent)
        if "\n" in text or column + width(text) > WIDTH:
            return head.replace(_ARROW, "") + text
        if isinstance(statement, n.Call) and len(statement.args) > 1 and statement.args[0].name is None:
            first = statement.name + " " + flat(self.phrases.argument(statement.args[0])) + ","
            if text.startswith(first):
                text = first + _SECOND + text[len(first) :]
        return head + text


def _align(lines: list[_Line], indent: int) -> None:
    """Lines up the arrows of neighbouring cases of one line each, and the second arguments of one call."""
    runs: list[list[_Line]] = []
    for line in lines:
        alone = "\n" in line.text or _ARROW not in line.text
        if alone:
            runs.append([])
        elif not runs or line.blank or line.above:
            runs.append([line])
        else:
            runs[-1].append(line)
    for run in runs:
        texts = _padded([line.text for line in run], _ARROW)
        calls = [text.split(" -> ", 1)[1].split(" ", 1)[0] for text in texts]
        start = 0
        for end in range(1, len(run) + 1):
            if end == len(run) or calls[end] != calls[start]:
                texts[start:end] = _padded(texts[start:end], _SECOND)
                start = end
        for line, text in zip(run, texts, strict=True):
            line.text = text if indent + width(text) <= WIDTH else line.text
    for line in lines:
        line.text = line.text.replace(_ARROW, "").replace(_SECOND, "")


def _align_comments(lines: list[_Line], indent: int) -> None:
    """Puts two spaces before a comment behind a line, more where its neighbours have one too."""
    run: list[_Line] = []
    for line in [*lines, _Line("", True)]:
        if not line.behind or line.blank or line.above or (run and "\n" in line.text):
            column = max((_end_column(one.text, indent) for one in run), default=0)
            for one in run:
                one.behind = " " * (column + 2 - _end_column(one.text, indent)) + one.behind
            run = []
        if line.behind:
            run.append(line)


def _written_out(lines: list[_Line]) -> list[str]:
    texts: list[str] = []
    for line in lines:
        if line.blank and texts:
            texts.append("")
        texts += [*line.above, line.text + line.behind]
    return texts


def _padded(texts: list[str], mark: str) -> list[str]:
    widest = max((width(text.split(mark)[0]) for text in texts if mark in text), default=0)
    result = []
    for text in texts:
        head, found, rest = text.partition(mark)
        result.append(head + " " * (widest - width(head)) + rest if found else text)
    return result


def _end_column(text: str, indent: int) -> int:
    _, newline, last = text.rpartition("\n")
    return width(last) if newline else indent + width(text)


def _private(private: bool) -> str:
    return "private " if private else ""


def _outputs(outputs: tuple[n.Output, ...]) -> str:
    return " -> " + ", ".join(_private(o.private) + o.name for o in outputs) if outputs else ""


def _joined(before: n.Declaration, after: n.Declaration, line: _Line) -> bool:
    """Whether two declarations stay on neighbouring lines: single lines of one kind, written so."""
    kinds = n.Import | n.MapDeclaration | n.Constant
    return type(before) is type(after) and isinstance(after, kinds) and not line.blank and not line.above
