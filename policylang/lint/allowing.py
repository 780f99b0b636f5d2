"""Comments that allow what a rule finds: `# lint-allow RULE[, RULE]: reason`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.diagnostics.nearest import nearest
from policylang.lint import look
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.record import record
from policylang.source import Source, Span
from policylang.syntax import nodes as n

_COMMENT = re.compile(r"#[ \t]*lint-allow(?![\w-])(?P<names>[^:]*)(?::(?P<reason>.*))?", re.S)
_WORD = re.compile(r"[^\s,]+")


@record
class Allow:
    """`lines`, from 1, both ends included: where it counts."""

    span: Span
    names: tuple[Span, ...]
    reason: str
    lines: tuple[int, int]


def allows(file: n.File) -> list[Allow]:
    """Those of a file. At the end of a line one counts for it, on a line of its own for what follows, and with an empty
    line behind it, before the first declaration, for the file; a statement of several lines is taken whole, but for the
    blocks in it."""
    source = file.source
    written = [(comment, match) for comment in file.comments if (match := _COMMENT.fullmatch(comment.text))]
    if not written:
        return []
    first = file.declarations[0].span.start if file.declarations else len(source.text)
    heads = [_head(node) for node in look.nodes(file.declarations) if isinstance(node, _WITH_HEAD)]
    found = []
    for comment, match in written:
        start = comment.span.start
        names = tuple(
            Span(source, start + word.start(), start + word.end())
            for word in _WORD.finditer(comment.text, match.start("names"), match.end("names"))
        )
        next_line = _next_line(source, comment)
        if comment.own_line and start < first and not source.line(next_line).strip():
            lines = (1, source.line_count)
        else:
            first_line, last_line = _around(next_line, heads)
            # comments between it and what follows may be what is meant, too
            lines = (min(first_line, comment.span.line + comment.own_line), last_line)
        found.append(Allow(comment.span, names, (match["reason"] or "").strip(), lines))
    return found


_WITH_HEAD = (n.Statement, n.Declaration, n.Setting, n.Case)


def _head(node: n.Node) -> tuple[int, int]:
    """Its lines up to the first block, case or setting in it."""
    first = node.span.line
    parts = (each for each in look.nodes(node) if each is not node and isinstance(each, (n.Block, n.Case, n.Setting)))
    inner = next(parts, None)
    if inner is None:
        return first, node.span.source.position(node.span.end)[0]
    return first, max(first, inner.span.line if isinstance(inner, n.Block) else inner.span.line - 1)


def _next_line(source: Source, comment: n.Comment) -> int:
    """The line that it speaks of."""
    line = comment.span.line
    while comment.own_line and line < source.line_count and source.line(line).lstrip().startswith("#"):
        line += 1
    return line


def _around(line: int, heads: Iterable[tuple[int, int]]) -> tuple[int, int]:
    here = [head for head in heads if head[0] <= line <= head[1]]
    return min([line, *(head[0] for head in here)]), max([line, *(head[1] for head in here)])


# --- the rules about them ---


class AllowWithoutReason(Rule):
    """A comment that allows a finding names the rule, and says why.

    Who reads the policy next must see that somebody has thought of it.

        route orders
        rate_limit 10/s, per: client.ip  # lint-allow limit-after-route
    ==
        route orders
        # lint-allow limit-after-route: the upstream counts attempts, and so do we
        rate_limit 10/s, per: client.ip
    """

    name: ClassVar[str] = "allow-without-reason"
    category: ClassVar[Category] = "style"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for file in policy.files:
            for allow in allows(file):
                if not allow.names:
                    yield Finding(allow.span, "this comment allows nothing: it names no rule",
                                  help="write `# lint-allow RULE: reason`")  # fmt: skip
                elif not allow.reason:
                    yield Finding(allow.span, "this comment does not say why it is right here",
                                  help="write a colon and the reason after the rule's name")  # fmt: skip


class UnknownRule(Rule):
    """A comment allows what no rule is called.

        # lint-allow limit-after-rout: the upstream counts attempts, and so do we
        limit_size request, 1MB
        route orders
    ==
        route orders
        # lint-allow limit-after-route: the upstream counts attempts, and so do we
        rate_limit 10/s, per: client.ip
    """

    name: ClassVar[str] = "unknown-rule"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        from policylang.lint.known import all_rules

        known = [rule.name for rule in all_rules()]
        for file in policy.files:
            for name in (each for allow in allows(file) for each in allow.names if each.text not in known):
                near = nearest(name.text, known)
                cure = f"did you mean `{near}`?" if near else "`pol lint --list` lists the rules"
                yield Finding(name, f"no rule is called `{name.text}`", help=cure)


class UnusedAllow(Rule):
    """A comment allows what no rule finds there.

    What it was for is mended; left in place, it would hide the next mistake of its kind. Names of rules that did not
    run are left alone.

        # lint-allow limit-after-route: the upstream counts attempts, and so do we
        rate_limit 10/s, per: client.ip
        route orders
    ==
        rate_limit 10/s, per: client.ip
        route orders
    """

    name: ClassVar[str] = "unused-allow"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterable[Finding]:
        """Nothing: only who has run the other rules knows."""
        return ()

    @staticmethod
    def finding(allow: Allow, name: Span) -> Finding:
        fix = Fix("remove it", (_removal(allow, name),), safe=True)
        return Finding(name, f"`{name.text}` finds nothing here", fix=fix)


def _removal(allow: Allow, name: Span) -> Edit:
    """The whole comment, or the name with the comma at its side."""
    if len(allow.names) == 1:
        return Edit(allow.span, "")
    at = allow.names.index(name)
    if at + 1 < len(allow.names):
        return Edit(Span(name.source, name.start, allow.names[at + 1].start), "")
    return Edit(Span(name.source, allow.names[at - 1].end, name.end), "")


RULES: tuple[type[Rule], ...] = (AllowWithoutReason, UnknownRule, UnusedAllow)
