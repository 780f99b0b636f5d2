"""Brackets that do not balance: who is to blame, and what the text was meant to be.

Indentation tells. Only text that does not balance is looked at, so badly indented policies that do are
left alone. Every repair makes exactly one diagnostic and changes the raw tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policylang.diagnostics import Diagnostic, Edit, Fix, Label
from policylang.source import Span
from policylang.syntax import words as w
from policylang.syntax.lexer import Tokens

_OPENERS = {w.LPAR: w.RPAR, w.LSQB: w.RSQB, w.LMAP: w.RBRACE, w.LBRACE: w.RBRACE}
_SIGN = {w.LPAR: "(", w.LSQB: "[", w.LMAP: "{", w.LBRACE: "{", w.RPAR: ")", w.RSQB: "]", w.RBRACE: "}"}
_NAMES = frozenset({w.NAME, w.SERVICE, w.GATEWAY, w.MAP, w.TEST})
_FOLLOWS: dict[int, Callable[[int], bool]] = {
    w.IMPORT: lambda kind: kind in w.STRINGS,
    w.TEST: lambda kind: kind in w.STRINGS,
    w.GATEWAY: lambda kind: kind in (w.LBRACE, w.NL),
    w.UPSTREAM: lambda kind: kind in _NAMES,
    w.SERVICE: lambda kind: kind in _NAMES,
    w.MAP: lambda kind: kind in _NAMES,
    w.ASSERTION: lambda kind: kind in _NAMES,
    w.GLOBAL: lambda kind: kind in (w.BEFORE, w.AFTER, w.NAME, w.LBRACE),
    w.LET: lambda kind: kind in _NAMES or kind == w.PRIVATE,
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """kind: `closer` does not match; a statement's word begins a `line` inside brackets; an `opener` of a
    block, or `->`, stands inside brackets; a `declaration` begins inside a block; the text's `end`.
    `index` is the raw token, `stack` the open brackets (kind, raw index)."""

    kind: str
    index: int
    stack: list[tuple[int, int]]


def begins_declaration(tokens: Tokens, i: int) -> bool:
    follows = _FOLLOWS.get(tokens.kinds[i])
    return follows is not None and follows(tokens.kinds[i + 1])


def begins_line_word(tokens: Tokens, i: int) -> bool:
    """After a comma: a statement or declaration, not one more argument."""
    return tokens.kinds[i] in w.STATEMENT_STARTS or begins_declaration(tokens, i)


def looks_like_map(tokens: Tokens, opener: int) -> bool:
    after = tokens.kinds[opener + 1]
    return after == w.KEY or (after in w.STRINGS and tokens.kinds[opener + 2] == w.COLON)


def looks_like_block(tokens: Tokens, opener: int) -> bool:
    """Ends its line, and no entry follows: a block, even where a value was to come."""
    kinds = tokens.kinds
    i = opener + 1
    while kinds[i] == w.NL:
        i += 1
    return i > opener + 1 and not (
        kinds[i] in (w.KEY, w.RBRACE, w.END) or (kinds[i] in w.STRINGS and kinds[i + 1] == w.COLON)
    )


def indent(tokens: Tokens, i: int) -> int:
    """How far the line of raw token `i` is indented, in columns, tabs as four."""
    text = tokens.source.text
    start = text.rfind("\n", 0, tokens.starts[i]) + 1
    line = text[start : tokens.starts[i] + 1]
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))


def repair(tokens: Tokens, first: int, trouble: Trouble) -> None:
    """Mends one fault at or after raw index `first`."""
    brackets = [kind for kind, _ in trouble.stack]
    at = trouble.index
    top = brackets[-1] if brackets else w.END
    mended = False
    if trouble.kind in ("line", "opener") or (trouble.kind == "end" and top not in (w.LBRACE, w.END)):
        mended = _close_bracket(tokens, trouble)
    elif trouble.kind == "closer":
        mended = _closer(tokens, first, trouble)
    if not mended:
        if trouble.kind == "closer" and (tokens.kinds[at] != w.RBRACE or top in (w.LPAR, w.LSQB)):
            if not _open_call(tokens, at):
                _drop(tokens, at, "unmatched-bracket")
        elif trouble.kind == "closer":
            _extra_brace(tokens, first, at)
        else:
            _unclosed_block(tokens, first, trouble)
    for i in range(first, len(tokens.kinds)):
        if tokens.kinds[i] == w.LMAP:
            tokens.kinds[i] = w.LBRACE
        elif tokens.kinds[i] == w.RMAP:
            tokens.kinds[i] = w.RBRACE


def _closer(tokens: Tokens, first: int, trouble: Trouble) -> bool:
    closer = tokens.kinds[trouble.index]
    stack = trouble.stack
    if not stack:
        return False
    top, opener = stack[-1]
    if closer in (w.STRING_MID, w.STRING_TAIL, w.TRIPLE_MID, w.TRIPLE_TAIL):
        return _close_bracket(tokens, trouble)
    if top in (w.STRING_HEAD, w.TRIPLE_HEAD) or (top == w.LBRACE and closer != w.RBRACE):
        return False
    if closer == w.RBRACE and top in (w.LPAR, w.LSQB) and _closed_on_line(tokens, trouble.index, _OPENERS[top]):
        return False
    for kind, _ in reversed(stack):
        if _OPENERS.get(kind) == closer:
            return _close_bracket(tokens, trouble)
        if kind == w.LBRACE:
            break
    if closer == w.RBRACE:
        return _close_bracket(tokens, trouble)
    if top == w.LMAP:
        return False
    meant = _OPENERS[top]
    span = tokens.span(trouble.index)
    fix = Fix(f"write `{_SIGN[meant]}`", (Edit(span, _SIGN[meant]),))
    label = Label(tokens.span(opener), "opened here")
    message = f"`{span.text}` does not close `{_SIGN[top]}`"
    tokens.found.append(Diagnostic("unmatched-bracket", span, message, labels=(label,), fix=fix))
    tokens.kinds[trouble.index] = meant
    return True


def _closed_on_line(tokens: Tokens, at: int, closer: int) -> bool:
    """Whether the bracket that is open at `at` is closed later on that line: then what stands there is
    one too many, and the bracket is not to blame."""
    depth = 0
    for kind in tokens.kinds[at + 1 :]:
        if kind in (w.NL, w.END):
            return False
        if kind in _OPENERS:
            depth += 1
        elif depth:
            depth -= kind in _OPENERS.values()
        elif kind == closer:
            return True
    return False


def _close_bracket(tokens: Tokens, trouble: Trouble) -> bool:
    """Puts the closer of the innermost `(`, `[` or map where its line ends, else before the trouble."""
    if not trouble.stack:
        return False
    top, opener = trouble.stack[-1]
    if top not in (w.LPAR, w.LSQB, w.LMAP):
        return False
    depth = 0
    at = trouble.index
    for i in range(opener + 1, trouble.index):
        kind = tokens.kinds[i]
        if kind in (w.LPAR, w.LSQB, w.LMAP, w.LBRACE, w.STRING_HEAD, w.TRIPLE_HEAD):
            depth += 1
        elif kind in (w.RPAR, w.RSQB, w.RMAP, w.RBRACE, w.STRING_TAIL, w.TRIPLE_TAIL):
            depth -= 1
        elif kind == w.NL and depth == 0 and (
            tokens.kinds[i - 1] in w.OPERAND_ENDS or indent(tokens, i + 1) <= indent(tokens, opener)
        ):
            at = i
            break
    while at > opener + 1 and tokens.kinds[at - 1] == w.NL:
        at -= 1
    sign = _SIGN[_OPENERS[top]]
    end = tokens.ends[at - 1]
    span = tokens.span(at - 1) if tokens.kinds[at] in (w.NL, w.END) else tokens.span(at)
    fix = Fix(f"add `{sign}`", (Edit(Span(tokens.source, end, end), sign),))
    label = () if opener == at - 1 else (Label(tokens.span(opener), "opened here"),)
    message = f"`{_SIGN[top]}` is not closed: `{sign}` is missing"
    tokens.found.append(Diagnostic("unclosed-bracket", span, message, labels=label, fix=fix))
    empty = opener == at - 1 and top != w.LMAP
    tokens.replace(at, at, [*([(w.BAD_EXPR, end, end)] if empty else []), (_OPENERS[top], end, end)])
    return True


def _drop(tokens: Tokens, at: int, name: str) -> None:
    span = tokens.span(at)
    sign = _SIGN.get(tokens.kinds[at], span.text)
    fix = Fix(f"remove `{sign}`", (Edit(span, ""),))
    tokens.found.append(Diagnostic(name, span, f"this `{sign}` closes nothing", fix=fix))
    tokens.replace(at, at + 1, [])


def _open_call(tokens: Tokens, closer: int) -> bool:
    """`jwks"https://…")`: a `)` whose `(` is missing between a name and the string that touches it."""
    if tokens.kinds[closer] != w.RPAR:
        return False
    i = closer - 1
    while i > 0 and tokens.kinds[i] != w.NL:
        touching = tokens.ends[i - 1] == tokens.starts[i]
        if tokens.kinds[i] in w.STRINGS and touching and tokens.kinds[i - 1] in (w.NAME, w.MEMBER, w.MAP):
            end = tokens.ends[i - 1]
            fix = Fix("add `(`", (Edit(Span(tokens.source, end, end), "("),))
            called = tokens.text(i - 1)
            message = f"`(` is missing after `{called}`"
            tokens.found.append(Diagnostic("unmatched-bracket", tokens.span(i - 1), message, fix=fix))
            tokens.replace(i, i, [(w.LPAR, end, end)])
            return True
        i -= 1
    return False


@dataclass(slots=True)
class _Brace:
    """An open `{`: its line's indentation, whether it ends that line, whether its lines stand deeper."""

    index: int
    indent: int
    ends_line: bool
    deeper: bool | None = None


