"""Names on the way through a body: which are set, which were set on some way only, and in which slot they live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from policylang.check.kinds import join
from policylang.check.program import Const
from policylang.diagnostics import Label
from policylang.sdk.static_types import Type
from policylang.source import Span


@dataclass(frozen=True, slots=True)
class Var:
    """A name that is set. `type.optional` while it may be `none`; `optional`: bound with `?`, so it may become so.

    kind: `let`, `output`, `parameter`, `loop` or `caught`; only the first two can be set anew. `const`: a parameter of
    a user's assertion whose argument is known when the policy is loaded. `parametric`: a parameter while its
    assertion is checked by itself.
    """

    name: str
    slot: int
    type: Type
    span: Span
    kind: str = "let"
    private: bool = False
    optional: bool = False
    const: Const | None = None
    parametric: bool = False

    def present(self) -> Var:
        return replace(self, type=self.type.sure()) if self.type.optional else self


@dataclass(frozen=True, slots=True)
class Ended:
    """A name that was set on some way to here, but is not on every one.

    `where` goes on from "set here, " in the label. `reached` is said under the place that reads it. `free`: the name
    may be bound again, since what bound it is over for certain.
    """

    var: Var
    where: str
    reached: str
    free: bool


class Slots:
    """The slots of one service's frame, by the name they have in their body."""

    __slots__ = ("_numbers", "names")

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names: list[str] = list(names)
        self._numbers: dict[str, int] = {}

    def of(self, key: str, name: str) -> int:
        """The slot of `key`, which is new where it was not asked for yet; `name` is for people."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.names)
            self.names.append(name)
        return number

    def forget(self) -> None:
        """Start a body of its own: its names get slots of their own, after those there are."""
        self._numbers.clear()


class State:
    """What is known at one point of a body.

    `alive`: some way leads here. `lost`: a statement before could not be read or is not known, so an unknown name
    may be its fault. `response` is set, `maybe` (in `on failure`), or not (None, or the label of a place that set it
    on another way). `user`: somebody is authenticated.
    """

    __slots__ = ("alive", "ended", "lost", "names", "response", "response_label", "user")

    def __init__(self) -> None:
        self.alive = True
        self.lost = False
        self.names: dict[str, Var] = {}
        self.ended: dict[str, Ended] = {}
        self.response: str = ""  # "", "set" or "maybe"
        self.response_label: Label | None = None
        self.user = False

    def copy(self) -> State:
        other = State.__new__(State)
        other.alive = self.alive
        other.lost = self.lost
        other.names = self.names.copy()
        other.ended = self.ended.copy()
        other.response = self.response
        other.response_label = self.response_label
        other.user = self.user
        return other

    def bind(self, var: Var) -> None:
        self.names[var.name] = var
        self.ended.pop(var.name, None)

    def end(self, names: Sequence[Var], where: str, reached: str, free: bool) -> None:
        for var in names:
            if var.name not in self.names:
                self.ended[var.name] = Ended(var, where, reached, free)


Clash = tuple[Var, Var]


def merge(entry: State, ways: Sequence[State], where: str, reached: str) -> tuple[State, list[Clash]]:
    """The state after branches: what is set on every way that leads on. Also pairs that differ in type.

    `entry` is the state before them: names that only a dead way has set are kept as ended.
    """
    living = [way for way in ways if way.alive]
    clashes: list[Clash] = []
    if len(living) == 1:
        result = living[0].copy()
    elif not living:
        # nothing leads on; what follows is reported once as unreachable and must not be reported again as unset
        result = entry.copy()
        for way in ways:
            result.names.update(way.names)
        result.response = "set"
        result.user = True
        result.alive = False
        result.lost = any(way.lost for way in ways)
        return result, clashes
    else:
        result = entry.copy()
        result.alive = True
        _merge_names(result, living, where, reached, clashes)
        responses = {way.response for way in living}
        result.response = responses.pop() if len(responses) == 1 else ("" if "" in responses else "maybe")
        result.user = all(way.user for way in living)
        if not result.response:
            result.response_label = next((w.response_label for w in living if w.response_label is not None), None)
    result.lost = any(way.lost for way in living)
    for way in ways:
        if not way.alive:
            result.end(
                [v for v in way.names.values() if v.name not in entry.names and v.name not in result.ended],
                where, reached, True,
            )  # fmt: skip
    return result, clashes


def _merge_names(result: State, living: Sequence[State], where: str, reached: str, clashes: list[Clash]) -> None:
    first, *others = living
    everywhere: dict[str, Var] = {}
    for name, var in first.names.items():
        for other in others:
            found = other.names.get(name)
            if found is None:
                break
            if found is not var:
                var = _unite(var, found, clashes)
        else:
            everywhere[name] = var
    result.names = everywhere
    for way in living:
        for name, gone in way.ended.items():
            if name not in everywhere and (name not in result.ended or not gone.free):
                result.ended[name] = gone
    somewhere: dict[str, Var] = {}
    for way in living:
        for name, var in way.names.items():
            if name not in everywhere:
                known = somewhere.get(name)
                somewhere[name] = var if known is None else _unite(known, var, clashes)
    for name, var in somewhere.items():
        before = result.ended.get(name)
        if before is None or before.reached != "removed":
            result.ended[name] = Ended(var, where, reached, False)
    for name in everywhere:
        result.ended.pop(name, None)


def _unite(left: Var, right: Var, clashes: list[Clash]) -> Var:
    kind = join(left.type, right.type)
    if kind is None:
        clashes.append((left, right))
        kind = left.type
    return replace(left, type=kind, private=left.private or right.private)
