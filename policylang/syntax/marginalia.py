"""What a printer keeps of the text beside the tree: comments, empty lines, brackets, broken lines."""

from __future__ import annotations

from policylang.source import Source
from policylang.syntax import nodes as n
from policylang.syntax import words as w
from policylang.syntax.parser import tokenize


class Marginalia:
    """Hands out comments in text order, each once: whoever prints a place takes those that belong there."""

    def __init__(self, file: n.File) -> None:
        self.text = file.source.text
        self.comments = sorted(file.comments, key=lambda c: c.span.start)
        self.next = 0
        # Comments in the midst of a statement, to be put above it; one list for each open statement.
        self.moved: list[list[str]] = [[]]
        self.brackets = _round_brackets(file.source) if self.text else {}
        self.call_brackets: set[int] = set()

    # --- comments ------------------------------------------------------------------------------------

    def any_before(self, end: int) -> bool:
        return self.next < len(self.comments) and self.comments[self.next].span.start < end

    def take(self, end: int) -> list[n.Comment]:
        """The comments not yet handed out that begin before `end`."""
        taken = []
        while self.any_before(end):
            taken.append(self.comments[self.next])
            self.next += 1
        return taken

    def above(self, start: int, *, blank_below: bool = True) -> tuple[bool, list[str]]:
        """The comments before `start` with the empty lines among them, and whether one stands before all."""
        lines: list[str] = []
        taken = self.take(start)
        for comment in taken:
            if lines and self.blank_before(comment.span.start):
                lines.append("")
            lines.append(comment.text)
        if taken and blank_below and start <= len(self.text) and self.blank_before(start):
            lines.append("")
        return self.blank_before(taken[0].span.start if taken else start), lines

    def behind(self, end: int, limit: int) -> str:
        """The comment on the line on which something ended, when it begins before `limit`."""
        if self.next < len(self.comments):
            comment = self.comments[self.next]
            start = comment.span.start
            if not comment.own_line and end <= start < limit and "\n" not in self.text[end:start]:
                self.next += 1
                return comment.text
        return ""

    def beside(self, brace: int, first: int) -> str:
        """The comment behind a `{`, before its first statement."""
        if self.any_before(first) and not self.comments[self.next].own_line:
            return self.behind(brace, first)
        return ""

    def open(self) -> None:
        """A statement begins: comments in its midst will be moved above it."""
        self.moved.append([])

    def move_up(self, end: int) -> None:
        self.moved[-1] += [comment.text for comment in self.take(end)]

    def close(self, end: int) -> list[str]:
        """The statement ends at `end`: the comments to be put above it."""
        self.move_up(end)
        return self.moved.pop()

    def of_items(self, parts: list[n.Node], whole: n.Node) -> tuple[list[list[str]], list[str], list[str]]:
        """For a bracket's items: the comments above each, behind each, and below the last. Items are made
        before their bracket, so comments inside them are gone already."""
        above: list[list[str]] = [[] for _ in parts]
        behind = ["" for _ in parts]
        below: list[str] = []
        if not parts or not self.any_before(whole.span.end):
            return above, behind, below
        for comment in self.comments[self.next :]:
            start = comment.span.start
            if start >= whole.span.end:
                break
            if start < whole.span.start:
                continue
            self.comments.remove(comment)
            k = next((i for i, part in enumerate(parts) if part.span.start > start), len(parts))
            beside = k > 0 and not comment.own_line and "\n" not in self.text[parts[k - 1].span.end : start]
            if beside and not behind[k - 1]:
                behind[k - 1] = comment.text
            elif k < len(parts):
                above[k].append(comment.text)
            else:
                below.append(comment.text)
        return above, behind, below

    # --- lines and brackets ----------------------------------------------------------------------------

    def blank_before(self, offset: int) -> bool:
        """Whether the line above that of `offset` is empty."""
        line_start = self.text.rfind("\n", 0, min(offset, len(self.text))) + 1
        before = self.text.rfind("\n", 0, max(0, line_start - 1)) + 1
        return line_start > 1 and not self.text[before : line_start - 1].strip()

    def opened(self, node: n.Node, offset: int) -> bool:
        """Whether a line break follows a node's opening bracket, the first one from `offset` on."""
        at = node.span.start + offset
        while at < node.span.end and self.text[at : at + 1] not in ("(", "[", "{"):
            at += 1
        if isinstance(node, n.CallExpr):
            self.call_brackets.add(at)
        return self.text[at + 1 : node.span.end].lstrip(" \t\r")[:1] in ("\n", "#") and at < len(self.text)

    def parenthesised(self, node: n.Expr) -> bool:
        """Whether an expression stands in brackets that are not a call's."""
        opener = self.brackets.get((node.span.start, node.span.end))
        return opener is not None and opener not in self.call_brackets


def _round_brackets(source: Source) -> dict[tuple[int, int], int]:
    """For each pair: what stands between, and where the pair begins."""
    tokens = tokenize(source)
    pairs: dict[tuple[int, int], int] = {}
    stack: list[int] = []
    for i, kind in enumerate(tokens.kinds):
        if kind == w.LPAR:
            stack.append(i)
        elif kind == w.RPAR and stack:
            opener = stack.pop()
            pairs[tokens.starts[opener + 1], tokens.ends[i - 1]] = tokens.starts[opener]
    return pairs
