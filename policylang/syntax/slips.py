"""The slips that have words of their own: what was written, what was meant, and how to say so.

Each function looks at one kind of slip and proposes repairs; recovery takes the first that lets the rest
of the line be read. The order of SLIPS is from the telling to the vague.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from policylang.diagnostics.nearest import nearest
from policylang.syntax import words as w
from policylang.syntax.automaton import expected
from policylang.syntax.scene import Repair, Scene

_NAMES = frozenset({w.NAME, w.GATEWAY, w.SERVICE, w.MAP, w.TEST})
_STARTS = w.STATEMENT_STARTS | w.DECLARATION_STARTS | _NAMES | {w.IF, w.ALL, w.NONE}
_WORD_KINDS = frozenset(w.KEYWORDS.values()) - _NAMES
_SPOKEN = {
    "const": w.LET, "var": w.LET, "val": w.LET, "assert": w.REQUIRE, "check": w.REQUIRE, "switch": w.MATCH,
    "foreach": w.FOR, "elseif": w.ELSE, "delete": w.NUMBER_OF["REMOVE"], "except": w.CATCH, "include": w.IMPORT,
    "of": w.IN, "def": w.ASSERTION, "backend": w.UPSTREAM,
}
_TEXT_OF = {kind: word for word, kind in w.KEYWORDS.items()}
_SAID_EQUAL = {"is": "==", "eq": "==", "equals": "==", "ne": "!="}


def fat_arrow(s: Scene) -> Iterator[Repair]:
    if s.kind != w.FAT_ARROW:
        return
    for kind, sign in ((w.ARROW, "->"), (w.GE, ">=")):
        finding = s.find("wrong-arrow", s.span(s.at), f"`=>` is written `{sign}`", fix=sign, safe=kind == w.ARROW)
        yield Repair(s.at, s.at + 1, [s.token(s.at, kind)], finding)


def equals_for_colon(s: Scene) -> Iterator[Repair]:
    """`per = client.ip` among arguments; also where the parameter's name is a keyword: `in = request`."""
    word = s.at if s.kinds[s.at + 1 : s.at + 2] == [w.ASSIGN] and s.kind in _WORD_KINDS else s.at - 1
    if word < 1 or s.kinds[word + 1] != w.ASSIGN or s.kinds[word] not in _NAMES | _WORD_KINDS:
        return
    if s.kinds[word - 1] not in (w.COMMA, w.LPAR, w.LMAP) and not (word == s.first + 1 and s.kinds[s.first] == w.NAME):
        return
    name = s.text(word)
    tokens = s.automaton.tokens
    finding = s.find(
        "equals-for-colon", s.span(word + 1), f"an argument is named with `:`: `{name}: …`", fix=":", title="write `:`",
        at=s.gap(word + 1).to(s.span(word + 1)), safe=True,
    )
    yield Repair(
        word, word + 2, [(w.KEY, tokens.starts[word], tokens.ends[word + 1])], finding,
        ((tokens.starts[word], name + ":"),),
    )


def missing_let(s: Scene) -> Iterator[Repair]:
    """`x = 5`, `response.status = 404`, and the two words mixed up."""
    start = s.first
    head = s.span(start, max(start, s.at - 1))
    if s.kinds[start] == w.NAME and s.kind in (w.ASSIGN, w.DOT, w.LSQB, w.OPTIONAL):
        if s.at == start + 1 and s.kind in (w.ASSIGN, w.OPTIONAL):
            name = s.text(start)
            yield Repair(
                start, start, [s.between(start, w.LET)],
                s.find("missing-let", head, f"a new name begins with `let`: `let {name} = …`",
                       fix="let ", at=s.span(start).__class__(head.source, head.start, head.start)),
            )
        yield Repair(
            start, start, [s.between(start, w.SET)],
            s.find("missing-set", head, "a value is changed with `set`",
                   fix="set ", at=s.span(start).__class__(head.source, head.start, head.start)),
        )
    if s.kinds[start] == w.LET and s.kind in (w.DOT, w.LSQB) and s.at == start + 2:
        yield Repair(
            start, start + 1, [s.token(start, w.SET)],
            s.find("let-for-set", s.span(start), "`let` makes a new name; what is there already is changed with `set`",
                   fix="set"),
        )


