"""A conversation about one request: expressions, statements, and commands that begin with a colon."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from policylang.check import program as p
from policylang.diagnostics.nearest import nearest
from policylang.diagnostics.text import printable, render
from policylang.sdk.bench import run
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.syntax import nodes as n
from policylang.trace.expression import NAME, Floor, Question, Wrong, read_expression
from policylang.trace.incoming import Incoming, NotARequest
from policylang.trace.masking import Mask
from policylang.trace.offline import Offline, end
from policylang.trace.outline import outline_of
from policylang.trace.picture import picture, verdict
from policylang.trace.shown import shown
from policylang.tree.build import run_of
from policylang.tree.facts import REQUEST, RESPONSE, binds
from policylang.tree.outcome import COROUTINE, RESPONDED
from policylang.tree.values import PRIVATE

MOST_SECONDS = 100 * 366 * 86400.0
_STATEMENTS = frozenset({
    "require", "let", "set", "remove", "all", "any", "none", "parallel", "if", "match", "split", "for", "try",
    "respond", "fail", "ignore",
})  # fmt: skip
_LIKE_A_STATEMENT = re.compile(
    r"(?!not\b)[a-z_][\w.]*[ \t]+(?!and\b|or\b|in\b|contains\b|starts_with\b|ends_with\b|matches\b)[\w\"]"
)
"""A word before another, or before a text: a call without parentheses, of something that nobody knows."""
HELP = """\
an expression is worked out, a statement is run, on the request that is loaded; a line that ends with `\\` goes on
:request [FLAGS] [URL]   load another request, with the flags of `pol run`; alone: show the one that is loaded
:send                    ask the whole policy; then `response`, `failure` and the service's names can be read
:tree                    show what became of it
:names                   show the names that can be read
:advance TIME            let time pass, as in `:advance 30s`
:quit                    end"""


class Ended(Exception):
    """`:quit` was said."""


class Conversation:
    """`load` makes a request of the words behind `:request`; it raises NotARequest."""

    def __init__(
        self, offline: Offline, asked: Incoming, load: Callable[[str], Incoming], color: bool = False
    ) -> None:
        self._offline = offline
        self._load = load
        self._color = color
        self._document: dict[str, Any] | None = None
        self._exchange = offline.met(asked)
        self._begin(asked)

    def _begin(self, asked: Incoming) -> None:
        self._asked = asked
        self._document = None
        self._stand_on(self._offline.met(asked), False)

    def _stand_on(self, exchange: Exchange, over: bool) -> None:
        """`over`: the policy has run, and its service's names can be read."""
        end(self._exchange)
        self._exchange = exchange
        exchange.journal = None
        self._floor = Floor(self._offline.program, exchange.service, variables=over)
        self._make_room()

    def _make_room(self) -> None:
        slots = self._exchange.slots
        slots += [None] * (len(self._floor.slots.names) - len(slots))

    @property
    def names(self) -> list[str]:
        """What can be read, and be said first."""
        return [*self._floor.names, *_CONTEXT, *_COMMANDS]

    def answer(self, line: str) -> str:
        """What there is to say to a line, without a line break at its end; empty for an empty one. Raises Ended."""
        text = line.strip()
        if not text or text.startswith("#"):
            return ""
        if text.startswith(":") or text in _WORDS:
            return self._command(":" + text.removeprefix(":"))
        try:
            if self._is_statement(text):
                return self._run(text)
            return self._value(self._floor.expression(text))
        except Wrong as wrong:
            return render(wrong.diagnostics, color=self._color).rstrip("\n")
        except RuntimeError as error:
            return f"it does not end: {error}"

    def _is_statement(self, text: str) -> bool:
        word = text.split(maxsplit=1)[0]
        unit = self._floor.unit
        if word in _STATEMENTS:
            return word != "if" or "{" in text  # `if C then A else B` is an expression
        if word not in unit.catalog.assertions and word not in unit.definitions:
            return _LIKE_A_STATEMENT.match(text) is not None
        try:
            return isinstance(read_expression(text), n.Name)
        except Wrong:
            return True

    # --- expressions ---

    def _value(self, question: Question, asked: Exchange | None = None) -> str:
        exchange = asked or self._exchange
        try:
            for bit, message in ((REQUEST, exchange.request), (RESPONSE, exchange.response)):
                if question.holds & bit and message is not None:
                    run(message.load(exchange.environment.bodies), self._offline.clock)
            value = question(exchange)
        except Failed as failed:
            return self._failed(failed.failure)
        return PRIVATE if question.private else printable(shown(value, self._mask(exchange).hides))

    def _mask(self, exchange: Exchange) -> Mask:
        return Mask(outline_of(self._offline.program).hidden, exchange)

    # --- statements ---

    def _run(self, text: str) -> str:
        before = self._floor.walk.state
        statement = self._floor.statement(text)
        self._make_room()
        action, _ = run_of((statement,), True)
        exchange = self._exchange
        outcome = action(exchange)
        if outcome.__class__ is COROUTINE:
            outcome = run(outcome, self._offline.clock)
        if isinstance(outcome, Failure):
            self._floor.walk.state = before
            return self._failed(outcome)
        if outcome is RESPONDED:
            assert exchange.response is not None
            return f"responded with {exchange.response.status}"
        return "\n".join(["passed", *self._bound(statement)])

    def _bound(self, statement: p.Statement) -> list[str]:
        names, hidden, mask = self._floor.slots.names, self._floor.walk.frame.private_slots, self._mask(self._exchange)
        found = []
        for slot in sorted(binds(statement)):
            if "." not in names[slot] and names[slot] in self._floor.walk.state.names:
                text = PRIVATE if slot in hidden else shown(self._exchange.slots[slot], mask.hides)
                found.append(printable(f"    {names[slot]} = {text}"))
        return found

    def _failed(self, failure: Failure) -> str:
        said = self._defect() if failure.kind is Kind.DEFECT else failure.detail
        detail = f": {said}" if said else ""
        span = failure.span
        where = f" ({span})" if span is not None and span.source.name != NAME else ""
        return printable(f"{failure.status} {failure.name}{detail}{where}")

    def _defect(self) -> str:
        """There is no log that would have it."""
        error = self._offline.defect
        return f"{type(error).__name__}: {error}"

    # --- commands ---

    def _command(self, text: str) -> str:
        word, _, rest = text.partition(" ")
        command = _COMMANDS.get(word)
        if command is None:
            close = nearest(word, _COMMANDS)
            return f"there is no command `{word}`" + (f": did you mean `{close}`?" if close else "; `:help` lists them")
        return command(self, rest.strip())

    def _help(self, rest: str) -> str:
        return HELP

    def _quit(self, rest: str) -> str:
        raise Ended

    def _request(self, rest: str) -> str:
        if rest:
            try:
                self._begin(self._load(rest))
            except NotARequest as error:
                return str(error)
            except OSError as error:
                return f"cannot read `{error.filename}`: {(error.strerror or 'failed').lower()}"
        exchange = self._offline.met(self._asked)  # as it came, whatever was written since
        request, mask = exchange.request, self._mask(exchange)
        query = mask.query(request.query_string)
        lines = [f"{request.method} {mask.path(request.path)}" + ("" if query is None else f"?{query}")]
        lines += [f"{name.decode('latin-1')}: {mask.field((lower, name, value), 'request')}"
                  for lower, name, value in request.headers]  # fmt: skip
        if request.body:
            lines += ["", *self._value(self._floor.expression("request.text"), exchange).split("\n")]
        found = exchange.service
        lines += ["", f"service {found}" if found else "no service"]
        return "\n".join(printable(line) for line in lines)

    def _send(self, rest: str) -> str:
        answered = self._offline.send(self._asked)
        self._document = answered.document
        self._stand_on(answered.exchange, True)
        failure = answered.exchange.failure
        more = f": {self._defect()}" if failure is not None and failure.kind is Kind.DEFECT else ""
        return printable(verdict(answered.document) + more)

    def _tree(self, rest: str) -> str:
        if self._document is None:
            return "nothing was asked yet: `:send` asks the policy"
        return picture(self._document, self._offline.program.sources, self._color).rstrip("\n")

    def _names(self, rest: str) -> str:
        lines = []
        for name in [*self._floor.names, *_CONTEXT]:
            try:
                lines.append(f"{name} = {self._value(self._floor.expression(name))}")
            except Wrong:  # a name that has members only
                lines.append(f"{name}.…")
        return "\n".join(lines)

    def _advance(self, rest: str) -> str:
        try:
            value = self._floor.expression(rest)
            seconds = value(self._exchange).seconds if value.type.name == "duration" else None
        except (Wrong, Failed):
            seconds = None
        if seconds is None or not 0 <= seconds <= MOST_SECONDS:
            return "`:advance` takes a time, as in `:advance 30s`"
        self._offline.clock.advance(seconds)
        return self._value(self._floor.expression("now"))


_CONTEXT = ("client", "failure", "gateway", "now", "path", "request", "response", "service", "user")
_WORDS = ("help", "exit", "quit")
"""What people say who do not know yet that commands begin with a colon."""
_COMMANDS: dict[str, Callable[[Conversation, str], str]] = {
    ":help": Conversation._help, ":request": Conversation._request, ":send": Conversation._send,
    ":tree": Conversation._tree, ":names": Conversation._names, ":advance": Conversation._advance,
    ":quit": Conversation._quit, ":exit": Conversation._quit,
}  # fmt: skip
