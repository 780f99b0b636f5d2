"""Expressions as phrases: text with places where a line may break, and the breaking at 100 columns.

A phrase is a list of pieces: plain text, or a Group, which is what stands between brackets, or between a
statement's name and its end. Lines break after the commas of a group, the outermost first; what follows
hangs under the group's first item.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from policylang.syntax import nodes as n

WIDTH = 100
INDENT = 4

_OR, _AND, _NOT, _COMPARISON, _RANGE, _SUM, _PRODUCT, _PRESENCE, _SIGN, _POSTFIX = range(1, 11)
_LEVELS = {
    "or": _OR, "and": _AND, "..": _RANGE, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT,
    "??": _PRESENCE,
}
# A case's pattern: no comparison, no `not`, `and`, `or`.
PATTERN_LEVEL = _RANGE
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(slots=True)
class Item:
    """One item of a group; comments above it and behind it force the group onto lines of its own."""

    phrase: Phrase
    above: list[str] = field(default_factory=list)
    behind: str = ""


@dataclass(slots=True)
class Group:
    """`exploded`: each item has a line of its own, as it was written."""

    open: str
    items: list[Item]
    close: str
    exploded: bool = False
    below: list[str] = field(default_factory=list)


Piece = str | Group
Phrase = list[Piece]


def width(text: str) -> int:
    """Columns of a text on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def flat(phrase: Phrase) -> str:
    """The phrase on one line (but for strings that hold line breaks)."""
    parts = []
    for piece in phrase:
        if isinstance(piece, str):
            parts.append(piece)
        else:
            parts.append(piece.open + ", ".join(flat(item.phrase) for item in piece.items) + piece.close)
    return "".join(parts)


def exploded(phrase: Phrase) -> bool:
    return any(
        isinstance(p, Group) and (p.exploded or any(exploded(item.phrase) for item in p.items)) for p in phrase
    )


def put(phrase: Phrase, indent: int, column: int, reserve: int = 0) -> str:
    """The phrase as text that begins at `column`, in a statement indented by `indent`; `reserve` columns
    stay free behind it. Lines after the first carry their own indentation."""
    text = ""
    for k, piece in enumerate(phrase):
        if isinstance(piece, str):
            text += piece
        else:
            tail = reserve
            for following in phrase[k + 1 :]:
                if isinstance(following, Group):
                    tail = width(following.open)
                    break
                tail += width(following.split("\n")[0])
            text += _group(piece, indent, _column(text, column), tail)
    return text


def _column(text: str, column: int) -> int:
    _, newline, last = text.rpartition("\n")
    return width(last) if newline else column + width(text)


