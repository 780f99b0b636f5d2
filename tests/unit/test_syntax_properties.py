"""Whatever the text: parsing ends, never raises, and says what is wrong in the language's own manner.
Whatever the tree: it prints, and what was printed is that tree again."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policylang.diagnostics import Diagnostic, as_json, github, sarif, text
from policylang.source import Source, Span
from policylang.syntax import nodes as n
from policylang.syntax import table_data
from policylang.syntax.pages import PAGES
from policylang.syntax.parser import parse
from policylang.syntax.printer import fmt_text, format_file, same

NOWHERE = Span(Source("", ""), 0, 0)
WORDS = st.sampled_from(["a", "user", "x1", "rate_limit", "orders", "_t"])
TOKENS = [
    *table_data.WORDS, *table_data.SIGNS, "{", "}", "\n", "\n", "\n    ", " ", '"', '"a"', '"${', "${", 'r"', '"""',
    "'", "#", "a", "per:", "in:", "Foo", "10", "10/s", "5s", "5sec", "1_", "1e5", "elif", "null", "=>", "&&", "!", ";",
    "//", "/*", "\\", "@", "é", "\u202e", "\x00", "\t", "function", "service s \"/\" {", "on failure {", "else ->",
    "-> private", "split", "by:",
]  # fmt: skip


def check(found: list[Diagnostic], source: Source) -> None:
    """What holds for every diagnostic: its place, its name, its manner."""
    for d in found:
        assert 0 <= d.span.start <= d.span.end <= len(source.text)
        assert d.name in PAGES
        for message in (d.message, d.label, d.help, *(label.text for label in d.labels)):
            assert "\n" not in message and not message.endswith("."), message
            ours = re.sub(r"`[^`]*`", "", message)
            assert not ours[:1].isupper() and "__" not in ours, message
            assert not re.search(r"\b(token|terminal|lark|python|parser|none ?type)\b", ours, re.I), message
        if d.fix is not None:
            assert d.fix.edits
            assert all(0 <= e.span.start <= e.span.end <= len(source.text) for e in d.fix.edits)
    for render in (text.render, as_json.render, sarif.render, github.render):
        render(found)


def is_fine(written: str) -> None:
    source = Source("soup.pol", written)
    check(parse(source)[1], source)
    result = fmt_text(source)
    if isinstance(result, str):
        assert fmt_text(Source("soup.pol", result)) == result
    else:
        assert {d.name for d in result} != {"format-defect"}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(TOKENS), max_size=60), st.sampled_from(["", " "]))
def test_soup_of_tokens(tokens: list[str], glue: str) -> None:
    is_fine(glue.join(tokens))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text(written: str) -> None:
    is_fine(written)


