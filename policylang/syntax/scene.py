"""What a syntax error looks like to those who explain it."""

from __future__ import annotations

from dataclasses import dataclass, field

from policylang.diagnostics import Diagnostic, Edit, Fix, Label
from policylang.source import Span
from policylang.syntax import words as w
from policylang.syntax.automaton import Automaton, survives

Token = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Repair:
    """Tokens `start` up to `end` are read as `tokens` (kind, start, end in the text), which stand for what
    `written` says. `proof`: so many tokens after them must fit."""

    start: int
    end: int
    tokens: list[Token]
    finding: Diagnostic
    written: tuple[tuple[int, str], ...] = ()
    proof: int = 100


@dataclass(slots=True)
class Scene:
    """An error at token `at`; `line_end` is one past the token that ends its line."""

    automaton: Automaton
    at: int
    line_end: int
    first: int = field(init=False)

    def __post_init__(self) -> None:
        self.first = self._first()

    @property
    def kinds(self) -> list[int]:
        return self.automaton.tokens.kinds

    @property
    def kind(self) -> int:
        return self.kinds[self.at]

    @property
    def before(self) -> int:
        return self.kinds[self.at - 1] if self.at else w.NL

    def text(self, i: int) -> str:
        return self.automaton.tokens.text(i)

    def span(self, first: int, last: int | None = None) -> Span:
        return self.automaton.tokens.span(first, last)

    def token(self, i: int, kind: int | None = None) -> Token:
        tokens = self.automaton.tokens
        return (tokens.kinds[i] if kind is None else kind, tokens.starts[i], tokens.ends[i])

    def between(self, i: int, kind: int) -> Token:
        """A token that nobody wrote, right before token `i`."""
        end = self.automaton.tokens.ends[i - 1] if i else 0
        return (kind, end, end)

    def gap(self, i: int) -> Span:
        end = self.automaton.tokens.ends[i - 1] if i else 0
        return Span(self.automaton.tokens.source, end, end)

    def can(self, *kinds: int) -> bool:
        return survives(self.automaton.states, kinds) == len(kinds)

    def touching(self, i: int) -> bool:
        """Whether token `i + 1` follows `i` without a blank."""
        tokens = self.automaton.tokens
        return tokens.ends[i] == tokens.starts[i + 1]

    def _first(self) -> int:
        """The first token of the statement or declaration that the error stands in."""
        kinds = self.kinds
        depth = 0
        i = self.at
        while i > 0:
            kind = kinds[i - 1]
            if kind in (w.RPAR, w.RSQB, w.RMAP, w.RBRACE, w.STRING_TAIL, w.TRIPLE_TAIL):
                depth += 1
            elif kind in (w.LPAR, w.LSQB, w.LMAP, w.LBRACE, w.STRING_HEAD, w.TRIPLE_HEAD):
                if kind == w.LBRACE and depth == 0:
                    break
                depth = max(0, depth - 1)
            elif kind == w.NL and depth == 0:
                break
            i -= 1
        return i

    def end_of_piece(self) -> int:
        """The token that ends the statement: its newline or the `}` around it."""
        kinds = self.kinds
        depth = 0
        i = self.at
        while kinds[i] != w.END:
            kind = kinds[i]
            if depth == 0 and kind in (w.NL, w.RBRACE):
                break
            if kind in (w.LPAR, w.LSQB, w.LMAP, w.LBRACE, w.STRING_HEAD, w.TRIPLE_HEAD):
                depth += 1
            elif kind in (w.RPAR, w.RSQB, w.RMAP, w.RBRACE, w.STRING_TAIL, w.TRIPLE_TAIL):
                depth -= 1
            i += 1
        return i

    def find(
        self, name: str, span: Span, message: str, *, help: str = "", fix: str | None = None, at: Span | None = None,
        title: str = "", safe: bool = False, labels: tuple[Label, ...] = (),
    ) -> Diagnostic:
        """A diagnostic; `fix` is the text to put at `at` (or at the span itself)."""
        cure = None
        if fix is not None:
            cure = Fix(title or f"write `{fix.strip()}`", (Edit(at or span, fix),), safe)
        return Diagnostic(name, span, message, help=help, fix=cure, labels=labels)
