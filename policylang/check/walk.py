"""One walk through a body: what every check of an expression or a statement works on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from policylang.check import program as p
from policylang.check.kinds import NOT_VALUES, UNKNOWN
from policylang.check.report import Report
from policylang.check.scope import Slots, State
from policylang.source import Span
from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from policylang.check.definitions import Definition
    from policylang.check.unit import Unit

Taint: TypeAlias = int | tuple[str, str, str]
"""A slot, or a message's part `(message, kind, name)`, that a private value was written to."""


class Frame:
    """What one service, or one global block, shares with the assertions that are expanded in it.

    `hidden`: the slots that were bound to something private.
    """

    __slots__ = ("counters", "hidden", "kept", "name", "slots", "tainted")

    def __init__(
        self, name: str, slots: Slots, tainted: set[Taint] | None = None, hidden: set[int] | None = None
    ) -> None:
        self.name = name
        self.slots = slots
        self.tainted: set[Taint] = set() if tainted is None else tainted
        self.hidden: set[int] = set() if hidden is None else hidden
        self.counters: dict[str, int] = {}
        self.kept: dict[str, int] = {}

    @property
    def private_slots(self) -> frozenset[int]:
        """The slots that may hold something private at some time."""
        return frozenset(self.hidden | {each for each in self.tainted if isinstance(each, int)})

    def next_of(self, place: str) -> int:
        """An ordinal that no other statement has, in no arm."""
        number = self.kept.get(place, 0)
        self.kept[place] = number + 1
        return number


class Arms:
    """Of several arms one is taken: their counters are counted alike, and what follows goes on after the most."""

    __slots__ = ("_before", "_frame", "_most")

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._before = frame.counters
        self._most = dict(frame.counters)

    def begin(self) -> None:
        """Before each arm."""
        self.end()
        self._frame.counters = dict(self._before)

    def end(self) -> None:
        """After the last."""
        for place, count in self._frame.counters.items():
            self._most[place] = max(count, self._most.get(place, 0))
        self._frame.counters = self._most


class Walk:
    """`place`: `service`, `failure` (its `on failure`), `before`, `after`, `assertion`, `default` (of a parameter),
    `balance` (what an upstream hashes), `constant`, or `asked` (of an exchange, by somebody else than its policy).
    `captures`: what `path` has; None where there is no `path`.
    `closed`: why no `respond` may stand here, else "". `definition`: the user's assertion that this is the body of;
    `expanding` when for one call of it.
    """

    __slots__ = (
        "captures", "closed", "definition", "depth", "error", "expanding", "frame", "place", "prefix", "report",
        "responds", "state", "unit", "word",
    )  # fmt: skip

    def __init__(
        self,
        unit: Unit,
        frame: Frame,
        place: str,
        *,
        captures: Mapping[str, bool] | None = None,
        closed: str = "",
        definition: Definition | None = None,
        expanding: bool = False,
        prefix: str = "",
        depth: int = 0,
    ) -> None:
        self.unit = unit
        self.report: Report = unit.report
        self.error = unit.report.error
        self.frame = frame
        self.place = place
        self.captures = captures
        self.closed = closed
        self.definition = definition
        self.expanding = expanding
        self.prefix = prefix
        self.depth = depth
        self.state = State()
        self.word = ""
        self.responds: Span | None = None

    # --- expressions ---

    def expr(self, node: n.Expr) -> p.Expr:
        return self.unit.expressions[type(node)](self, node)

    def value(self, node: n.Expr) -> p.Expr:
        """An expression whose value can be kept, compared or computed with: not a whole message."""
        found = self.unit.expressions[type(node)](self, node)
        if found.type.name == "shared map":
            self.not_here(node.span)
            return unknown(node.span)
        if found.type.name in NOT_VALUES:
            word = found.type.name
            self.error(
                "not-a-value", node.span, f"`{word}` is a whole message, not a value",
                help=f"take a part of it, such as `{word}.json` or `{word}.text`",
            )  # fmt: skip
            return unknown(node.span)
        return found

    def not_here(self, span: Span) -> None:
        """A map that lives in the store stands where a value is wanted."""
        self.error(
            "not-a-value", span, "this map lives in the store: it can be asked, and is no value",
            help=f"ask for an entry: `lookup key, in: {span.text} -> entry`",
        )  # fmt: skip

    @property
    def knows_failure(self) -> bool:
        """Whether `failure` is a name here; only where it is `asked` it may be none."""
        return self.place == "failure" or self.place == "asked"

    # --- statements ---

    def statement(self, node: n.Statement) -> p.Statement | None:
        return self.unit.statements[type(node)](self, node)

    # --- findings ---

    @contextmanager
    def muted(self) -> Iterator[None]:
        self.report.muted += 1
        try:
            yield
        finally:
            self.report.muted -= 1

    @contextmanager
    def no_respond(self, why: str) -> Iterator[None]:
        kept = self.closed
        self.closed = self.closed or why
        try:
            yield
        finally:
            self.closed = kept

    # --- names ---

    def slot(self, name: str) -> int:
        owner = self.definition
        return self.frame.slots.of(self.prefix + name, name if owner is None else f"{owner.name}.{name}")


ExpressionCheck: TypeAlias = Callable[[Walk, Any], p.Expr]
StatementCheck: TypeAlias = Callable[[Walk, Any], p.Statement | None]


def unknown(span: Span) -> p.Const:
    """Stands for what was reported already."""
    return p.Const(span, UNKNOWN, False, None)


def is_unknown(expr: p.Expr) -> bool:
    return expr.type.name == "unknown"