def _line_first(tokens: Tokens, i: int) -> bool:
    return i == 0 or tokens.kinds[i - 1] == w.NL


def _brace(tokens: Tokens, i: int) -> _Brace:
    return _Brace(i, indent(tokens, i), tokens.kinds[i + 1] in (w.NL, w.END))


def _unclosed_block(tokens: Tokens, first: int, trouble: Trouble) -> None:
    """Some `{` before the trouble has no `}`: the first whose lines end before it does."""
    braces: list[_Brace] = []
    culprit: _Brace | None = None
    at = trouble.index
    for i in range(first, trouble.index):
        kind = tokens.kinds[i]
        if kind == w.NL:
            continue
        if braces and _line_first(tokens, i):
            top = braces[-1]
            here = indent(tokens, i)
            if top.deeper is None:
                top.deeper = here > top.indent or (len(braces) > 1 and bool(braces[-2].deeper))
            if not top.ends_line or (top.deeper and (here < top.indent or (here == top.indent and kind != w.RBRACE))):
                culprit, at = top, i
                break
        if kind in (w.LBRACE, w.LMAP):
            braces.append(_brace(tokens, i))
        elif kind in (w.RBRACE, w.RMAP) and braces:
            braces.pop()
    if culprit is None:
        openers = [i for kind, i in trouble.stack if kind in (w.LBRACE, w.LMAP)]
        culprit = _brace(tokens, openers[-1] if openers else trouble.stack[-1][1])
    insert = at
    while insert > culprit.index + 1 and tokens.kinds[insert - 1] == w.NL:
        insert -= 1
    end = tokens.ends[insert - 1]
    pad = "\n" + " " * culprit.indent if culprit.ends_line else " "
    fix = Fix("add `}`", (Edit(Span(tokens.source, end, end), pad + "}"),))
    span, label = _missing_place(tokens, at, insert, culprit.ends_line)
    opener = tokens.span(culprit.index)
    labels = () if opener == span else (Label(opener, "opened here"),)
    label = "" if opener == span else label
    message = "`{` is not closed: `}` is missing"
    tokens.found.append(Diagnostic("unclosed-brace", span, message, label=label, labels=labels, fix=fix))
    tokens.replace(insert, insert, [(w.RBRACE, end, end)])