def _group(group: Group, indent: int, column: int, reserve: int) -> str:
    if group.exploded and group.items:
        return _explode(group, indent)
    if not any(exploded(item.phrase) for item in group.items):
        text = flat([group])
        if column + width(text.split("\n")[0]) + (0 if "\n" in text else reserve) <= WIDTH:
            return text
    hang = _column(group.open, column)
    last = len(group.items) - 1
    widest = max((width(flat(item.phrase).split("\n")[0]) for item in group.items), default=0)
    if group.close and group.items and (hang > WIDTH // 2 or hang + widest + 1 > WIDTH):
        # Too far to the right to hang anything there.
        return _explode(group, indent)
    text = group.open
    for k, item in enumerate(group.items):
        behind = width(group.close) + reserve if k == last else 1
        if k:
            text += ","
            here = _column(text, column) + 1
            item_flat = flat(item.phrase).split("\n")[0]
            if here + width(item_flat) + behind > WIDTH and not exploded(item.phrase):
                text += "\n" + " " * hang
            else:
                text += " "
        text += put(item.phrase, indent, _column(text, column), behind)
    return text + group.close


def _explode(group: Group, indent: int) -> str:
    inner = indent + INDENT
    pad = "\n" + " " * inner
    text = group.open.rstrip()
    for k, item in enumerate(group.items):
        for comment in item.above:
            text += pad + comment
        text += pad + put(item.phrase, inner, inner, 1)
        if k < len(group.items) - 1:
            text += ","
        if item.behind:
            text += "  " + item.behind
    for comment in group.below:
        text += pad + comment
    return text + "\n" + " " * indent + group.close.lstrip()


class Phrases:
    """Makes phrases of expressions. `parenthesised` says whether an expression stood in brackets of its
    own, `opened` whether a line break follows an opening bracket, `comments` takes the comments up to an
    offset that stand above, and the one behind an item."""

    def __init__(
        self,
        parenthesised: Callable[[n.Expr], bool],
        opened: Callable[[n.Node, int], bool],
        comments: Callable[[list[n.Node], n.Node], tuple[list[list[str]], list[str], list[str]]],
    ) -> None:
        self.parenthesised = parenthesised
        self.opened = opened
        self.comments = comments

    def expression(self, node: n.Expr, level: int = 0) -> Phrase:
        phrase, own = self._bare(node)
        if own < level or self.parenthesised(node):
            return ["(", *phrase, ")"]
        return phrase

    def guarded(self, node: n.Expr) -> Phrase:
        """Where a `{` would open a block: after a statement's word."""
        phrase = self.expression(node)
        return ["(", *phrase, ")"] if flat(phrase).startswith("{") else phrase

    def text(self, node: n.Expr) -> str:
        return flat(self.expression(node))

    def argument(self, node: n.Argument) -> Phrase:
        value = self.expression(node.value)
        return [f"{node.name}: ", *value] if node.name is not None else value

    def arguments(self, head: str, args: tuple[n.Argument, ...], tail: str = "") -> Phrase:
        """A statement's: its name, its arguments, and what follows them."""
        if not args:
            return [head + tail]
        phrases = [self.argument(a) for a in args]
        if args[0].name is None:
            phrases[0] = ["(", *phrases[0], ")"] if flat(phrases[0]).startswith("{") else phrases[0]
        return [head, Group(" ", [Item(phrase) for phrase in phrases], ""), tail]

    def _bare(self, node: n.Expr) -> tuple[Phrase, int]:
        match node:
            case n.Binary():
                level = _LEVELS.get(node.op, _COMPARISON)
                chains = level not in (_COMPARISON, _RANGE)
                sign = node.op if level == _RANGE else f" {node.op} "
                left = self.expression(node.left, level if chains else level + 1)
                return [*left, sign, *self.expression(node.right, level + 1)], level
            case n.Unary(op="not"):
                return ["not ", *self.expression(node.operand, _NOT)], _NOT
            case n.Unary():
                return ["-", *self.expression(node.operand, _SIGN)], _SIGN
            case n.Conditional():
                phrase: Phrase = ["if ", *self.guarded(node.condition), " then ", *self.expression(node.then)]
                return [*phrase, " else ", *self.expression(node.orelse)], 0
            case n.Member():
                return [*self.expression(node.base, _POSTFIX), f".{node.name}"], _POSTFIX
            case n.Index():
                return [*self.expression(node.base, _POSTFIX), "[", *self.expression(node.key), "]"], _POSTFIX
            case n.CallExpr():
                # Before the arguments: the call's own brackets are not those of a lone argument.
                self.opened(node, node.name_span.end - node.span.start)
                return [node.name, self._group(node, "(", [(a, self.argument(a)) for a in node.args], ")")], _POSTFIX
            case n.ListValue():
                return [self._group(node, "[", [(i, self.expression(i)) for i in node.items], "]")], _POSTFIX
            case n.MapValue():
                if not node.entries:
                    return [self._group(node, "{", [], "}")], _POSTFIX
                entries: list[tuple[n.Node, Phrase]] = [
                    (e, [f"{_key(e)}: ", *self.expression(e.value)]) for e in node.entries
                ]
                return [self._group(node, "{ ", entries, " }")], _POSTFIX
            case _:
                return [written(node)], _POSTFIX

    def _group(self, node: n.Node, open: str, parts: list[tuple[n.Node, Phrase]], close: str) -> Group:
        start = node.name_span.end - node.span.start if isinstance(node, n.CallExpr) else 0
        above, behind, below = self.comments([part for part, _ in parts], node)
        items = [Item(phrase, a, b) for (_, phrase), a, b in zip(parts, above, behind, strict=True)]
        forced = self.opened(node, start) or any(above) or any(behind) or bool(below)
        return Group(open, items, close, forced and bool(items), below)


def _key(entry: n.MapEntry) -> str:
    if entry.key_span.source.text:
        text = entry.key_span.text
        return text if text[:1] in ('"', "r") and text[-1:] == '"' else entry.key
    return entry.key if _WORD.fullmatch(entry.key) else quoted(entry.key)


def written(node: n.Expr) -> str:
    """A literal or a name as it was written; as it is usually written when no text is known."""
    if node.span.source.text:
        return node.span.text
    match node:
        case n.Text():
            parts = [quoted(p)[1:-1] if isinstance(p, str) else "${" + _made(p) + "}" for p in node.parts]
            return '"' + "".join(parts) + '"'
        case n.Number():
            return repr(node.value)
        case n.Bool():
            return "true" if node.value else "false"
        case n.NoneValue():
            return "none"
        case n.DurationValue() | n.SizeValue():
            return f"{node.amount}{node.unit}"
        case n.RateValue():
            return f"{node.count}/{node.unit}"
        case n.Name():
            return node.name
        case _:
            return "none"


def _made(node: n.Expr) -> str:
    return Phrases(lambda _: False, lambda _, __: False, lambda p, _: ([[] for _ in p], ["" for _ in p], [])).text(node)


def quoted(text: str) -> str:
    """A string literal for a text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return '"' + "".join(c if c.isprintable() or ord(c) > 0xFFFF else f"\\u{ord(c):04x}" for c in escaped) + '"'
