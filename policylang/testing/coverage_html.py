"""Coverage as one page that needs nothing else: the policies as they are written, coloured by what was seen of them."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from policylang.syntax.parser import parse
from policylang.testing.coverage_report import FileCoverage, Mark, Part, Report, Seen, percent
from policylang.testing.coverage_text import by_line

_FULL, _PART, _NONE = "full", "part", "none"
_SIGNS = {_FULL: "✓", _PART: "!", _NONE: "✗", "": ""}
_WORDS = {_FULL: "all seen", _PART: "in part", _NONE: "nothing seen", "": ""}


def render(report: Report) -> str:
    rows = "".join(_row(number, file, report) for number, file in enumerate(report.files))
    files = "".join(_file(number, file) for number, file in enumerate(report.files))
    known = {file.source.name for file in report.files}
    untested = "".join(
        f'<li class="none"><code>{escape(name)}</code><span class="note">no test reads it</span></li>\n'
        for name in report.untested
        if name not in known
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{percent(report.met, report.goals)} coverage by outcome</title>\n<style>{_STYLE}</style>\n</head>\n"
        "<body>\n<header>\n<h1>Coverage by outcome</h1>\n"
        f'<p class="sum"><b>{percent(report.met, report.goals)}</b> '
        f"{report.met:,} of {report.goals:,} outcomes seen</p>\n"
        '<p class="legend"><span class="full">✓ all seen</span> <span class="part">! in part</span> '
        '<span class="none">✗ nothing seen</span> '
        "<span>A number says how often tests saw an outcome; outcomes in grey need not be seen.</span></p>\n"
        f"</header>\n<nav aria-label=\"Policies\"><ul>\n{rows}{untested}</ul></nav>\n<main>\n{files}</main>\n</body>\n"
        "</html>\n"
    )


def _row(number: int, file: FileCoverage, report: Report) -> str:
    share = 100 * file.met / file.goals if file.goals else 100.0
    note = ", no test reads it" if file.source.name in report.untested else ""
    return (
        f'<li class="{_state(file.met, file.goals)}"><a href="#f{number}"><code>{escape(file.source.name)}</code></a>'
        f'<span class="bar" aria-hidden="true"><i style="width:{share:.1f}%"></i></span>'
        f"<span>{percent(file.met, file.goals)}</span><small>{file.met} of {file.goals}{note}</small></li>\n"
    )


def _file(number: int, file: FileCoverage) -> str:
    parts = "".join(_part(number, part) for part in file.parts)
    uncalled = "".join(
        f'<li class="none"><a href="#f{number}l{line}">assertion <b>{escape(name)}</b></a> is never called</li>'
        for name, line in file.uncalled
    )
    return (
        f'<section id="f{number}">\n<h2><code>{escape(file.source.name)}</code> '
        f"<small>{percent(file.met, file.goals)}, {file.met} of {file.goals}</small></h2>\n"
        f'<ul class="parts">{parts}{uncalled}</ul>\n<div class="code">\n{"".join(_lines(number, file))}</div>\n'
        "</section>\n"
    )


def _part(number: int, part: Part) -> str:
    name = f" <b>{escape(part.scope.name)}</b>" if part.scope.name else ""
    asked = ""
    if part.scope.kind == "service":
        asked = f", asked {part.asked:,} time{'s' * (part.asked != 1)}" if part.asked else ", never asked"
    return (
        f'<li class="{_state(part.met, part.goals)}"><a href="#f{number}l{part.scope.span.line}">'
        f"{part.scope.kind}{name}</a> {part.met} of {part.goals}{asked}</li>\n"
    )


def _state(met: int, goals: int) -> str:
    return _FULL if met == goals else _PART if met else _NONE


# --- lines ---------------------------------------------------------------------------------------


def _lines(number: int, file: FileCoverage) -> Iterator[str]:
    source = file.source
    said = by_line(file)
    states = _states(file, said)
    comments = {comment.span.line: comment.span.column - 1 for comment in parse(source)[0].comments}
    for line in range(1, source.line_count + 1 - source.text.endswith("\n")):
        text = source.line(line)
        at = comments.get(line, len(text))
        written = escape(text[:at]) + (f"<i>{escape(text[at:])}</i>" if text[at:] else "")
        state = states.get(line, "")
        # A line that does not fit goes on a little to the right of where it began.
        indent = f' style="--in:{len(text) - len(text.lstrip()) + 2}ch"' if text.strip() else ""
        outcomes = "".join(_outcomes(seen, marks, line) for seen, marks in said.get(line, ()))
        beside = f'<div class="o">{outcomes}</div>' if outcomes else ""
        named = f' role="img" title="{_WORDS[state]}"' if state else ""
        yield (
            f'<div class="l {state}" id="f{number}l{line}"><span class="n">{line}</span>'
            f'<span class="s"{named}>{_SIGNS[state]}</span>'
            f"<code{indent}>{written}</code>{beside}</div>\n"
        )


def _states(file: FileCoverage, said: dict[int, list[tuple[Seen, list[Mark]]]]) -> dict[int, str]:
    """How each line is coloured: by the goals on it; one that only begins something, by all in it; one that goes on
    with a statement, like its first."""
    states = {part.scope.span.line: _state(part.met, part.goals) for part in file.parts}
    for line, statements in said.items():
        goals = [mark for _, marks in statements for mark in marks if mark.goal]
        if not goals:
            outer = statements[0][0].span
            within = [seen for seen in file.statements if outer.start <= seen.span.start < outer.end]
            goals = [mark for seen in within for mark in seen.marks if mark.goal]
        states[line] = _state(sum(mark.count > 0 for mark in goals), len(goals))
    for seen in file.statements:
        first = seen.span.line
        for line in range(first, file.source.position(seen.span.end)[0] + 1):
            if line > first and line in said:
                break
            states.setdefault(line, states.get(first, ""))
            if file.source.line(line).rstrip().endswith("{"):
                break
    return states


def _outcomes(seen: Seen, marks: list[Mark], line: int) -> str:
    word = f'<span class="w">{escape(seen.word)}</span>'
    if not seen.reached:
        if line != seen.span.line:
            return ""
        return f'<p class="never">{word} <em>not reached:</em> {_ticked(seen.why)}</p>'
    return f"<p>{word} {' '.join(map(_chip, marks))}</p>"


def _chip(mark: Mark) -> str:
    if mark.count:
        style = "seen" if mark.goal else "more"
        return f'<span class="c {style} {mark.kind}">{escape(mark.label)} <b>{mark.count:,}</b></span>'
    return f'<span class="c miss">{escape(mark.label)} <b>never</b></span>'


def _ticked(text: str) -> str:
    """What stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --dim: #5f6873; --page: #ffffff; --panel: #f5f6f8; --edge: #d9dde2;
  --full: #18763e; --full-back: #e4f4ea; --part: #8a5a00; --part-back: #fdf1d3; --none: #b3261e; --none-back: #fde7e5 }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --dim: #98a2ad; --page: #14171a; --panel: #1c2024;
  --edge: #343b43; --full: #6fd195; --full-back: #16301f; --part: #f0c35b; --part-back: #362b10; --none: #ff9a92;
  --none-back: #431d1b } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem; max-width: 100rem; color: var(--text); background: var(--page);
  font: 15px/1.5 system-ui, sans-serif }