def _missing_place(tokens: Tokens, at: int, insert: int, own_line: bool) -> tuple[Span, str]:
    """Where to show that a `}` is missing before token `insert`; `at` begins the line that should have come
    after it. An empty line between is where it most likely stood."""
    source = tokens.source
    if own_line:
        line_start = source.text.find("\n", tokens.ends[insert - 1]) + 1
        if line_start and not source.line(source.position(line_start)[0]).strip():
            return Span(source, line_start, line_start), "here"
        if tokens.kinds[at] != w.END:
            return tokens.span(at), "before this"
    return tokens.span(insert - 1), "after this"


def _extra_brace(tokens: Tokens, first: int, at: int) -> None:
    """A `}` too many up to `at`: the first that stands deeper than what it closes. Often a `{` is missing
    at the end of a line above it."""
    braces: list[_Brace] = []
    culprit = at
    opener = first
    for i in range(first, at):
        kind = tokens.kinds[i]
        if kind in (w.LBRACE, w.LMAP):
            braces.append(_brace(tokens, i))
        elif kind in (w.RBRACE, w.RMAP):
            top = braces.pop() if braces else _Brace(first, -1, True)
            same_line = not any(tokens.kinds[j] == w.NL for j in range(top.index, i))
            first_in_line = _line_first(tokens, i)
            if (first_in_line and indent(tokens, i) > top.indent) or not (first_in_line or same_line):
                culprit, opener = i, top.index
                break
    if _line_first(tokens, culprit) and _open_block(tokens, opener, culprit):
        return
    _drop(tokens, culprit, "extra-brace")


