"""The parser's tables, unpacked, and the loop that runs them over tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Protocol

from policylang.syntax import table_data
from policylang.syntax import words as w
from policylang.syntax.builder import Builder
from policylang.syntax.lexer import Tokens


def _unpack(row: str) -> dict[int, int]:
    actions: dict[int, int] = {}
    for group in row.split("/"):
        code, *symbols = map(int, group.split()) if group else (0,)
        actions.update(dict.fromkeys(symbols, code))
    return actions


_UNPACKED = [_unpack(row) for row in table_data.ROWS.split(";")]
# For each state: symbol -> the state to go to (>= 0), or -1 - the rule to reduce by.
ROWS: list[dict[int, int]] = [_UNPACKED[row] for row in table_data.ROW_OF_STATE]
RULES = table_data.RULES

# How a rule's values reach its builder: as one of them, all, a choice, or with gaps for what was not written.
_UNIT, _ONE, _ALL, _PICK, _GAPS = range(5)


def _mode(size: int, builder: str, kept: tuple[int, ...]) -> tuple[int, Any]:
    if not builder:
        return (_UNIT, 0) if size == 1 else (_ONE, kept[0])
    if kept == tuple(range(size)):
        return _ALL, None
    if -1 in kept:
        # One None is put after the values: -1 finds it.
        return _GAPS, kept
    return _PICK, itemgetter(*kept) if len(kept) > 1 else kept


# size, origin, mode, choice
_REDUCTIONS = [(size, origin, *_mode(size, builder, kept)) for origin, size, builder, kept in RULES]


class Recovery(Protocol):
    def recover(self, at: int) -> int:
        """Mends tokens and stacks after an error at token `at`; the token to go on with, or -1 to stop."""


class Automaton:
    """Stacks: states, values of symbols, and the number of the token at which each symbol begins."""

    def __init__(self, tokens: Tokens, builder: Builder) -> None:
        self.tokens = tokens
        self.builder = builder
        self.states = [0]
        self.values: list[Any] = []
        self.begins: list[int] = []

    def run(self, recovery: Recovery) -> Any:
        """The value of the start symbol; None when recovery gave up."""
        tokens, rows, reductions, unit = self.tokens, ROWS, _REDUCTIONS, _UNIT
        states, values, begins = self.states, self.values, self.begins
        builders: list[Callable[..., Any]] = [getattr(self.builder, rule[2]) if rule[2] else _nothing for rule in RULES]
        kinds = tokens.kinds
        i = 0
        kind = kinds[0]
        row = rows[0]
        while True:
            code = row.get(kind)
            if code is None:
                if kind == w.END and states[-1] == table_data.END:
                    return values[-1]
                i = recovery.recover(i)
                if i < 0:
                    return None
                kinds = tokens.kinds
                kind = kinds[i]
                row = rows[states[-1]]
            elif code >= 0:
                states.append(code)
                values.append(i)
                begins.append(i)
                i += 1
                kind = kinds[i]
                row = rows[code]
            else:
                size, origin, mode, choice = reductions[-1 - code]
                if mode == unit:
                    row = rows[states[-2]]
                    # A chain of unit rules (an operand on its way up through the precedences) moves one state only.
                    while True:
                        state = row[origin]
                        next_code = rows[state].get(kind)
                        if next_code is None or next_code >= 0:
                            break
                        reduction = reductions[-1 - next_code]
                        if reduction[2] != unit:
                            break
                        origin = reduction[1]
                    states[-1] = state
                    row = rows[state]
                    continue
                if size:
                    taken = values[-size:]
                    begin = begins[-size]
                    del states[-size:], values[-size:], begins[-size:]
                else:
                    taken = []
                    begin = i
                if mode == _ALL:
                    value = builders[-1 - code](begin, i, *taken)
                elif mode == _ONE:
                    value = taken[choice]
                elif mode == _PICK:
                    if choice.__class__ is tuple:
                        value = builders[-1 - code](begin, i, *[taken[k] for k in choice])
                    else:
                        value = builders[-1 - code](begin, i, *choice(taken))
                else:
                    taken.append(None)
                    value = builders[-1 - code](begin, i, *[taken[k] for k in choice])
                state = rows[states[-1]][origin]
                states.append(state)
                values.append(value)
                begins.append(begin)
                row = rows[state]

    # --- for recovery ------------------------------------------------------------------------------

    def unwind(self, depth: int) -> None:
        """Takes back everything but the first `depth` symbols."""
        del self.states[depth + 1 :], self.values[depth:], self.begins[depth:]

    def depth_before(self, begin: int, at: int) -> int | None:
        """How many symbols end before token `begin`, `at` being the next token to read; None when one of
        them goes on past it."""
        begins = self.begins
        depth = len(begins)
        if begin == at:
            return depth
        while depth and begins[depth - 1] >= begin:
            depth -= 1
        return depth if depth < len(begins) and begins[depth] == begin else None


def _nothing(*_: Any) -> None:
    raise AssertionError("a unit rule has no builder")


def survives(states: Sequence[int], kinds: Iterable[int]) -> int:
    """How many of the terminals could be read from that stack of states."""
    stack = list(states)
    count = 0
    for kind in kinds:
        while True:
            code = ROWS[stack[-1]].get(kind)
            if code is None:
                return count + (kind == w.END and stack[-1] == table_data.END)
            if code >= 0:
                stack.append(code)
                break
            origin, size = RULES[-1 - code][:2]
            if size:
                del stack[-size:]
            stack.append(ROWS[stack[-1]][origin])
        count += 1
    return count


def expected(states: Sequence[int]) -> set[int]:
    """The terminals that could really come next (a row alone may promise too much)."""
    return {kind for kind in ROWS[states[-1]] if kind < w.TERMINAL_COUNT and survives(states, (kind,))}
