"""What a safe fix leaves as it is besides answers: the names of counters, by which limits go on over a reload."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from policylang.check import check_text
from policylang.diagnostics import Diagnostic, Edit, Fix, Severity
from policylang.lint.examples import FILES, Anything, catalog, policy
from policylang.lint.mend import mend
from policylang.lint.run import Linted, lint
from policylang.source import Span

KEYS = [
    'quota 1_000/month, per: "${path.id}"',
    'rate_limit 10/s, per: "id-" + path.id',
    'rate_limit 10/s, per: path.id ?? "none"',
    'rate_limit 10/s, per: if path.id == "1" then true else false',
    'split by: "${path.id}" {\n    50 -> log "a"\n    50 -> log "b"\n}',
    'split by: path.id ?? "none" {\n    50 -> log "a"\n    50 -> log "b"\n}',
]


def look(texts: Mapping[str, str]) -> Linted:
    files = {**FILES, **{name: text.encode() for name, text in texts.items()}}
    checked = check_text(texts["policy.pol"], "policy.pol", files, Anything(), catalog=catalog())
    return [(checked, lint(checked, catalog()))]


@pytest.mark.parametrize("statement", KEYS)
def test_the_text_of_a_key_is_left_alone_unless_asked_for(statement: str) -> None:
    text = policy(f"{statement}\nroute orders\n")
    ((_, found),) = look({"policy.pol": text})
    fixes = [each.fix for each in found if each.fix is not None]
    assert fixes and not any(fix.safe for fix in fixes), [each.name for each in found]
    assert not mend(lambda texts: look({"policy.pol": text, **texts})).texts
    assert mend(lambda texts: look({"policy.pol": text, **texts}), unsafe=True).texts


def test_a_fix_that_calls_itself_safe_and_is_not_is_left_out() -> None:
    text = policy("rate_limit 10/s, per: path.id\nlog path.id\nroute orders\n")

    def told(texts: Mapping[str, str]) -> Linted:
        ((checked, _),) = look({"policy.pol": text, **texts})
        source = checked.files[0].source
        found = []
        for rule, piece in (("in-a-key", "per: path.id"), ("in-a-line", "log path.id")):
            start = source.text.find(piece)
            if start >= 0:
                span = Span(source, start, start + len(piece))
                new = piece.replace("path.id", '"${path.id}"')
                found.append(Diagnostic(rule, span, "x", Severity.WARNING, fix=Fix("x", (Edit(span, new),), safe=True)))
        return [(checked, found)]

    fresh = mend(told).texts["policy.pol"]
    assert "per: path.id" in fresh and 'log "${path.id}"' in fresh


@pytest.mark.parametrize("statement", [
    'log "asked for " + request.query.what',
    'require request.bearer == "a" or request.bearer == "b" or request.bearer == "c"',
])  # fmt: skip
def test_what_fails_by_another_name_or_takes_another_time_is_not_safe(statement: str) -> None:
    ((_, found),) = look({"policy.pol": policy(f"{statement}\nroute orders\n")})
    assert [each.fix.safe for each in found if each.fix is not None] == [False], [each.name for each in found]


def test_ends_of_lines_stay_what_they_were() -> None:
    text = policy(
        'api_key request.header["X-API-Key"], in: map("clients") -> caller\nlog "of ${caller.id}"\nroute orders\n'
    ).replace("\n", "\r\n")
    fresh = mend(lambda texts: look({"policy.pol": text, **texts}), unsafe=True).texts["policy.pol"]
    assert "remove request.header" in fresh
    assert fresh.count("\n") == fresh.count("\r\n") == text.count("\n") + 1
