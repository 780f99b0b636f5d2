"""Which newlines end a statement, which braces are blocks and which maps, and whether brackets balance.

One pass over the raw tokens. Where brackets do not balance, `balance.py` finds the most likely place,
reports it and mends the tokens, and the pass goes over that declaration again: so the parser only ever
sees balanced text, and one missing brace is one diagnostic.
"""

from __future__ import annotations

from policylang.diagnostics import Diagnostic, Edit, Fix
from policylang.source import Span
from policylang.syntax import balance
from policylang.syntax import words as w
from policylang.syntax.lexer import Tokens

# Blocks, maps, lists, calls and interpolations inside one another; what walks the tree recurses.
NESTING_LIMIT = 40
# Past so many repairs a file is no policy; the rest is balanced without looking for the best place.
REPAIR_LIMIT = 100

_HEADS = frozenset({w.STRING_HEAD, w.TRIPLE_HEAD})
_TAILS = frozenset({w.STRING_TAIL, w.TRIPLE_TAIL})
_SPECIAL = (
    frozenset({w.LBRACE, w.RBRACE, w.LPAR, w.RPAR, w.LSQB, w.RSQB, w.THEN, w.ELSE, w.ARROW})
    | _HEADS | _TAILS | {w.STRING_MID, w.TRIPLE_MID}
)
_CLOSERS = {
    w.RPAR: frozenset({w.LPAR}),
    w.RSQB: frozenset({w.LSQB}),
    w.RBRACE: frozenset({w.LBRACE, w.LMAP}),
    **dict.fromkeys((*_TAILS, w.STRING_MID, w.TRIPLE_MID), _HEADS),
}
_NO_NEWLINE_AFTER = frozenset({w.NL, w.LBRACE, w.COMMA})
_STATEMENT_WORDS = w.STATEMENT_STARTS | w.DECLARATION_STARTS
_LINE_WORDS = _STATEMENT_WORDS | {w.SERVICE, w.GATEWAY, w.MAP, w.TEST}
_BLOCKS = frozenset({w.LBRACE, w.END})
_AFTER_ARGUMENTS = frozenset({w.NL, w.RBRACE, w.LBRACE, w.ARROW, w.ELSE, w.END})
_ARROWS = frozenset({w.ARROW, w.FAT_ARROW})
# After these `split` is a name at the beginning of a case: `split[0] -> …`, `split - 1 -> …`.
_SPLITS = w.OPERAND_STARTS - {w.LPAR, w.LSQB, w.MINUS} | {w.LBRACE, w.KEY}
_CALLED = frozenset({w.NAME, w.MEMBER, w.RESPOND, w.FAIL})


