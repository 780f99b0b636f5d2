"""What a string's text means: escapes, and the indent that the lines of a `\"\"\"` have in common."""

from __future__ import annotations

import re

from policylang.diagnostics import Diagnostic, Edit, Fix
from policylang.source import Span

_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|([\s\S])|\Z)")
_SINGLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def unescape(text: str) -> str:
    """The text that an escaped one stands for; what is no escape stays as it is."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_meaning, text)


def _meaning(m: re.Match[str]) -> str:
    if m[1]:
        character = chr(int(m[1], 16))
        # A lone surrogate cannot be written as UTF-8, so no message could ever carry it.
        return "\ufffd" if "\ud800" <= character <= "\udfff" else character
    return _SINGLE.get(m[2] or "", m[0])


def odd_escapes(span: Span) -> list[Diagnostic]:
    """A diagnostic for every escape in `span` that the language does not know."""
    text = span.text
    found = []
    for m in _ESCAPE.finditer(text):
        if m[2] in _SINGLE or (m[1] and not 0xD800 <= int(m[1], 16) <= 0xDFFF):
            continue
        start = span.start + m.start()
        place = Span(span.source, start, span.start + m.end())
        if m[1]:
            message, help_ = f"`{m[0]}` is half of a character", "write the character itself"
            fix = None
        else:
            shown = m[0] if (m[2] or "").isprintable() else "\\"
            message = f"`{shown}` is no escape"
            help_ = 'write `r"…"` for a regular expression or a path, or `\\\\` for a backslash'
            fix = Fix("double the backslash", (Edit(Span(span.source, start, start + 1), "\\\\"),))
            body = text[1:-1]
            if text[0] == '"' and '"' not in body and "${" not in body and not re.search(r'\\[\\"$nrt]', body):
                fix = Fix("write a raw string", (Edit(Span(span.source, span.start, span.start), "r"),))
        found.append(Diagnostic("unknown-escape", place, message, help=help_, fix=fix))
    return found


def lines_between(pieces: list[str]) -> list[str]:
    r"""The pieces of a `\"\"\"` string without its quotes, split at its interpolations: the lines between the
    quotes, without the indent that all lines with text share. The line breaks next to the quotes do not
    count where nothing else stands on those lines."""
    pieces = [piece.replace("\r\n", "\n") for piece in pieces]
    last = len(pieces) - 1
    margins = []
    for k, piece in enumerate(pieces):
        lines = piece.split("\n")
        for j, line in enumerate(lines[1:], 1):
            if line.strip(" \t") or (j == len(lines) - 1 and k < last):
                margins.append(line[: len(line) - len(line.lstrip(" \t"))])
    margin = _common_prefix(margins)
    result = []
    for k, piece in enumerate(pieces):
        first, *rest = piece.split("\n")
        lines = [first]
        for j, line in enumerate(rest, 1):
            has_text = line.strip(" \t") or (j == len(rest) and k < last)
            lines.append(line[len(margin) :] if has_text else "")
        if k == 0 and rest and not first.strip(" \t"):
            lines = lines[1:]
        if k == last and rest and not lines[-1]:
            lines = lines[:-1]
        result.append("\n".join(lines))
    return result


def _common_prefix(texts: list[str]) -> str:
    if not texts:
        return ""
    low, high = min(texts), max(texts)
    for i, character in enumerate(low):
        if character != high[i]:
            return low[:i]
    return low