def equals(s: Scene) -> Iterator[Repair]:
    if s.kind == w.ASSIGN and s.kinds[s.first] != w.LET:
        finding = s.find("single-equals", s.span(s.at), "values are compared with `==`", fix="==", safe=True)
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.EQ)], finding)
    elif s.kind == w.ASSIGN:
        finding = s.find("single-equals", s.span(s.at), "values are compared with `==`", fix="==")
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.EQ)], finding)
    if s.kind == w.EQ:
        finding = s.find("double-equals", s.span(s.at), "a value is given with a single `=`", fix="=", safe=True)
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.ASSIGN)], finding)


def colon(s: Scene) -> Iterator[Repair]:
    """A colon where another sign belongs."""
    tokens = s.automaton.tokens
    if s.kind == w.COLON:
        finding = s.find("wrong-arrow", s.span(s.at), "`->` stands between a pattern and its statement", fix=" ->",
                         title="write `->`", at=s.gap(s.at).to(s.span(s.at)))
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.ARROW)], finding)
        finding = s.find("colon-for-equals", s.span(s.at), "a value is given with `=`", fix=" =", title="write `=`")
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.ASSIGN)], finding)
    if s.kind != w.KEY:
        return
    start, end = tokens.starts[s.at], tokens.ends[s.at]
    name = s.text(s.at).rstrip(": \t")
    word = (start, start + len(name))
    place = s.span(s.at).__class__(tokens.source, end - 1, end)
    for kind in (w.NAME, w.MEMBER):
        finding = s.find("colon-for-equals", place, "a value is given with `=`", fix=" =", title="write `=`",
                         at=place.__class__(tokens.source, word[1], end), safe=True)
        yield Repair(s.at, s.at + 1, [(kind, *word), (w.ASSIGN, end - 1, end)], finding)
    arrow = s.find("wrong-arrow", place, "`->` stands between a pattern and its statement", fix=" ->",
                   title="write `->`", at=place.__class__(tokens.source, word[1], end))
    kind = w.ELSE if name in ("else", "default", "_") else w.NAME
    yield Repair(s.at, s.at + 1, [(kind, *word), (w.ARROW, end - 1, end)], arrow)
    as_map = s.before == w.LBRACE and s.span(s.at - 1).line == s.span(s.at).line
    if s.at == s.first and s.kinds[s.at + 1] in w.OPERAND_STARTS and not as_map:
        finding = s.find("colon-after-name", place, f"the values of `{name}` follow it without `:`", fix="",
                         title="remove `:`", safe=True)
        yield Repair(s.at, s.at + 1, [(w.NAME, *word)], finding)


def keyword_as_name(s: Scene) -> Iterator[Repair]:
    word = s.text(s.at)
    if s.kind not in _WORD_KINDS and s.kind != w.KEPT:
        return
    naming = s.before in (w.LET, w.FOR, w.CATCH, w.SERVICE, w.UPSTREAM, w.MAP, w.ASSERTION, w.PRIVATE) or (
        s.before == w.ARROW and s.can(w.NAME) and not s.can(w.REQUIRE)
    )
    if s.kind == w.KEPT:
        finding = s.find("kept-word", s.span(s.at), f"`{word}` is kept for a later version of the language")
    else:
        finding = s.find(
            "reserved-word", s.span(s.at), f"`{word}` is a word of the language and cannot be a name",
            help=f"take another name: `{word}_value`" if naming else "",
        )
    if naming or (s.can(w.NAME) and s.before not in (w.NL, w.LBRACE)):
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.NAME)], finding)


