"""Fixes: what is mended is gone, the policy still checks, stays laid out, and is mended once and for all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import pytest

from policylang.check import check_text
from policylang.check import program as p
from policylang.diagnostics import Diagnostic, Edit, Fix, Severity
from policylang.lint.configuration import Configuration
from policylang.lint.examples import FILES, Anything, catalog, check, parts, policy
from policylang.lint.known import all_rules
from policylang.lint.mend import ROUNDS, Mended, mend
from policylang.lint.run import Linted, lint
from policylang.source import Source, Span
from policylang.syntax.printer import fmt_text
from policylang.trace.incoming import Incoming
from policylang.trace.offline import Offline

WRONG = {file.stem: file.read_text() for file in sorted(Path(__file__).parent.glob("wrong/*/*.pol"))}
RULES = {rule.name: rule for rule in all_rules()}


def look(texts: Mapping[str, str], only: str = "") -> Linted:
    """`policy.pol` beside the files of examples."""
    files = {**FILES, **{name: text.encode() for name, text in texts.items()}}
    checked = check_text(texts["policy.pol"], "policy.pol", files, Anything(), catalog=catalog())
    return [(checked, lint(checked, catalog(), Configuration(only=frozenset({only} - {""}))))]


def mended(text: str, unsafe: bool, only: str = "") -> Mended:
    return mend(lambda texts: look({"policy.pol": text, **texts}, only), unsafe)


def found(text: str) -> list[Diagnostic]:
    return look({"policy.pol": text})[0][1]


@cache
def examples() -> list[tuple[str, str, bool]]:
    """Every wrong text whose finding has a fix, with the rule that finds it, and whether its fixes are safe."""
    texts = [(rule.name, policy(parts(rule)[1])) for rule in RULES.values()]
    texts += [(name.partition("_")[0], text) for name, text in WRONG.items()]
    listed = []
    for name, text in texts:
        if check(text).program is None:
            continue  # the tests of pages and of wrong policies say so
        fixes = [each.fix for each in found(text) if each.name == name and each.fix is not None]
        if fixes:
            listed.append((name, text, all(fix.safe for fix in fixes)))
    return listed


IDS = [f"{name}-{number}" for number, (name, _, _) in enumerate(examples())]


@pytest.mark.parametrize(("name", "text", "safe"), examples(), ids=IDS)
def test_a_fix_mends_what_was_found(name: str, text: str, safe: bool) -> None:
    before = [each for each in found(text) if each.name == name and each.fix is not None]
    result = mended(text, not safe, name if name != "unused-allow" else "")
    fresh = result.texts["policy.pol"]
    left = [each for each in found(fresh) if each.name == name and each.fix is not None]
    assert len(before) > 0 and not left, fresh
    again = mended(fresh, not safe, name)
    assert not again.texts and again.count == 0, "a second time there is nothing to mend"


@pytest.mark.parametrize(("name", "text", "safe"), examples(), ids=IDS)
def test_what_was_laid_out_stays_so(name: str, text: str, safe: bool) -> None:
    (checked, _), = look({"policy.pol": text})
    source = checked.files[0].source
    fresh = mended(text, True, name if name != "unused-allow" else "").texts["policy.pol"]
    laid_out = fmt_text(Source("policy.pol", fresh))
    assert isinstance(laid_out, str)
    if fmt_text(source) == text:
        assert fresh == laid_out


@pytest.mark.parametrize(("name", "text", "safe"), examples(), ids=IDS)
def test_a_safe_fix_brings_no_other_finding(name: str, text: str, safe: bool) -> None:
    """An unsafe one may: somebody is asked to look."""
    if not safe:
        assert not mended(text, False, name).texts, "without --unsafe nothing is changed"
        return
    after = {each.name for each in found(mended(text, False).texts["policy.pol"])}
    assert after <= {each.name for each in found(text)} - {name}


# --- what a safe fix changes of the answers: nothing ---

REQUESTS = 40
METHODS = ("GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS")


def requests(text: str, program: p.Program) -> Iterator[Incoming]:
    """Some that a policy tells apart: of its own paths, names and words."""
    random = Random(text)
    words = [each for each in re.findall(r'"([^"\n${}]{0,30})"', text) if each.isprintable()] + ["7", "k1", ""]
    fields = sorted(set(re.findall(r'header\["([\w-]+)"\]', text)) | {"X-API-Key", "Accept-Language"})
    names = re.findall(r"(?:query|json|cookie)\.(\w+)", text) or ["id"]
    paths = [path.text for service in program.services for path in service.paths]
    for _ in range(REQUESTS):
        found = Incoming()
        found.method = random.choice(METHODS)
        path = re.sub(r"\{\w+\}", lambda _: quote(random.choice(words) or "x", safe=""), random.choice(paths))
        query = urlencode([(name, random.choice(words)) for name in names if random.random() < 0.5])
        found.ask_for(path.replace("**", "a/b") + (f"?{query}" if query else ""))
        for name in fields:
            if random.random() < 0.7:
                found.set_field(name, random.choice(words))
        if found.method in ("POST", "PUT"):
            found.body = json.dumps({name: random.choice([*words, 1, 0, None, []]) for name in names}).encode()
            found.set_field("Content-Type", "application/json")
        found.client = random.choice(["192.0.2.1", "198.51.100.7", "127.0.0.1", "2001:db8::1"])
        yield found


def told(text: str, asked: Sequence[Incoming]) -> tuple[list[tuple[int, object]], object]:
    """All that clients, upstreams and the log learn; of clients the statuses apart."""
    gateway = Offline(program(text))
    seen = [gateway.send(each).document for each in asked]
    return [(each["answer"]["status"], (each["answer"], each["received"])) for each in seen], gateway.environment.logs


def program(text: str) -> p.Program:
    found = check(text).program
    assert found is not None
    return found


def mended_safely(name: str, text: str) -> str:
    return mended(text, False, name if name != "unused-allow" else "").texts.get("policy.pol", text)


SAFE = [(name, text) for name, text, _ in examples() if mended_safely(name, text) != text]


@pytest.mark.parametrize(("name", "text"), SAFE, ids=[f"{name}-{number}" for number, (name, _) in enumerate(SAFE)])
def test_a_safe_fix_changes_no_answer(name: str, text: str) -> None:
    asked = list(requests(text, program(text)))
    assert told(mended_safely(name, text), asked) == told(text, asked)


def test_requests_reach_policies() -> None:
    """Those of the test above are let through often enough to say something."""
    answers = [told(text, list(requests(text, program(text))))[0] for _, text in SAFE]
    statuses = [status for seen in answers for status, _ in seen]
    assert len(SAFE) >= 20
    assert sum(status < 300 for status in statuses) > len(statuses) / 10


# --- how edits are put into a text ---

TEXT = """\
gateway {
    listen "127.0.0.1:8080"
}

