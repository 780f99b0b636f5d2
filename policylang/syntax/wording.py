"""What to say where no known slip explains an error: what could stand there, and what does."""

from __future__ import annotations

from policylang.diagnostics import Diagnostic
from policylang.source import Span
from policylang.syntax import words as w
from policylang.syntax.scene import Scene

_NAMES = frozenset({w.NAME, w.GATEWAY, w.SERVICE, w.MAP, w.TEST})
_VALUE_SIGNS = frozenset({w.NUMBER, w.STRING, w.LSQB})
_DECLARING = frozenset({w.IMPORT, w.UPSTREAM, w.GATEWAY, w.SERVICE, w.GLOBAL, w.ASSERTION, w.MAP, w.TEST})


def describe(scene: Scene, possible: set[int]) -> Diagnostic:
    """What to say where no slip is recognised: what could stand here, and what does."""
    span = scene.span(scene.at)
    kind = scene.kind
    found = found_text(scene)
    if kind == w.KEPT:
        return scene.find("kept-word", span, f"`{scene.text(scene.at)}` is kept for a later version of the language")
    starts = scene.at == scene.first or scene.before in (w.NL, w.LBRACE)
    if starts and (special := _at_start(scene, possible, span, found)):
        return special
    wanted = wanted_text(possible)
    after = after_text(scene)
    if kind in (w.NL, w.END) and scene.at:
        # A missing thing is shown where it is missing: at the end of the line.
        span = scene.span(scene.at - 1)
    label = ""
    if kind == w.OPTIONAL and w.AND in possible:
        return scene.find("foreign-operator", span, "there is no `? :`", help="write `if C then A else B`")
    if w.BAD_EXPR in possible and possible >= _VALUE_SIGNS:
        name = "missing-value"
        wanted = "a value"
    elif possible & _NAMES and not possible & _VALUE_SIGNS and w.REQUIRE not in possible:
        name = "missing-name"
        if kind in w.STRINGS:
            label = "a name stands without quotes"
    elif kind in (w.NL, w.END, w.RBRACE) and w.LBRACE in possible:
        name = "missing-brace"
    elif kind in (w.NL, w.END, w.RBRACE) and wanted.startswith("`"):
        name = "missing-sign"
    else:
        name = "unexpected-text"
    message = f"expected {wanted}{after}, found {found}" if wanted else f"{found} does not fit here"
    return Diagnostic(name, span, message, label=label)


def _at_start(scene: Scene, possible: set[int], span: Span, found: str) -> Diagnostic | None:
    """At the beginning of a line: a declaration, a statement or a setting in the wrong place."""
    kind = scene.kind
    in_file = w.IMPORT in possible
    word = scene.text(scene.at)
    if in_file and kind not in (w.RBRACE, w.END):
        if kind in w.STATEMENT_STARTS or kind in (w.NAME, w.IF, w.ALL, w.NONE):
            return scene.find(
                "misplaced-statement", span, f"`{word}` stands outside of every block",
                help="statements belong into a `service`, an `assertion`, a `global` or a `test`",
            )
        return scene.find("unexpected-text", span, f"expected a declaration, found {found}",
                          help="a file declares `gateway`, `upstream`, `map`, `service`, `assertion`, `global`…")
    if kind in _DECLARING:
        return scene.find("misplaced-declaration", span, f"`{word}` stands outside of every block")
    if kind == w.KEY and scene.before == w.LBRACE:
        return scene.find("map-as-block", scene.span(scene.at - 1), "a `{` right after a name opens a block",
                          help="a map is never the first argument: give it its parameter's name, `name: { … }`")
    if kind == w.ON:
        return scene.find("misplaced-on-failure", span, "`on failure` is the last block of a service")
    if w.REQUIRE in possible and kind in w.BINARY:
        return scene.find(
            "broken-line", span, f"a line cannot begin with {found}",
            help="put the expression in `( )`: inside brackets lines may break anywhere",
        )
    if w.REQUIRE in possible and kind in (w.ELSE, w.CATCH):
        what = "`else` follows a statement" if kind == w.ELSE else "`catch` follows the block of a `try`"
        return scene.find("misplaced-branch", span, what)
    if w.REQUIRE in possible:
        return scene.find("unexpected-text", span, f"expected a statement, found {found}",
                          help="a statement begins with a word: `require`, `let`, or an assertion's name")
    if w.BAD in possible and w.NUMBER in possible:
        return scene.find("unexpected-text", span, f"expected a pattern, found {found}",
                          help="a pattern is a value, a range, or `else`; conditions belong into an `if`")
    if w.BAD in possible and w.NAME in possible:
        return scene.find("unexpected-text", span, f"expected a setting, found {found}",
                          help="a setting begins with its name: `listen \"127.0.0.1:8080\"`")
    return None


def found_text(scene: Scene) -> str:
    kind = scene.kind
    if kind in (w.NL, w.END):
        return w.DESCRIPTIONS[kind]
    text = scene.text(scene.at).split("\n")[0]
    if kind in (w.STRING_MID, w.STRING_TAIL, w.TRIPLE_MID, w.TRIPLE_TAIL):
        text = "}"
    elif kind == w.KEY:
        text = text.rstrip(": \t") + ":"
    return f"`{text if len(text) <= 30 else text[:29] + '…'}`" if text else w.DESCRIPTIONS.get(kind, "this")


def after_text(scene: Scene) -> str:
    if not scene.at or scene.before in (w.NL, w.END):
        return ""
    text = scene.text(scene.at - 1)
    if scene.before == w.KEY:
        text = text.rstrip(": \t") + ":"
    if not text or "\n" in text or len(text) > 30:
        return " here"
    return f" after `{text}`"


def wanted_text(possible: set[int]) -> str:
    """At most three things that could come, the telling ones first."""
    if w.IMPORT in possible:
        return "a declaration"
    if w.REQUIRE in possible and w.LET in possible:
        return "a statement"
    if w.BAD_EXPR in possible:
        return "a value"
    if w.NAME in possible and possible & {w.SERVICE, w.TEST}:
        return "a name"
    signs = [
        w.DESCRIPTIONS[kind]
        for kind in (w.ASSIGN, w.ARROW, w.COLON, w.IN, w.THEN, w.CATCH, w.LBRACE, w.RBRACE, w.RPAR, w.RSQB, w.RMAP,
                     w.COMMA, w.KEY, w.NAME, w.MEMBER, w.STRING, w.BEFORE, w.AFTER, w.FAILURE, w.STRING_TAIL, w.NL,
                     w.ELSE, w.END)
        if kind in possible
    ]
    operator = w.AND in possible
    if w.THEN in possible:
        signs = ["`then`"]
    elif w.LBRACE in possible and w.NL in possible:
        signs = ["the end of the line", "`{`"]
    elif w.LBRACE in possible:
        signs = ["`{`"]
    elif w.NL in possible:
        signs = ["the end of the line"]
    elif operator:
        signs = [sign for sign in signs if sign != "`in`"]
    if operator:
        signs.insert(0, "an operator")
    unique = list(dict.fromkeys(signs))[:3]
    return ", ".join(unique[:-1]) + " or " + unique[-1] if len(unique) > 1 else "".join(unique)