@pytest.mark.parametrize(
    "piece",
    ["(", "[", "{", "}", ")", "a.", "a(", "[a,", "{a:", '"${', '"', "'", '"""', "not ", "- ", "if a then ", "a else ",
     "a else {", "if a {", "if a {} else ", "x ?? ", "a == ", "a + ", "f a\n", "f a b\n", "match a {\n", "let x = \n",
     "split by: a {\n", "split",
     "service s {\n", "}\n", "{\n", "-> ", "a, ", "#\n", "/*", "\\", " ", "\t\n", "10 s ", "r\"", "1_", "\n", "a:", "é",
     "on failure {", "any { a } else ", "a = ", "=> ", "test \"x\" {\n", "a-b-"],
)  # fmt: skip
@pytest.mark.parametrize("head", ["", 'service s "/" {\n', "let x = "])
def test_much_of_one_thing(piece: str, head: str) -> None:
    source = Source("much.pol", head + piece * (20_000 // len(piece)))
    begun = time.process_time()
    found = parse(source)[1]
    assert time.process_time() - begun < 10
    check(found[:20], source)


# --- trees ---------------------------------------------------------------------------------------------


def names() -> st.SearchStrategy[str]:
    return WORDS


def make(cls: type[Any]) -> Callable[..., Any]:
    return lambda *values: cls(NOWHERE, *values)


def arguments(value: st.SearchStrategy[n.Expr]) -> st.SearchStrategy[tuple[n.Argument, ...]]:
    plain = st.lists(value, max_size=2)
    named = st.lists(st.tuples(st.sampled_from(["per", "in", "burst"]), value), max_size=2)

    def build(values: list[n.Expr], pairs: list[tuple[str, n.Expr]]) -> tuple[n.Argument, ...]:
        return (
            *(n.Argument(NOWHERE, None, None, v) for v in values),
            *(n.Argument(NOWHERE, name, NOWHERE, v) for name, v in pairs),
        )

    return st.builds(build, plain, named)


def text_of(parts: list[Any]) -> n.Text:
    joined: list[Any] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return n.Text(NOWHERE, tuple(joined), '"')


PLAIN = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
ATOMS: st.SearchStrategy[n.Expr] = st.one_of(
    st.one_of(names(), st.just("split")).map(make(n.Name)),
    st.integers(0, 10**9).map(make(n.Number)),
    st.sampled_from([0.5, 1.25]).map(make(n.Number)),
    st.booleans().map(make(n.Bool)),
    st.just(n.NoneValue(NOWHERE)),
    st.builds(make(n.DurationValue), st.integers(0, 99), st.sampled_from(["ms", "s", "m", "h", "d"])),
    st.builds(make(n.SizeValue), st.integers(0, 99), st.sampled_from(["B", "KB", "MiB"])),
    st.builds(make(n.RateValue), st.integers(0, 99), st.sampled_from(["s", "min", "month"])),
    PLAIN.map(lambda t: text_of([t])),
)


def composed(inner: st.SearchStrategy[n.Expr]) -> st.SearchStrategy[n.Expr]:
    operators = st.sampled_from(["??", "*", "/", "%", "+", "-", "..", "==", "<=", "in", "contains", "and", "or"])
    entries = st.lists(st.tuples(st.sampled_from(["a", "X-Y", "in", "", 'q"']), inner), max_size=3)
    return st.one_of(
        st.builds(lambda op, a, b: n.Binary(NOWHERE, op, a, b, NOWHERE), operators, inner, inner),
        st.builds(make(n.Unary), st.sampled_from(["-", "not"]), inner),
        st.builds(make(n.Conditional), inner, inner, inner),
        st.builds(lambda base, name: n.Member(NOWHERE, base, name, NOWHERE), inner, st.sampled_from(["b", "Xy", "in"])),
        st.builds(make(n.Index), inner, inner),
        st.lists(inner, max_size=4).map(tuple).map(make(n.ListValue)),
        entries.map(lambda e: n.MapValue(NOWHERE, tuple(n.MapEntry(NOWHERE, k, NOWHERE, v) for k, v in e))),
        st.builds(lambda name, args: n.CallExpr(NOWHERE, name, NOWHERE, args),
                  st.sampled_from(["json", "map", "all", "acme.f"]), arguments(inner)),
        st.lists(st.one_of(PLAIN, inner), max_size=4).map(text_of),
    )


EXPRESSIONS = st.recursive(ATOMS, composed, max_leaves=8)


def block(statements: list[n.Statement]) -> n.Block:
    return n.Block(NOWHERE, tuple(statements))


def alone(statement: n.Statement) -> n.Block:
    return n.Block(NOWHERE, (statement,), False)


OUTPUTS = st.lists(st.builds(make(n.Output), names(), st.booleans()), max_size=2).map(tuple)
TARGETS = st.recursive(
    names().map(make(n.Name)), lambda t: st.builds(lambda b: n.Member(NOWHERE, b, "m", NOWHERE), t), max_leaves=3
)
SIMPLE: st.SearchStrategy[n.Statement] = st.one_of(
    st.builds(lambda name, args, out: n.Call(NOWHERE, name, NOWHERE, args, out, None),
              st.sampled_from(["foo", "acme.check"]), arguments(EXPRESSIONS), OUTPUTS),
    EXPRESSIONS.map(make(n.Require)),
    st.builds(lambda name, o, p, v: n.Let(NOWHERE, name, NOWHERE, o, p, v),
              names(), st.booleans(), st.booleans(), EXPRESSIONS),
    st.builds(make(n.Set), TARGETS, EXPRESSIONS),
    TARGETS.map(make(n.Remove)),
    st.just(n.Ignore(NOWHERE)),
)  # fmt: skip
FINAL: st.SearchStrategy[n.Statement] = st.one_of(
    arguments(EXPRESSIONS).map(make(n.Respond)), arguments(EXPRESSIONS).map(make(n.Fail))
)
PATTERNS = st.lists(st.one_of(ATOMS, st.builds(
    lambda a, b: n.Binary(NOWHERE, "..", a, b, NOWHERE), ATOMS, ATOMS)), min_size=1, max_size=3)  # fmt: skip


KEYS = st.lists(EXPRESSIONS.map(lambda e: n.Argument(NOWHERE, "by", NOWHERE, e)), max_size=2).map(tuple)


def nested(inner: st.SearchStrategy[n.Statement]) -> st.SearchStrategy[n.Statement]:
    blocks = st.lists(inner, max_size=3).map(block)
    arms = st.lists(st.builds(make(n.Arm), EXPRESSIONS, blocks), min_size=1, max_size=3)
    bodies = st.one_of(blocks, inner.map(alone))
    cases = st.lists(st.builds(make(n.Case), st.one_of(PATTERNS.map(tuple), st.just(())), bodies), max_size=4)
    left = st.one_of(SIMPLE, blocks.map(lambda b: n.Group(NOWHERE, "any", b)))
    right = st.one_of(blocks, SIMPLE.map(alone), FINAL.map(alone))
    return st.one_of(
        st.builds(make(n.Group), st.sampled_from(["all", "any", "none", "parallel"]), blocks),
        st.builds(make(n.If), arms.map(tuple), st.one_of(st.none(), blocks)),
        st.builds(make(n.Match), EXPRESSIONS, cases.map(tuple)),
        st.builds(lambda by, found: n.Split(NOWHERE, by, found), KEYS, cases.map(tuple)),
        st.builds(lambda name, e, b: n.For(NOWHERE, name, NOWHERE, e, b), names(), EXPRESSIONS, blocks),
        st.builds(lambda a, name, b: n.Try(NOWHERE, a, name, NOWHERE if name else None, b), blocks,
                  st.one_of(st.none(), names()), blocks),
        st.builds(make(n.Else), left, right),
        st.builds(lambda name, args, b: n.Call(NOWHERE, name, NOWHERE, args, (), b),
                  names(), arguments(EXPRESSIONS), blocks),
    )  # fmt: skip


STATEMENTS = st.recursive(st.one_of(SIMPLE, FINAL), nested, max_leaves=6)
BLOCKS = st.lists(STATEMENTS, max_size=4).map(block)
PARAMETERS = st.builds(
    lambda name, kind, o, p, d: n.Parameter(NOWHERE, name, NOWHERE, kind, NOWHERE, o, p, d),
    names(), st.sampled_from(["string", "map"]), st.booleans(), st.booleans(), st.one_of(st.none(), EXPRESSIONS),
)
SETTINGS = st.lists(st.builds(
    lambda name, args: n.Setting(NOWHERE, name, NOWHERE, args), names(), arguments(EXPRESSIONS)), max_size=3).map(tuple)
TITLES = PLAIN.map(lambda t: text_of([t]))
DECLARATIONS: st.SearchStrategy[n.Declaration] = st.one_of(
    TITLES.map(make(n.Import)),
    SETTINGS.map(make(n.Gateway)),
    st.builds(lambda name, s: n.Upstream(NOWHERE, name, NOWHERE, s), names(), SETTINGS),
    st.builds(lambda name, a: n.MapDeclaration(NOWHERE, name, NOWHERE, a),
              names(), arguments(EXPRESSIONS)),
    st.builds(lambda name, p, v: n.Constant(NOWHERE, name, NOWHERE, p, v), names(), st.booleans(), EXPRESSIONS),
    st.builds(lambda name, p, o, b: n.AssertionDeclaration(NOWHERE, name, NOWHERE, p, o, b),
              names(), st.lists(PARAMETERS, max_size=3).map(tuple), OUTPUTS, BLOCKS),
    st.builds(lambda name, a, b, f: n.Service(NOWHERE, name, NOWHERE, a, b, f, NOWHERE if f else None),
              names(), arguments(EXPRESSIONS), BLOCKS, st.one_of(st.none(), BLOCKS)),
    st.builds(make(n.Global), st.sampled_from(["before", "after"]), BLOCKS),
    st.builds(make(n.Test), TITLES, BLOCKS),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DECLARATIONS, max_size=3))
def test_what_is_printed_is_read_as_the_same_tree(declarations: list[n.Declaration]) -> None:
    tree = tuple(declarations)
    printed = format_file(n.File(Source("", ""), tree, ()))
    source = Source("tree.pol", printed)
    file, found = parse(source)
    assert found == [], (printed, found)
    assert same(file.declarations, tree), printed
    again = fmt_text(source)
    assert isinstance(again, str), again
    assert fmt_text(Source("tree.pol", again)) == again


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(DECLARATIONS, min_size=1, max_size=3), st.data())
def test_comments_anywhere_survive(declarations: list[n.Declaration], data: st.DataObject) -> None:
    printed = format_file(n.File(Source("", ""), tuple(declarations), ()))
    lines = printed.split("\n")
    for k in range(3):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at] += f"  # c{k}" if data.draw(st.booleans()) else f"\n# c{k}\n"
    source = Source("tree.pol", "\n".join(lines))
    if parse(source)[1]:
        return  # a comment inside a string is none, and an empty line may end a statement
    formatted = fmt_text(source)
    assert isinstance(formatted, str), formatted
    assert sorted(c.text for c in parse(Source("x", formatted))[0].comments) == sorted(
        c.text for c in parse(source)[0].comments
    )
    assert fmt_text(Source("x", formatted)) == formatted
