"""A safe fix changes nothing of what a policy does: generated policies, before and after, asked the same things."""

from __future__ import annotations

import copy
import re

from reference.generate import FILES, Generator
from reference.real import Answer, Real

from policylang.check import check_text
from policylang.diagnostics import Fix
from policylang.lint.examples import catalog
from policylang.lint.run import lint

POLICIES, MESSAGES, FEWEST = 60, 6, 100


def applied(text: str, fix: Fix) -> str:
    for edit in sorted(fix.edits, key=lambda each: -each.span.start):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    return text


def seen(answer: Answer) -> tuple[object, ...]:
    """All that callers and upstreams see, but for the lines of failures, which move."""
    body = re.sub(rb'"l":\d+', b"", answer.body or b"")
    return answer.status, answer.headers, body, answer.calls


def test_what_is_mended_answers_as_before() -> None:
    tried = 0
    for seed in range(POLICIES):
        generator = Generator(seed)
        text, messages = generator.policy(), generator.messages(MESSAGES)
        checked = check_text(text, "policy.pol", FILES, {}, catalog=catalog())
        if checked.program is None:
            continue
        for found in lint(checked, catalog()):
            if found.fix is None or not found.fix.safe:
                continue
            mended = applied(text, found.fix)
            if check_text(mended, "policy.pol", FILES, {}, catalog=catalog()).program is None:
                continue  # `--fix` leaves it out as well
            tried += 1
            before, after = Real(text, FILES), Real(mended, FILES)
            for message in messages:
                one, other = before.handle(copy.deepcopy(message)), after.handle(copy.deepcopy(message))
                assert seen(one) == seen(other), f"{found.name} of policy {seed}: {found.message}\n{text}"
    assert tried >= FEWEST, tried