def hyphen(s: Scene) -> Iterator[Repair]:
    """`rate-limit`: a minus, where a name was meant."""
    kinds = s.kinds
    for start in dict.fromkeys((s.first, s.first + 1, s.at - 1)):
        end = start
        while (
            end + 2 < len(kinds) and kinds[end] in _NAMES | _WORD_KINDS and kinds[end + 1] == w.MINUS
            and kinds[end + 2] in _NAMES | _WORD_KINDS | {w.KEY} and s.touching(end) and s.touching(end + 1)
        ):
            end += 2
        if end == start or start > s.at:
            continue
        tokens = s.automaton.tokens
        written = s.span(start, end).text.rstrip(": \t")
        better = written.replace("-", "_")
        span = s.span(start, end)
        place = span.__class__(span.source, span.start, span.start + len(written))
        finding = s.find("hyphen-in-name", place, f"names have no `-`: `{better}`", fix=better)
        kind = w.KEY if kinds[end] == w.KEY else w.NAME
        yield Repair(
            start, end + 1, [(kind, tokens.starts[start], tokens.ends[end])], finding,
            ((tokens.starts[start], better + (":" if kind == w.KEY else "")),),
        )


def bare_path(s: Scene) -> Iterator[Repair]:
    """`service orders /orders/** {`: a path without its quotes."""
    if s.kind not in (w.SLASH, w.STAR):
        return
    end = s.at
    while end + 1 < s.line_end and s.touching(end) and s.kinds[end + 1] not in (w.COMMA, w.NL, w.END):
        end += 1
    span = s.span(s.at, end)
    finding = s.find("bare-path", span, "a path stands in quotes", fix=f'"{span.text}"')
    tokens = s.automaton.tokens
    yield Repair(
        s.at, end + 1, [(w.STRING, span.start, span.end)], finding, ((tokens.starts[s.at], f'"{span.text}"'),)
    )


def commas(s: Scene) -> Iterator[Repair]:
    kinds = s.kinds
    if s.kind == w.COMMA and s.before in (w.NL, w.LBRACE):
        finding = s.find("extra-comma", s.span(s.at), "a line does not begin with a comma",
                         help="put it at the end of the line above, where the statement goes on")
        yield Repair(s.at, s.at + 1, [], finding)
    elif s.kind == w.COMMA:
        what = "there is a comma too many" if s.before == w.COMMA else f"no comma belongs after `{s.text(s.at - 1)}`"
        finding = s.find("extra-comma", s.span(s.at), what, fix="", title="remove `,`", safe=True)
        yield Repair(s.at, s.at + 1, [], finding)
    if s.before == w.COMMA and s.kind not in w.OPERAND_STARTS and s.kind != w.KEY:
        finding = s.find("extra-comma", s.span(s.at - 1), "nothing follows this comma", fix="", title="remove `,`")
        yield Repair(s.at - 1, s.at, [], finding)
    if s.kind not in w.OPERAND_STARTS and s.kind != w.KEY:
        return
    after_comma = s.before in _NAMES and kinds[s.at - 2 : s.at - 1] == [w.COMMA]
    if after_comma and s.span(s.at - 2).line != s.span(s.at - 1).line:
        finding = s.find("extra-comma", s.span(s.at - 2), "after a comma the statement goes on, but nothing follows",
                         fix="", title="remove `,`")
        yield Repair(s.at - 2, s.at - 1, [s.token(s.at - 2, w.NL)], finding)
    if after_comma and s.kind not in (w.MINUS, w.LPAR, w.LSQB, w.KEY):
        name = s.text(s.at - 1)
        tokens = s.automaton.tokens
        finding = s.find("missing-colon", s.span(s.at - 1), f"an argument's name is followed by `:`: `{name}: …`",
                         fix=":", title="add `:`", at=s.gap(s.at))
        yield Repair(
            s.at - 1, s.at, [(w.KEY, tokens.starts[s.at - 1], tokens.ends[s.at - 1])], finding,
            ((tokens.starts[s.at - 1], name + ":"),),
        )
    if s.before in w.OPERAND_ENDS and s.can(w.COMMA):
        what = "entries" if s.kinds[_opener(s)] == w.LMAP else "items" if s.kinds[_opener(s)] == w.LSQB else "arguments"
        finding = s.find("missing-comma", s.span(s.at), f"{what} are separated by commas", fix=",", title="add `,`",
                         at=s.gap(s.at))
        yield Repair(s.at, s.at, [s.between(s.at, w.COMMA)], finding)


