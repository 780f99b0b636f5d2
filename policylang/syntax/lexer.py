"""Text to tokens: one compiled expression, made of the grammar's own terminals, and the lexical slips.

Newlines and brackets come out raw; `layout.py` decides which newlines end a statement and which `{` opens
a block. A slip whose meaning is plain (`&&`, `'text'`, `5sec`) is reported and read as what was meant, so
that the parser never sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from policylang.diagnostics import Diagnostic, Edit, Fix, Label
from policylang.source import Source, Span
from policylang.syntax import numerals, table_data
from policylang.syntax import words as w
from policylang.syntax.nodes import Comment


@dataclass(slots=True)
class Tokens:
    """Parallel lists: what token i is, and where. `written` holds, by start, what a repaired token stands
    for; on the lines in `damaged` nothing more is worth saying."""

    source: Source
    kinds: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    found: list[Diagnostic] = field(default_factory=list)
    written: dict[int, str] = field(default_factory=dict)
    damaged: set[int] = field(default_factory=set)

    def text(self, i: int) -> str:
        start = self.starts[i]
        return self.written.get(start) or self.source.text[start : self.ends[i]]

    def span(self, first: int, last: int | None = None) -> Span:
        return Span(self.source, self.starts[first], self.ends[first if last is None else last])

    def replace(self, first: int, end: int, tokens: list[tuple[int, int, int]]) -> None:
        """Puts (kind, start, end) tokens in the place of those from `first` up to `end`."""
        self.kinds[first:end] = [t[0] for t in tokens]
        self.starts[first:end] = [t[1] for t in tokens]
        self.ends[first:end] = [t[2] for t in tokens]


_SIGN = "|".join(re.escape(sign) for sign in sorted([*table_data.SIGNS, "{"], key=len, reverse=True))
_SLIP = "|".join(re.escape(sign) for sign in sorted([*w.SIGN_SLIPS, "=>", ";"], key=len, reverse=True))
_P = table_data.PATTERNS
# The order decides: longer forms stand before those that begin like them.
_ALTERNATIVES: tuple[tuple[str, str], ...] = (
    ("raw", _P["RAW"]),
    ("open_raw", r'r"[^\n]*'),
    ("key", _P["KEY"]),
    ("word", _P["MEMBER"]),
    ("newline", _P["_NL"]),
    ("comment", r"#[^\n]*"),
    ("apart", numerals.APART),
    ("rate", _P["RATE"]),
    ("duration", _P["DURATION"]),
    ("size", _P["SIZE"]),
    ("odd_rate", numerals.ODD_RATE),
    ("number", _P["NUMBER"]),
    ("odd_number", numerals.ODD_NUMBER),
    ("triple", _P["TRIPLE"]),
    ("triple_head", _P["TRIPLE_HEAD"]),
    ("open_triple", r'"""[\s\S]*'),
    ("string", _P["STRING"]),
    ("string_head", _P["STRING_HEAD"]),
    ("open_string", r'"[^\n]*'),
    ("foreign_comment", r"(?<![\w:])//[^\n]*|(?<![\w/*])/\*[\s\S]*?(?:\*/|\Z)"),
    ("bare_path", r"(?<=[ \t])/[A-Za-z_{*][^\s,\"'()\[\]]*"),
    ("slip", r"!(?!=)|" + _SLIP.replace("|!|", "|")),
    ("sign", _SIGN),
    ("close", r"\}"),
    ("single", r"'(?:[^'\\\n]|\\[^\n])*'|`[^`\n]*`|‘[^’\n]*’|[“”„][^“”\n\"]*[“”\"]"),
    ("blank", "[\\f\\v\\u00a0\\u1680\\u2000-\\u200f\\u2028\\u2029\\u202f\\u205f\\u2060\\u3000\\ufeff]+"),
    ("end", r"\Z"),
    ("other", r"[\s\S]"),
)
_TOKEN = re.compile(r"[ \t\r]*(?:" + "|".join(f"({pattern})" for _, pattern in _ALTERNATIVES) + ")")
_GROUP = {name: i + 1 for i, (name, _) in enumerate(_ALTERNATIVES)}
_PLAIN: dict[int, int] = {
    _GROUP[name]: w.NUMBER_OF[name.upper()]
    for name in ("raw", "key", "rate", "duration", "size", "number", "triple", "string")
} | {_GROUP["newline"]: w.NL}
_WORD, _COMMENT, _SIGN_GROUP, _CLOSE = _GROUP["word"], _GROUP["comment"], _GROUP["sign"], _GROUP["close"]
_NEWLINE = _GROUP["newline"]