code, .n, .s { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: 13px }
h1 { margin: 0; font-size: 1.4rem } h2 { margin: 2.5rem 0 .5rem; font-size: 1.05rem; overflow-wrap: anywhere }
h2 code { font-size: 1rem } small { color: var(--dim); font-weight: normal }
a { color: inherit }
.sum { margin: .25rem 0; font-size: 1.1rem } .sum b { font-size: 1.8rem; margin-right: .4rem }
.legend { margin: 0 0 1rem; color: var(--dim); font-size: .9rem }
.legend span { margin-right: .8rem; color: var(--dim) }
.legend .full, nav .full span:not(.bar), .parts .full { color: var(--full) }
.legend .part, nav .part span:not(.bar), .parts .part { color: var(--part) }
.legend .none, nav .none span:not(.bar), .parts .none { color: var(--none) }
nav ul, .parts { list-style: none; margin: 0; padding: 0 }
nav li { display: grid; grid-template-columns: minmax(0, 26rem) minmax(3rem, 12rem) 3.5rem 12rem; gap: .8rem;
  align-items: center; padding: .15rem 0 }
nav code { overflow-wrap: anywhere }
nav .note { grid-column: 2 / -1 }
.bar { height: .5rem; border-radius: .25rem; background: var(--edge); overflow: hidden }
.bar i { display: block; height: 100%; background: var(--full) }
.part .bar i { background: var(--part) } .none .bar i { background: var(--none) }
.parts { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin-bottom: .6rem; font-size: .9rem }
.code { border: 1px solid var(--edge); border-radius: .5rem; overflow: hidden; background: var(--panel) }
.l { display: grid; grid-template-columns: 3rem 1.4rem minmax(0, 1fr) minmax(0, 30rem); align-items: start;
  border-left: 4px solid transparent; padding-right: .6rem }
.l:target { outline: 2px solid var(--part); outline-offset: -2px }
.n { padding: .1rem .6rem .1rem 0; text-align: right; color: var(--dim); user-select: none }
.s { padding: .1rem 0; text-align: center; font-weight: bold; user-select: none }
.l > code { padding: .1rem .8rem .1rem calc(.3rem + var(--in, 0ch)); text-indent: calc(-1 * var(--in, 0ch));
  white-space: pre-wrap; overflow-wrap: anywhere; min-height: 1.5rem }
.l > code i { color: var(--dim); font-style: normal }
.o { padding: .1rem 0; font-size: .82rem } .o p { margin: 0 0 .15rem; color: var(--dim); line-height: 1.65 }
.o .w { margin-right: .3rem }
.full { border-color: var(--full) } .l.full { background: var(--full-back) } .full .s { color: var(--full) }
.part { border-color: var(--part) } .l.part { background: var(--part-back) } .part .s { color: var(--part) }
.none { border-color: var(--none) } .l.none { background: var(--none-back) } .none .s { color: var(--none) }
.c { display: inline-block; margin: 0 .1rem; padding: 0 .45rem; border: 1px solid var(--edge); border-radius: .7rem;
  background: var(--page); white-space: nowrap }
.c.seen { color: var(--full); border-color: var(--full) }
.c.miss { color: var(--none); border-color: var(--none); border-style: dashed; font-weight: bold }
.o .never, .o .never .w { color: var(--none) } .never code { font-size: .95em }
@media (max-width: 60rem) {
  body { padding: .8rem } .l { grid-template-columns: 2.4rem 1.2rem minmax(0, 1fr) }
  .o { grid-column: 3; padding: 0 0 .3rem .3rem }
  nav li { grid-template-columns: minmax(0, 1fr) 3.5rem; gap: 0 .8rem } .bar { grid-column: 1 / -1; order: 3 }
  nav .note, nav small { grid-column: 1 / -1; order: 4 }
}
@media print { .code { overflow: visible } }
"""