def dangling_comma(s: Scene) -> Iterator[Repair]:
    """A comma at a line's end took the next statement, or case, for an argument."""
    depth = 0
    for k in range(s.at - 1, s.first, -1):
        kind = s.kinds[k]
        depth += (kind in (w.RPAR, w.RSQB, w.RMAP, w.RBRACE)) - (kind in (w.LPAR, w.LSQB, w.LMAP, w.LBRACE))
        if depth < 0:
            return
        if kind == w.COMMA and not depth and s.span(k).line != s.span(k + 1).line:
            finding = s.find("extra-comma", s.span(k), "after a comma the statement goes on, but this one ends",
                             fix="", title="remove `,`")
            tokens = [*map(s.token, range(s.first, k)), s.token(k, w.NL), *map(s.token, range(k + 1, s.at))]
            yield Repair(s.first, s.at, tokens, finding)


def _opener(s: Scene) -> int:
    """The bracket that the error stands in, or the start of its statement."""
    depth = 0
    for i in range(s.at - 1, s.first, -1):
        if s.kinds[i] in (w.RPAR, w.RSQB, w.RMAP, w.RBRACE):
            depth += 1
        elif s.kinds[i] in (w.LPAR, w.LSQB, w.LMAP, w.LBRACE):
            if not depth:
                return i
            depth -= 1
    return s.first


def several_statements(s: Scene) -> Iterator[Repair]:
    if s.before in (w.NL, w.LBRACE) or s.kind not in _STARTS:
        return
    if s.kind in _NAMES and s.before != w.RBRACE and s.kinds[s.at + 1] in (w.NL, w.RBRACE, w.END):
        return
    finding = s.find("several-statements", s.span(s.at), f"`{s.text(s.at)}` belongs on a line of its own",
                     help="a line holds one statement; arguments are separated by commas")
    yield Repair(s.at, s.at, [s.between(s.at, w.NL)], finding)


def operator_words(s: Scene) -> Iterator[Repair]:
    if s.kind == w.NOT and s.kinds[s.at + 1] in w.COMPARATORS:
        op = s.text(s.at + 1)
        finding = s.find("not-in", s.span(s.at, s.at + 1), f"`not` stands before the comparison: `not x {op} …`")
        yield Repair(s.at, s.at + 2, [s.token(s.at + 1)], finding)
    if s.kind == w.NAME and (meant := _SAID_EQUAL.get(s.text(s.at))):
        kind = w.EQ if meant == "==" else w.NE
        end = s.at + 1
        if s.kinds[end] == w.NOT:
            kind, meant, end = w.NE, "!=", end + 1
        finding = s.find("foreign-operator", s.span(s.at, end - 1), f"values are compared with `{meant}`", fix=meant)
        yield Repair(s.at, end, [s.token(s.at, kind)], finding)
    if s.kind in w.COMPARATORS and s.can(w.AND):
        finding = s.find("chained-comparison", s.span(s.at), "comparisons do not chain",
                         help="join two of them with `and`: `a < b and b < c`")
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.AND)], finding)
    if s.kind in (w.PLUS, w.MINUS) and s.before == s.kind and s.touching(s.at - 1):
        finding = s.find("foreign-operator", s.span(s.at - 1, s.at), f"there is no `{s.text(s.at) * 2}`",
                         help="`set x = x + 1` adds one")
        yield Repair(s.at - 1, s.at + 1, [], finding)