class Layout:
    """`checkpoint` is where the current declaration begins: raw index, and how many tokens were kept."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.keep: list[int] = []
        self.checkpoint = (0, 0)
        # Parentheses around a statement's arguments: raw indices of `(`, then of both once closed.
        self.call_openers: set[int] = set()
        self.dropped: list[tuple[int, int]] = []
        # The `else` of `if C then A else B`.
        self.of_values: set[int] = set()
        self.too_deep = False

    def run(self) -> None:
        for _ in range(REPAIR_LIMIT):
            trouble = self._run(*self.checkpoint)
            if trouble is None:
                break
            balance.repair(self.tokens, self.checkpoint[0], trouble)
        else:
            balance.give_up(self.tokens, self.checkpoint[0])
            self._run(*self.checkpoint)
        tokens, keep = self.tokens, self.keep
        if self.dropped:
            self._report_parentheses()
            gone = {i for pair in self.dropped for i in pair}
            keep = [i for i in keep if i not in gone]
        tokens.kinds = [tokens.kinds[i] for i in keep]
        tokens.starts = [tokens.starts[i] for i in keep]
        tokens.ends = [tokens.ends[i] for i in keep]

    def _run(self, first: int, kept: int) -> balance.Trouble | None:
        tokens = self.tokens
        kinds = tokens.kinds
        keep = self.keep
        del keep[kept:]
        self.call_openers.clear()
        self.of_values.clear()
        while self.dropped and self.dropped[-1][1] >= first:
            self.dropped.pop()
        append = keep.append
        stack: list[tuple[int, int]] = []
        thens = [0]
        top = w.END
        previous = kinds[keep[-1]] if keep else w.NL
        pending = -1
        line_start = True
        special, line_words = _SPECIAL, _LINE_WORDS
        i = first - 1
        while True:
            i += 1
            kind = kinds[i]
            if kind == w.NL:
                if pending < 0 and top in _BLOCKS and previous not in _NO_NEWLINE_AFTER:
                    pending = i
                line_start = True
                continue
            if line_start:
                line_start = False
                if kind in line_words:
                    if not stack:
                        if balance.begins_declaration(tokens, i) and (kind != w.LET or not balance.indent(tokens, i)):
                            self.checkpoint = (i, len(keep) + (pending >= 0))
                    elif top not in _BLOCKS:
                        if kind in _STATEMENT_WORDS and top not in _HEADS:
                            return balance.Trouble("line", i, stack)
                    elif (
                        kind != w.LET
                        and balance.begins_declaration(tokens, i)
                        and balance.indent(tokens, i) <= balance.indent(tokens, stack[0][1])
                    ):
                        return balance.Trouble("declaration", i, stack)
                    if previous == w.COMMA and i and balance.begins_line_word(tokens, i):
                        pending = i - 1
                if kind == w.NAME and top == w.LBRACE:
                    kind = self._statement_word(i)
                if pending >= 0:
                    if not (
                        kind == w.RBRACE or kind == w.CATCH or kind == w.END
                        or (kind == w.ELSE and kinds[i + 1] not in _ARROWS)
                    ):
                        append(pending)
                        previous = w.NL
                        thens[-1] = 0
                    pending = -1
            if kind in special:
                if kind in _CLOSERS:
                    if top not in _CLOSERS[kind]:
                        return balance.Trouble("closer", i, stack)
                    if kind != w.STRING_MID and kind != w.TRIPLE_MID:
                        if top == w.LMAP:
                            kinds[i] = kind = w.RMAP
                        _, opener = stack.pop()
                        thens.pop()
                        top = stack[-1][0] if stack else w.END
                        if opener in self.call_openers and kinds[i + 1] in _AFTER_ARGUMENTS:
                            self.dropped.append((opener, i))
                elif kind == w.THEN:
                    thens[-1] += 1
                elif kind == w.ELSE:
                    if thens[-1]:
                        thens[-1] -= 1
                        self.of_values.add(i)
                        append(i)
                        previous = w.THEN
                        continue
                    self._statement_word(i + 1)
                elif kind == w.ARROW:
                    if top not in _BLOCKS and top not in _HEADS:
                        return balance.Trouble("opener", i, stack)
                    if top == w.LBRACE:  # a declaration's outputs stand behind an arrow too
                        self._statement_word(i + 1)
                else:
                    if kind == w.LBRACE:
                        if top in _HEADS or (
                            previous in w.MAP_CONTEXTS and not (top in _BLOCKS and balance.looks_like_block(tokens, i))
                        ):
                            kinds[i] = kind = w.LMAP
                        elif top not in _BLOCKS:
                            if not balance.looks_like_map(tokens, i):
                                return balance.Trouble("opener", i, stack)
                            kinds[i] = kind = w.LMAP
                    elif kind == w.LPAR and previous in _CALLED and top == w.LBRACE:
                        self._note_call(i)
                    if len(stack) >= NESTING_LIMIT:
                        self._cut(i, kind)
                        kind = kinds[i]
                        if kind == w.LBRACE:
                            append(i)
                            i += 1
                            kind = kinds[i]
                    else:
                        stack.append((kind, i))
                        thens.append(0)
                        top = kind
                        if kind == w.LBRACE:
                            self._statement_word(i + 1)
            elif kind == w.END:
                if stack:
                    return balance.Trouble("end", i, stack)
                append(i)
                return None
            append(i)
            previous = kind

    def _statement_word(self, i: int) -> int:
        """Where a statement may begin, `split` is one's word if what follows can be its own. Gives the token's kind."""
        tokens = self.tokens
        kind = tokens.kinds[i]
        start = tokens.starts[i]
        if (
            kind == w.NAME and tokens.ends[i] == start + 5 and tokens.source.text.startswith("split", start)
            and tokens.kinds[i + 1] in _SPLITS
        ):  # fmt: skip
            kind = tokens.kinds[i] = w.SPLIT
        return kind

    # --- parentheses around a statement's arguments ------------------------------------------------

    def _note_call(self, opener: int) -> None:
        """`name(` without a space at the start of a statement; an argument in parentheses has the space."""
        tokens, keep = self.tokens, self.keep
        if tokens.ends[opener - 1] != tokens.starts[opener]:
            return
        at = len(keep) - 1
        while at > 0 and tokens.kinds[keep[at]] == w.MEMBER and tokens.kinds[keep[at - 1]] == w.DOT:
            at -= 2
        if tokens.kinds[keep[at]] == w.MEMBER or at == 0:
            return
        if tokens.kinds[keep[at - 1]] in (w.NL, w.LBRACE, w.ARROW, w.ELSE) and keep[at - 1] not in self.of_values:
            self.call_openers.add(opener)

    def _report_parentheses(self) -> None:
        tokens = self.tokens
        source = tokens.source
        for opener, closer in self.dropped:
            start, end = tokens.starts[opener], tokens.starts[closer]
            if end == tokens.ends[closer]:
                continue  # nobody wrote this `)`, and that has been said
            empty = closer == opener + 1
            edits = (
                Edit(Span(source, start, start + 1), "" if empty else " "),
                Edit(Span(source, end, end + 1), ""),
            )
            called = source.text[tokens.starts[opener - 1] : tokens.ends[opener - 1]]
            tokens.found.append(
                Diagnostic(
                    "parenthesised-arguments",
                    tokens.span(opener),
                    f"`{called}` is a statement here: its arguments take no parentheses",
                    fix=Fix("remove the parentheses", edits, safe=True),
                )
            )

    # --- nesting -------------------------------------------------------------------------------------

    def _cut(self, opener: int, kind: int) -> None:
        """What is nested too deeply becomes an empty block, an empty string or a bad expression."""
        tokens = self.tokens
        if not self.too_deep:
            self.too_deep = True
            message = f"nested more than {NESTING_LIMIT} deep"
            tokens.found.append(
                Diagnostic("too-deep", tokens.span(opener), message, help="move a part into an assertion of its own")
            )
        depth, end = 0, opener
        while tokens.kinds[end] != w.END:
            if tokens.kinds[end] in (w.LBRACE, w.LMAP, w.LPAR, w.LSQB, w.STRING_HEAD, w.TRIPLE_HEAD):
                depth += 1
            elif tokens.kinds[end] in (w.RBRACE, w.RMAP, w.RPAR, w.RSQB, w.STRING_TAIL, w.TRIPLE_TAIL):
                depth -= 1
                if not depth:
                    end += 1
                    break
            end += 1
        start, stop = tokens.starts[opener], tokens.ends[end - 1]
        if kind == w.LBRACE:
            tokens.replace(opener, end, [(w.LBRACE, start, start + 1), (w.RBRACE, stop - 1, stop)])
        else:
            tokens.replace(opener, end, [(w.BAD_EXPR, start, stop)])


def lay_out(tokens: Tokens) -> None:
    Layout(tokens).run()