def _open_block(tokens: Tokens, first: int, closer: int) -> bool:
    """Adds the `{` that is missing at the end of the nearest line above, of the closer's indentation."""
    depth = indent(tokens, closer)
    for i in range(closer - 1, first - 1, -1):
        if not _line_first(tokens, i) or tokens.kinds[i] == w.NL:
            continue
        here = indent(tokens, i)
        if here > depth:
            continue
        end = i
        while tokens.kinds[end] not in (w.NL, w.END):
            end += 1
        lone = tokens.kinds[i] == w.RBRACE and end == i + 1
        if here < depth or lone or tokens.kinds[end - 1] in (w.LBRACE, w.LMAP, w.COMMA):
            return False
        if end >= closer - 1:
            return False
        missing_block(tokens, end, tokens.span(end - 1))
        tokens.replace(end, end, [(w.LBRACE, tokens.ends[end - 1], tokens.ends[end - 1])])
        return True
    return False


def missing_block(tokens: Tokens, at: int, span: Span) -> None:
    """Reports the `{` that is missing before token `at`."""
    end = tokens.ends[at - 1]
    fix = Fix("add `{`", (Edit(Span(tokens.source, end, end), " {"),))
    tokens.found.append(Diagnostic("missing-brace", span, "`{` is missing after this", fix=fix))


def give_up(tokens: Tokens, first: int) -> None:
    """Leaves the rest of a text that is no policy unread."""
    span = tokens.span(first)
    tokens.found.append(Diagnostic("too-many-errors", span, "too many brackets do not match: the rest is not read"))
    tokens.replace(first, len(tokens.kinds) - 1, [])