def missing_match(s: Scene) -> Iterator[Repair]:
    """Cases in the block of something that is no `match`."""
    opener = s.first - 1
    if opener < 0 or s.kinds[opener] != w.LBRACE or s.kinds[s.first] == w.KEY:
        return
    cases = s.kinds[s.at : s.line_end]
    if not (s.at == s.first and w.ARROW in cases and s.can(w.REQUIRE)):
        return
    start = opener
    while start > 0 and s.kinds[start - 1] not in (w.NL, w.LBRACE, w.RBRACE):
        start -= 1
    if s.kinds[start] != w.NAME:
        return
    if _SPOKEN.get(s.text(start)) == w.MATCH or nearest(s.text(start), ["match"]):
        yield _as_keyword(s, start, w.MATCH)
    if s.kinds[start + 1] == w.KEY or nearest(s.text(start), ["split"]):
        yield _as_keyword(s, start, w.SPLIT)
    place = s.span(start)
    finding = s.find(
        "missing-match", place, "cases with `->` stand in a `match`", fix="match ", title="write `match`",
        at=place.__class__(place.source, place.start, place.start),
    )
    yield Repair(start, start, [s.between(start, w.MATCH)], finding)


def percent(s: Scene) -> Iterator[Repair]:
    """`95% -> …`"""
    if s.kind == w.ARROW and s.before == w.PERCENT:
        finding = s.find("unexpected-text", s.span(s.at - 1), "a share is written without `%`", fix="",
                         title="remove `%`", safe=True)  # fmt: skip
        yield Repair(s.at - 1, s.at, [], finding)


def wrong_branch(s: Scene) -> Iterator[Repair]:
    """An `else` after what takes none, a second one, a `catch` without `try`."""
    if s.kind not in (w.ELSE, w.CATCH) or s.at == s.first:
        return
    first = s.kinds[s.first]
    end = s.end_of_piece()
    if s.kind == w.CATCH:
        yield from misspelt(s)
        finding = s.find("misplaced-branch", s.span(s.at), "`catch` follows the block of a `try`")
    elif first == w.IF:
        finding = s.find("misplaced-branch", s.span(s.at), "this `if` has its `else` already")
    else:
        word = s.text(s.first)
        help_ = {
            w.MATCH: "write the case `else -> …` inside the `match`",
            w.FOR: "put the loop into `all { … }`, and `else` after that",
            w.SPLIT: "put it into `all { split … }`, and `else` after that",
            w.NONE: "put it into `all { none { … } }`, and `else` after that",
        }.get(first, "nothing comes after it")
        finding = s.find("misplaced-branch", s.span(s.at), f"`else` does not follow `{word}`", help=help_)
    yield Repair(s.at, end, [], finding)


def after_on_failure(s: Scene) -> Iterator[Repair]:
    if s.kind == w.NL and s.before == w.RBRACE and not s.can(w.NL) and s.can(w.RBRACE):
        depth, end = 0, s.at
        while s.kinds[end] != w.END and (depth or s.kinds[end] != w.RBRACE):
            depth += (s.kinds[end] in (w.LBRACE, w.LMAP)) - (s.kinds[end] in (w.RBRACE, w.RMAP))
            end += 1
        finding = s.find("misplaced-on-failure", s.span(s.at + 1), "`on failure` is the last block of a service",
                         help="move this above it")
        yield Repair(s.at, end, [], finding, proof=1)


def broken_line(s: Scene) -> Iterator[Repair]:
    """The line ends after an operator."""
    if s.kind != w.NL or s.before not in w.BINARY | {w.NOT, w.ARROW, w.ASSIGN, w.THEN, w.KEY, w.DOT}:
        return
    if s.kinds[s.at + 1] in w.STATEMENT_STARTS | w.DECLARATION_STARTS:
        return
    sign = s.text(s.at - 1)
    finding = s.find(
        "broken-line", s.span(s.at - 1), f"the line ends after `{sign}`, in the middle of a statement",
        help="put the expression in `( )`: inside brackets and after a comma lines may break",
    )
    yield Repair(s.at, s.at + 1, [], finding)