_CONTINUE = {
    w.STRING_HEAD: (re.compile(_P["STRING_MID"]), w.STRING_MID, re.compile(_P["STRING_TAIL"]), w.STRING_TAIL),
    w.TRIPLE_HEAD: (re.compile(_P["TRIPLE_MID"]), w.TRIPLE_MID, re.compile(_P["TRIPLE_TAIL"]), w.TRIPLE_TAIL),
}
# Words that are words of the language in one place only.
_AFTER = {w.GLOBAL: {"before": w.BEFORE, "after": w.AFTER}, w.ON: {"failure": w.FAILURE}}
_RESERVED = {
    **{word: kind for word, kind in w.KEYWORDS.items() if kind not in (w.BEFORE, w.AFTER, w.FAILURE, w.SPLIT)},
    **dict.fromkeys(w.KEPT_WORDS, w.KEPT),
}
_SIGN_KINDS = {**w.SIGNS, "{": w.LBRACE}
_SPECIAL_BEFORE = frozenset({w.DOT, *_AFTER})
_SLIP_WORDS = w.LITERAL_SLIPS.keys() | w.ELSE_IF_SLIPS

# Where a string that nobody closed most likely ended.
_LIKELY_END = re.compile(r'(?<=.)(?=[\])]*\s*(?:,\s+[a-z_]\w*:|->|\{\s*$|[\])}]+\s*$|,\s*$|$))')
_SWALLOWED = re.compile(r'[\])]+\s*,\s+[a-z_]\w*:|[\])]*\s+(?:->|==|!=)\s|\]\s')


