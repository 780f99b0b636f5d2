"""After a syntax error: say it once, in words, and read on.

First the slips that `slips.py` knows are tried: each changes a few tokens, and counts only when the rest
of the line can be read after it (the tables alone tell; nothing is built). What no repair explains is
described by what could have stood there; then the smallest piece that can be given up (an expression, a
statement, a setting, a case, a declaration) becomes a `BAD` token.
"""

from __future__ import annotations

from policylang.diagnostics import Diagnostic
from policylang.syntax import balance, slips, wording
from policylang.syntax import words as w
from policylang.syntax.automaton import Automaton, expected, survives
from policylang.syntax.scene import Repair, Scene

# Errors in one file after which the rest is not read.
ERROR_LIMIT = 500
# How far ahead a repair is tried.
HORIZON = 40

_OPENERS = frozenset({w.LPAR, w.LSQB, w.LMAP, w.LBRACE, w.STRING_HEAD, w.TRIPLE_HEAD})
_CLOSERS = frozenset({w.RPAR, w.RSQB, w.RMAP, w.RBRACE, w.STRING_TAIL, w.TRIPLE_TAIL})
_SYNC = _CLOSERS | {
    w.COMMA, w.NL, w.LBRACE, w.ARROW, w.ELSE, w.THEN, w.END, w.STRING_MID, w.TRIPLE_MID, w.KEY, w.ASSIGN, w.COLON,
}
_MIDDLES = frozenset({w.STRING_MID, w.TRIPLE_MID})


class PanicRecovery:
    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.tokens = automaton.tokens
        self.found = self.tokens.found
        self.errors = 0
        self.lexical = {finding.span.start for finding in self.found}
        # Where the last error was: one that comes back to the same token must be ended by force.
        self.last_start = -1
        self.repeats = 0
        # A line on which something was given up is not blamed again.
        self.quiet_line = 0

    def recover(self, at: int) -> int:
        tokens = self.tokens
        self.errors += 1
        start = tokens.starts[at]
        if self.errors > ERROR_LIMIT:
            self.found.append(
                Diagnostic("too-many-errors", tokens.span(at), "too many syntax errors: the rest is not read")
            )
            return -1
        self.repeats = self.repeats + 1 if start <= self.last_start else 0
        self.last_start = max(start, self.last_start)
        if self.repeats > 8:
            if tokens.kinds[at] == w.END:
                return -1
            tokens.replace(at, at + 1, [])
            return at
        scene = Scene(self.automaton, at, self._horizon(at))
        for repair in slips.repairs(scene):
            depth = self.automaton.depth_before(repair.start, at)
            if depth is None or not self._works(depth, repair):
                continue
            self._say(repair.finding, at)
            tokens.replace(repair.start, repair.end, repair.tokens)
            for place, text in repair.written:
                tokens.written[place] = text
            self.automaton.unwind(depth)
            return repair.start
        finding = wording.describe(scene, expected(self.automaton.states))
        self._say(finding, at)
        self.quiet_line = self._line(at)
        return self._give_up(at)

    def _works(self, depth: int, repair: Repair) -> bool:
        after = self.tokens.kinds[repair.end : self._horizon(repair.end)]
        wanted = [kind for kind, _, _ in repair.tokens] + after
        reached = survives(self.automaton.states[: depth + 1], wanted)
        return reached >= min(len(wanted), len(repair.tokens) + repair.proof)

    def _line(self, i: int) -> int:
        return self.tokens.source.position(self.tokens.starts[i])[0]

    def _say(self, finding: Diagnostic, at: int) -> None:
        line = finding.span.line
        if finding.span.start in self.lexical:
            return
        if line != self.quiet_line and line not in self.tokens.damaged and self._line(at) not in self.tokens.damaged:
            self.found.append(finding)

    def _horizon(self, at: int) -> int:
        """One past the token that ends the line of token `at`: the part that a repair must explain."""
        kinds = self.tokens.kinds
        end = at
        while end < at + HORIZON and kinds[end] not in (w.NL, w.LBRACE, w.RBRACE, w.END):
            end += 1
        return min(end + 1, len(kinds))

    # --- giving up the smallest piece ------------------------------------------------------------------

    def _give_up(self, at: int) -> int:
        automaton, tokens = self.automaton, self.tokens
        states, begins = automaton.states, automaton.begins
        for depth in range(len(begins), -1, -1):
            prefix = states[: depth + 1]
            begin = begins[depth] if depth < len(begins) else at
            if survives(prefix, (w.BAD,)):
                return self._bad_piece(depth, begin, at)
            if not survives(prefix, (w.BAD_EXPR,)):
                continue
            for end in self._stops(begin, at):
                wanted = [w.BAD_EXPR, *tokens.kinds[end : self._horizon(end)]]
                if survives(prefix, wanted) >= min(len(wanted), 4):
                    return self._put(depth, begin, end, w.BAD_EXPR)
        return self._force(at)

    def _stops(self, begin: int, at: int) -> list[int]:
        """Tokens from `at` on, on this line, before which an expression that began at `begin` may end."""
        kinds = self.tokens.kinds
        stops: list[int] = []
        depth = 0
        for i in range(begin, min(at + HORIZON, len(kinds))):
            kind = kinds[i]
            if depth == 0 and i >= at and kind in _SYNC:
                stops.append(i)
                if kind in (w.NL, w.LBRACE, w.RBRACE, w.END):
                    break
            if kind in _OPENERS:
                depth += 1
            elif kind in _CLOSERS:
                depth -= 1
                if depth < 0:
                    break
        return stops

    def _bad_piece(self, depth: int, begin: int, at: int) -> int:
        """The statement, setting, case or declaration that began at `begin` goes, up to its line's end."""
        tokens = self.tokens
        kinds = tokens.kinds
        in_file = not depth or self._at_top(depth)
        level = 0
        end = begin
        while kinds[end] != w.END:
            kind = kinds[end]
            if level == 0 and end >= at:
                if kind == w.RBRACE and not in_file:
                    break
                if kind == w.NL and (not in_file or self._begins_declaration(end + 1)):
                    break
            if kind in _OPENERS:
                level += 1
            elif kind in _CLOSERS and (level or not in_file):
                level -= 1
                if level < 0:
                    break
            end += 1
        return self._put(depth, begin, end, w.BAD)

    def _at_top(self, depth: int) -> bool:
        return all(not isinstance(v, int) or self.tokens.kinds[v] == w.NL for v in self.automaton.values[:depth])

    def _begins_declaration(self, i: int) -> bool:
        tokens = self.tokens
        if not balance.begins_declaration(tokens, i):
            return False
        return tokens.kinds[i] != w.LET or balance.indent(tokens, i) == 0

    def _put(self, depth: int, begin: int, end: int, kind: int) -> int:
        tokens = self.tokens
        start = tokens.starts[begin]
        stop = tokens.ends[end - 1] if end > begin else start
        tokens.replace(begin, end, [(kind, start, stop)])
        self.automaton.unwind(depth)
        return begin

    def _force(self, at: int) -> int:
        if self.tokens.kinds[at] == w.END:
            return -1
        self.tokens.replace(at, at + 1, [])
        return at