def foreign_word(s: Scene) -> Iterator[Repair]:
    """A word of some other language at the head of a statement that cannot be read: `const x = 1`."""
    if s.kinds[s.first] == w.NAME and (kind := _SPOKEN.get(s.text(s.first))) is not None:
        yield _as_keyword(s, s.first, kind)


def misspelt(s: Scene) -> Iterator[Repair]:
    """A word that is nearly one of the language, where that one would fit."""
    places = [(s.at, expected(s.automaton.states))]
    if s.first != s.at:
        places.append((s.first, set(_STARTS - {w.NAME})))
    for i, kinds in places:
        if s.kinds[i] != w.NAME:
            continue
        kind = _SPOKEN.get(s.text(i))
        if kind not in kinds:
            kind = _near_keyword(s.text(i), kinds)
        if kind is not None:
            yield _as_keyword(s, i, kind)


def _as_keyword(s: Scene, i: int, kind: int) -> Repair:
    meant = _TEXT_OF[kind]
    finding = s.find("misspelt-word", s.span(i), f"`{s.text(i)}` is no word that fits here: `{meant}` is", fix=meant)
    return Repair(i, i + 1, [s.token(i, kind)], finding, proof=3)


def _near_keyword(word: str, kinds: set[int]) -> int | None:
    known = {text: kind for text, kind in w.KEYWORDS.items() if kind in kinds}
    meant = nearest(word, known) if len(word) > 1 else None
    return known[meant] if meant else None


def missing_sign(s: Scene) -> Iterator[Repair]:
    """One sign or word between two things that are there."""
    only = {w.IN: s.kinds[s.first] == w.FOR and s.at == s.first + 2, w.ELSE: s.kind in (w.LBRACE, w.LMAP)}
    for kind in (w.ASSIGN, w.ARROW, w.IN, w.THEN, w.COLON, w.CATCH, w.ELSE):
        if s.can(kind) and only.get(kind, True):
            sign = w.DESCRIPTIONS[kind].strip("`")
            finding = s.find("missing-sign", s.span(s.at), f"`{sign}` is missing before this", fix=f" {sign}",
                             title=f"add `{sign}`", at=s.gap(s.at))
            yield Repair(s.at, s.at, [s.between(s.at, kind)], finding, proof=2)


def quoted_name(s: Scene) -> Iterator[Repair]:
    """`service "orders" "/orders"`, `let "x" = 1`"""
    if s.kind != w.STRING or s.before in (w.NL, w.LBRACE):
        return
    name = s.text(s.at)[1:-1]
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        finding = s.find("quoted-name", s.span(s.at), f"a name stands without quotes: `{name}`", fix=name, safe=True)
        start = s.automaton.tokens.starts[s.at]
        yield Repair(s.at, s.at + 1, [s.token(s.at, w.NAME)], finding, ((start, name),))


def superfluous(s: Scene) -> Iterator[Repair]:
    """One token that could be left out."""
    if s.at == s.first or s.before in (w.NL, w.LBRACE) or s.can(w.BAD_EXPR):
        return
    if s.kind in w.BINARY | {w.DOT, w.OPTIONAL, w.ASSIGN, w.COLON, w.ARROW, w.PRIVATE, w.THEN}:
        text = s.text(s.at)
        message = f"`{text}` does not fit here"
        finding = s.find("unexpected-text", s.span(s.at), message, fix="", title=f"remove `{text}`")
        yield Repair(s.at, s.at + 1, [], finding)


SLIPS: tuple[Callable[[Scene], Iterator[Repair]], ...] = (
    fat_arrow,
    foreign_word,
    equals_for_colon,
    missing_let,
    equals,
    colon,
    hyphen,
    bare_path,
    operator_words,
    missing_match,
    percent,
    wrong_branch,
    after_on_failure,
    quoted_name,
    commas,
    dangling_comma,
    keyword_as_name,
    misspelt,
    several_statements,
    broken_line,
    missing_sign,
    superfluous,
)


def repairs(scene: Scene) -> Iterator[Repair]:
    """What may have been meant, the likeliest first."""
    for slip in SLIPS:
        yield from slip(scene)