class Lexer:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = Tokens(source)
        # Open interpolations: the head's kind, braces open inside, the head's place.
        self.interpolations: list[list[int]] = []

    def scan(self) -> Tokens:
        text = self.source.text
        position = 0
        while position >= 0:
            position = self._run(text, position)
        end = len(text)
        if self.interpolations:
            self._close_interpolations(end)
        self._emit(w.END, end, end)
        return self.tokens

    def _run(self, text: str, position: int) -> int:
        """Scans until a `}` or a slip changes the place to go on from; -1 at the end of the text."""
        tokens = self.tokens
        kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
        interpolations, reserved, plain, sign_kinds = self.interpolations, _RESERVED, _PLAIN, _SIGN_KINDS
        previous = kinds[-1] if kinds else w.NL
        for m in _TOKEN.finditer(text, position):
            group = m.lastindex or 0
            start, end = m.span(group)
            if group == _WORD:
                word = m[group]
                kind = reserved.get(word, w.NAME)
                if previous in _SPECIAL_BEFORE:
                    kind = w.MEMBER if previous == w.DOT else _AFTER[previous].get(word, kind)
                elif word in _SLIP_WORDS:
                    self._slip_word(word, start, end)
                    previous = kinds[-1]
                    continue
            elif group in plain:
                kind = plain[group]
                if group == _NEWLINE and interpolations and interpolations[-1][0] == w.STRING_HEAD:
                    self._close_interpolations(start)
            elif group == _SIGN_GROUP:
                kind = sign_kinds[m[group]]
                if kind == w.LBRACE and interpolations:
                    interpolations[-1][1] += 1
            elif group == _COMMENT:
                line_start = text.rfind("\n", 0, start) + 1
                own = not text[line_start:start].strip()
                tokens.comments.append(Comment(Span(self.source, start, end), text[start:end].rstrip(), own))
                continue
            elif group == _CLOSE:
                if interpolations:
                    if interpolations[-1][1] == 0:
                        return self._go_on_with_string(text, start)
                    interpolations[-1][1] -= 1
                kind = w.RBRACE
            elif group == _GROUP["end"]:
                return -1
            else:
                resume = self._rare(_ALTERNATIVES[group - 1][0], start, end)
                if resume is not None:
                    return resume
                previous = kinds[-1] if kinds else w.NL
                continue
            kinds.append(kind)
            starts.append(start)
            ends.append(end)
            previous = kind
        return -1

    # --- strings ---------------------------------------------------------------------------------

    def _go_on_with_string(self, text: str, start: int) -> int:
        """At the `}` that ends an interpolation: the string's next piece, or its end."""
        head, _, _ = self.interpolations[-1]
        middle, middle_kind, tail, tail_kind = _CONTINUE[head]
        if m := tail.match(text, start):
            self.interpolations.pop()
            self._emit(tail_kind, start, m.end())
            return m.end()
        if m := middle.match(text, start):
            self._emit(middle_kind, start, m.end())
            return m.end()
        _, _, head_start = self.interpolations.pop()
        if head == w.TRIPLE_HEAD:
            end = len(text)
        else:
            end = self._likely_end(start + 1, self._line_end(start))
        self._unclosed(head_start, end, '"""' if head == w.TRIPLE_HEAD else '"')
        self._emit(tail_kind, start, end)
        self.tokens.written[start] = "}" + text[start + 1 : end] + ('"""' if head == w.TRIPLE_HEAD else '"')
        return end

    def _close_interpolations(self, at: int) -> None:
        """The line (or the file) ends inside `${`."""
        head, _, start = self.interpolations[0]
        self._interpolation_open(start, at)
        while self.interpolations and (self.interpolations[-1][0] == w.STRING_HEAD or at == len(self.source.text)):
            head, _, _ = self.interpolations.pop()
            kind = _CONTINUE[head][3]
            self._emit(kind, at, at)
            self.tokens.written[at] = '}"""' if kind == w.TRIPLE_TAIL else '}"'

    def _interpolation_open(self, start: int, at: int) -> None:
        line = self.source.position(start)[0]
        if line not in self.tokens.damaged:
            opening = self.source.text.index("${", start)
            self._error("unclosed-interpolation", opening, opening + 2, "this `${` is not closed",
                        help="write `}` after the expression; a plain `$` before `{` is written `\\$`")
        self._damage(start, at)

    def _unclosed(self, start: int, end: int, quote: str) -> None:
        shown = min(end, self._line_end(start))
        fix = Fix(f"add `{quote}`", (Edit(Span(self.source, end, end), quote),))
        self._error("unclosed-string", start, shown, f"this string is not closed: `{quote}` is missing", fix=fix)
        self._damage(start, end)

    def _line_end(self, at: int) -> int:
        end = self.source.text.find("\n", at)
        return len(self.source.text) if end < 0 else end

    def _likely_end(self, start: int, line_end: int) -> int:
        piece = self.source.text[start:line_end]
        m = _LIKELY_END.search(piece)
        return start + m.start() if m else line_end

    def _open_string(self, start: int, end: int, raw: bool) -> int:
        """A quote without its partner: usually of this string, at times of one earlier in the line."""
        text, tokens = self.source.text, self.tokens
        if self.interpolations and self.interpolations[-1][0] == w.STRING_HEAD and not raw:
            head, _, head_start = self.interpolations.pop()
            self._interpolation_open(head_start, end)
            self._emit(_CONTINUE[head][3], start, start + 1)
            tokens.written[start] = '}"'
            return start + 1
        line_start = text.rfind("\n", 0, start) + 1
        first = len(tokens.kinds)
        while first and tokens.starts[first - 1] >= line_start:
            first -= 1
        for i in range(first, len(tokens.kinds)):
            if tokens.kinds[i] == w.STRING and (m := _SWALLOWED.search(text, tokens.starts[i] + 1, tokens.ends[i])):
                start, cut = tokens.starts[i], m.start()
                tokens.replace(i, len(tokens.kinds), [])
                break
        else:
            cut = self._likely_end(start + (2 if raw else 1), end)
        self._unclosed(start, cut, '"')
        self._emit(w.RAW if raw else w.STRING, start, cut)
        body = text[start:cut]
        tokens.written[start] = (body[:-1] if not raw and re.search(r"(?<!\\)(?:\\\\)*\\$", body) else body) + '"'
        return cut

    def _open_triple(self, start: int) -> int:
        """Most likely it ends with the lines that stand deeper than the one it begins on."""
        text = self.source.text
        line_start = text.rfind("\n", 0, start) + 1
        line = text[line_start:start]
        depth = len(line) - len(line.lstrip())
        end = self._line_end(start)
        while end < len(text):
            following = text[end + 1 : self._line_end(end + 1)]
            if following.strip() and len(following) - len(following.lstrip()) <= depth:
                break
            end = self._line_end(end + 1)
        self._unclosed(start, end, '"""')
        self._emit(w.TRIPLE, start, end)
        self.tokens.written[start] = '"""' + text[start + 3 : end].replace("${", "\\${").rstrip('\\"') + '"""'
        return end

    # --- slips -----------------------------------------------------------------------------------

    def _rare(self, name: str, start: int, end: int) -> int | None:
        """What seldom occurs; an offset when the scan must go on from elsewhere."""
        text = self.source.text[start:end]
        match name:
            case "string_head" | "triple_head":
                kind = w.STRING_HEAD if name == "string_head" else w.TRIPLE_HEAD
                self._emit(kind, start, end)
                self.interpolations.append([kind, 0, start])
            case "open_string" | "open_raw":
                return self._open_string(start, end, name == "open_raw")
            case "open_triple":
                return self._open_triple(start)
            case "apart" | "odd_rate" | "odd_number":
                kind, meant, finding = numerals.read(name, Span(self.source, start, end))
                self.tokens.found.append(finding)
                self._emit(kind, start, end)
                self.tokens.written[start] = meant
            case "bare_path":
                return self._bare_path(text, start, end)
            case "single":
                self._quotes(text, start, end)
            case "slip":
                self._slip_sign(text, start, end)
            case "foreign_comment":
                self._foreign_comment(text, start, end)
            case "blank":
                if start or text != "\ufeff":
                    self._error("strange-character", start, end, f"this blank is not a space: {_spelled(text[0])}",
                                fix=self._fix("write a space", start, end, " ", safe=True))
            case _:
                self._other(text, start, end)
        return None

    def _slip_word(self, word: str, start: int, end: int) -> None:
        text = self.source.text
        if word in w.ELSE_IF_SLIPS:
            self._error("else-if", start, end, f"`{word}` is written `else if`",
                        fix=self._fix("write `else if`", start, end, "else if", safe=True))
            self._emit(w.ELSE, start, end)
            self._emit(w.IF, end, end)
            return
        meant = w.LITERAL_SLIPS[word]
        if text[end : end + 1] == "(" or self.tokens.kinds[-1:] == [w.LET]:
            self._emit(w.NAME, start, end)
            return
        self._error("foreign-literal", start, end, f"`{word}` is written `{meant}`",
                    fix=self._fix(f"write `{meant}`", start, end, meant, safe=True))
        self._emit(w.KEYWORDS[meant], start, end)
        self.tokens.written[start] = meant

    def _bare_path(self, text: str, start: int, end: int) -> int | None:
        """`service orders /orders/{id} {`: where a value must begin, `/` divides nothing."""
        kinds = self.tokens.kinds
        last, before = [w.NL, *kinds[-1:]][-1], [w.NL, *kinds[-2:-1]][-1]
        if not (last in (w.COMMA, w.KEY) or (last == w.NAME and before in (w.SERVICE, w.NL, w.LBRACE))):
            self._emit(w.SLASH, start, start + 1)
            return start + 1
        fix = self._fix("add quotes", start, end, f'"{text}"')
        self._error("bare-path", start, end, "a path stands in quotes", fix=fix)
        self._emit(w.STRING, start, end)
        self.tokens.written[start] = f'"{text}"'
        return None

    def _quotes(self, text: str, start: int, end: int) -> None:
        body = text[1:-1]
        if text[0] == "'":
            body = body.replace("\\'", "'")
        meant = '"' + re.sub(r'(?<!\\)"', r'\\"', body) + '"'
        if text[0] in "'`":
            name, what = "single-quotes", "strings stand in double quotes"
        else:
            name, what = "typographic-quotes", "strings stand in straight double quotes"
        self._error(name, start, end, what, fix=self._fix(f"write `{meant}`", start, end, meant))
        self._emit(w.STRING, start, end)
        self.tokens.written[start] = meant.replace("${", "\\${")

    def _slip_sign(self, text: str, start: int, end: int) -> None:
        if text == "=>":
            self._emit(w.FAT_ARROW, start, end)
            return
        if text == ";":
            after = self.source.text[end : self._line_end(end)].strip()
            last = not after or after[0] in "#}"
            self._error("semicolon", start, end, "a statement ends with its line, without `;`",
                        fix=self._fix("remove `;`", start, end, "", safe=True) if last else None,
                        help="" if last else "write the next statement on a line of its own")
            if not last:
                self._emit(w.NL, start, end)
            return
        kind, meant = w.SIGN_SLIPS[text]
        before = self.source.text[start - 1 : start]
        after = self.source.text[end : end + 1]
        spaced = meant
        if meant.isalpha():
            spaced = (" " if before and not before.isspace() and before not in "([{" else "") + meant
            spaced += " " if not after.isspace() else ""
        self._error("foreign-operator", start, end, f"`{text}` is written `{meant}`",
                    fix=self._fix(f"write `{meant}`", start, end, spaced, safe=True))
        self._emit(kind, start, end)
        self.tokens.written[start] = meant

    def _foreign_comment(self, text: str, start: int, end: int) -> None:
        fix = None
        shown = end
        if text.startswith("//"):
            fix = self._fix("write `#`", start, start + 2, "#", safe=True)
        else:
            shown = min(end, self._line_end(start))
        self._error("foreign-comment", start, shown, "a comment begins with `#`", fix=fix,
                    help="" if fix else "begin each of its lines with `#`")
        if "\n" in text:
            self._emit(w.NL, end - 1, end)

    def _other(self, text: str, start: int, end: int) -> None:
        line = self.source.position(start)[0]
        if text == "'":
            end = self._likely_end(start + 1, self._line_end(start))
            self._error("single-quotes", start, end, "strings stand in double quotes, and this one is not closed")
            self._emit(w.STRING, start, start + 1)
            self.tokens.written[start] = '""'
            self._damage(start, end)
            return
        if line in self.tokens.damaged:
            return
        if text == "\\" and not self.source.text[end : self._line_end(end)].strip():
            message, help_ = "a line is not continued with `\\`", "break the line after a comma or inside `( )`"
        elif text.isalpha():
            message, help_ = f"{_spelled(text)} cannot stand in a name", "names are made of `a` to `z`, digits and `_`"
        elif text in "$@":
            message, help_ = f"`{text}` does not belong here", "a name stands alone: `user.id`"
        else:
            message, help_ = f"{_spelled(text)} does not belong here", ""
        self._error("strange-character", start, end, message, help=help_)
        if text not in "$@":
            self._damage(start, end)

    # --- small things ----------------------------------------------------------------------------

    def _emit(self, kind: int, start: int, end: int) -> None:
        self.tokens.kinds.append(kind)
        self.tokens.starts.append(start)
        self.tokens.ends.append(end)

    def _damage(self, start: int, end: int) -> None:
        self.tokens.damaged.update((self.source.position(start)[0], self.source.position(end)[0]))

    def _fix(self, title: str, start: int, end: int, text: str, *, safe: bool = False) -> Fix:
        return Fix(title, (Edit(Span(self.source, start, end), text),), safe)

    def _error(
        self, name: str, start: int, end: int, message: str, *, help: str = "", fix: Fix | None = None,
        labels: tuple[Label, ...] = (),
    ) -> None:
        span = Span(self.source, start, end)
        self.tokens.found.append(Diagnostic(name, span, message, labels=labels, help=help, fix=fix))


def _spelled(character: str) -> str:
    if character.isprintable() and not character.isspace():
        return f"`{character}`"
    return f"the character U+{ord(character):04X}"


def scan(source: Source) -> Tokens:
    return Lexer(source).scan()
