"""Numbers with units that are almost right: `5sec`, `5 s`, `10mb`, `10/sec`, `10 per second`."""

from __future__ import annotations

import re

from policylang.diagnostics import Diagnostic, Edit, Fix
from policylang.source import Span
from policylang.syntax import words as w

_AMOUNT = r"[0-9][0-9_]*(?:\.[0-9]+)?"
_RATE_WORDS = "|".join(
    sorted({*w.RATE_UNITS, *w.RATE_SLIPS, *w.RATE_UNKNOWN, "minute"}, key=lambda word: (-len(word), word))
)
_UNIT_WORDS = "|".join(
    sorted(
        {*w.DURATION_UNITS, *w.DURATION_SLIPS, *w.SIZE_UNITS, *w.SIZE_SLIPS} - {"k", "K", "g", "G", "M", "b", "B"},
        key=lambda word: (-len(word), word),
    )
)
# `10 per second`, `5 s`: a number never stands before a word that is no operator.
APART = rf"{_AMOUNT}[ \t]+(?:per[ \t]+(?:{_RATE_WORDS})|{_UNIT_WORDS})(?![A-Za-z0-9_])(?![ \t]*[:(.\[])"
ODD_RATE = rf"{_AMOUNT}/(?:{_RATE_WORDS})(?![A-Za-z0-9_.(\[])"
ODD_NUMBER = r"[0-9][A-Za-z0-9_]*(?:\.[0-9][A-Za-z0-9_]*)?"

_PARTS = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)[ \t]*(/|per\b)?[ \t]*([A-Za-z]*)\Z")
_EXPONENT = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)[eE]([0-9]{1,2})\Z")


def read(form: str, span: Span) -> tuple[int, str, Diagnostic]:
    """The kind and the text that was meant, and what to say about it. `form` is the lexer's alternative."""
    text = span.text
    m = None if text[:2] in ("0x", "0X") else _PARTS.match(text)
    if m and (m[2] or m[3]):
        amount, slash, unit = m[1].rstrip("_"), m[2], m[3]
        return _rate(span, amount, unit) if slash else _unit(span, amount, unit)
    return _number(span, text)


def _say(span: Span, message: str, meant: str | None, help: str = "", name: str = "unknown-unit") -> Diagnostic:
    fix = Fix(f"write `{meant}`", (Edit(span, meant),), safe=name == "unknown-unit") if meant else None
    return Diagnostic(name, span, message, help=help, fix=fix)


def _rate(span: Span, amount: str, unit: str) -> tuple[int, str, Diagnostic]:
    meant_unit = unit if unit in w.RATE_UNITS else w.RATE_SLIPS.get(unit)
    if "." in amount:
        finding = _say(span, f"a rate counts in whole numbers, not `{amount}`", None,
                       "take a longer time: `30/min` is one every two seconds", "fractional-rate")
        return w.RATE, f"1/{meant_unit or 's'}", finding
    if meant_unit:
        meant = f"{amount}/{meant_unit}"
        return w.RATE, meant, _say(span, f"a rate is written `{meant}`", meant)
    help_ = "write `/min` or `/month`" if unit == "m" else "a rate is `/s`, `/min`, `/hour`, `/day` or `/month`"
    return w.RATE, f"{amount}/s", _say(span, f"`{unit}` is no unit of a rate", None, help_)


def _unit(span: Span, amount: str, unit: str) -> tuple[int, str, Diagnostic]:
    if unit in w.DURATION_UNITS or unit in w.DURATION_SLIPS:
        meant = amount + w.DURATION_SLIPS.get(unit, unit)
        return w.DURATION, meant, _say(span, f"a duration is written `{meant}`", meant)
    if unit in w.SIZE_UNITS or unit in w.SIZE_SLIPS:
        meant = amount + w.SIZE_SLIPS.get(unit, unit)
        return w.SIZE, meant, _say(span, f"a size is written `{meant}`", meant)
    units = "durations end in `ms`, `s`, `m`, `h` or `d`, sizes in `B`, `KB`, `MB`, `KiB`, `MiB`…"
    return w.NUMBER, amount, _say(span, f"`{unit}` is no unit", None, units)


def _number(span: Span, text: str) -> tuple[int, str, Diagnostic]:
    if m := _EXPONENT.match(text):
        value = float(f"{m[1].replace('_', '')}e{m[2]}")
        meant = f"{int(value):_}" if value == int(value) else repr(value)
        return w.NUMBER, meant, _say(span, f"`{text}` is written out: `{meant}`", meant, name="malformed-number")
    if re.fullmatch(r"0[xX][0-9A-Fa-f]+", text):
        decimal = str(int(text, 16)) if len(text) <= 18 else None
        return w.NUMBER, decimal or "0", _say(span, "numbers are decimal", decimal, name="malformed-number")
    digits = re.sub(r"_+", "_", text).strip("_")
    if re.fullmatch(r"[0-9_]+(?:\.[0-9]+)?", digits):
        finding = _say(span, "in a number `_` stands between two digits", digits, name="malformed-number")
        return w.NUMBER, digits, finding
    return w.NUMBER, "0", _say(span, f"`{text}` is no number", None, name="malformed-number")