service example "/" {
    log "a"
    log "b"  # of b
    log "c"
    respond 204
}
"""


def fixed(*edits: tuple[str, str], rule: str = "some-rule", safe: bool = True) -> Diagnostic:
    """A finding that wants these pieces of the text replaced, all at once."""
    source = Source("policy.pol", TEXT)
    spans = [Span(source, TEXT.index(piece), TEXT.index(piece) + len(piece)) for piece, _ in edits]
    replaced = tuple(Edit(span, new) for span, (_, new) in zip(spans, edits, strict=True))
    return Diagnostic(rule, spans[0], "wrong", Severity.WARNING, fix=Fix("mend it", replaced, safe=safe))


def mend_once(*wanted: Diagnostic, unsafe: bool = False) -> Mended:
    """These findings the first time, none later."""

    def findings(texts: Mapping[str, str]) -> Linted:
        checked = check_text(texts.get("policy.pol", TEXT), "policy.pol")
        return [(checked, [] if texts or checked.program is None else list(wanted))]

    return mend(findings, unsafe)


def test_what_is_taken_away_goes_with_its_line() -> None:
    assert mend_once(fixed(('log "a"', ""))).texts["policy.pol"] == TEXT.replace('    log "a"\n', "")
    assert mend_once(fixed(("# of b", ""))).texts["policy.pol"] == TEXT.replace("  # of b", "")
    assert '    # of b\n    log "c"' in mend_once(fixed(('log "b"', ""))).texts["policy.pol"]


def test_edits_of_one_fix_go_together_or_not_at_all() -> None:
    both = fixed(('"a"', '"x"'), ('"c"', '"y"'))
    overlapping = fixed(('log "c"', 'log "z"'), ('"b"', '"z"'))
    result = mend_once(both, overlapping)
    assert result.texts["policy.pol"] == TEXT.replace('"a"', '"x"').replace('"c"', '"y"')
    assert result.count == 1


def test_unsafe_ones_wait_for_the_flag() -> None:
    wanted = fixed(('"a"', '"x"'), safe=False)
    assert mend_once(wanted).texts == {}
    assert mend_once(wanted, unsafe=True).count == 1


def test_a_fix_that_makes_it_wrong_is_left_out_and_the_others_are_not() -> None:
    harmful = fixed(("respond 204", "respond 2004"), rule="harmful-rule")
    unreadable = fixed(('"b"', '"b'), rule="unreadable-rule")
    result = mend_once(harmful, fixed(('"a"', '"x"')), unreadable)
    assert result.texts["policy.pol"] == TEXT.replace('"a"', '"x"')
    assert mend_once(harmful).texts == {}


def test_it_ends_also_when_a_fix_never_does() -> None:
    rounds = []

    def findings(texts: Mapping[str, str]) -> Linted:
        text = texts.get("policy.pol", TEXT)
        rounds.append(text)
        checked = check_text(text, "policy.pol")
        source = checked.files[0].source
        at = text.index('"b') + 1
        longer = Diagnostic("some-rule", Span(source, at, at), "x", Severity.WARNING,
                            fix=Fix("mend it", (Edit(Span(source, at, at), "b"),), safe=True))  # fmt: skip
        return [(checked, [longer])]

    result = mend(findings)
    assert result.count == ROUNDS == len(rounds) - 1
