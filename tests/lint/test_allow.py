"""Comments that allow: where they count, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from policylang.lint.allowing import RULES
from policylang.lint.examples import findings, policy
from policylang.lint.rules.limit_after_route import LimitAfterRoute
from policylang.source import Source
from policylang.syntax.printer import fmt_text

LATE = "rate_limit 10/s, per: client.ip"


def found(example: str) -> list[tuple[str, str]]:
    return [(each.name, each.span.text) for each in findings(policy(dedent(example)), [LimitAfterRoute, *RULES])]


def test_without_a_comment_it_is_found() -> None:
    assert found(f"route orders\n{LATE}\n") == [("limit-after-route", LATE)]


@pytest.mark.parametrize(
    "example",
    [
        f"route orders\n# lint-allow limit-after-route: so it is\n{LATE}\n",
        f"route orders\n{LATE} # lint-allow limit-after-route: so it is\n",
        f"route orders\n#lint-allow limit-after-route:so it is\n# More about it.\n{LATE}\n",
        "route orders\n# lint-allow limit-after-route: so it is\nrate_limit 10/s,\n    per: client.ip\n",
        "route orders\nrate_limit 10/s,\n    per: client.ip  # lint-allow limit-after-route: so it is\n",
        "route orders\nrate_limit 10/s,\n    # lint-allow limit-after-route: so it is\n    per: client.ip\n",
        f"all {{\n    route orders\n    {LATE}  # lint-allow limit-after-route: so it is\n}}\n",
    ],
    ids=["above", "behind", "above another", "above two lines", "behind two", "amidst", "inside"],
)
def test_one_that_counts(example: str) -> None:
    assert found(example) == []


@pytest.mark.parametrize(
    "example",
    [
        f"# lint-allow limit-after-route: so it is\nroute orders\n{LATE}\n",
        f"route orders  # lint-allow limit-after-route: so it is\n{LATE}\n",
        f"route orders\n# lint-allow limit-after-route: so it is\nall {{\n    require true\n}}\n{LATE}\n",
        f"route orders\n{LATE}\n# lint-allow limit-after-route: so it is\n",
        f"route orders\n# lint-allow limit-after-route: so it is\nall {{\n    {LATE}\n}}\n",
    ],
    ids=["too early", "behind another", "above a block", "too late", "a block's head alone"],
)
def test_one_that_is_elsewhere(example: str) -> None:
    names = {name for name, _ in found(example)}
    assert names - {"limit-after-route"} == {"unused-allow"}


def test_before_the_first_declaration_and_an_empty_line_it_counts_for_the_file() -> None:
    allow = "# lint-allow limit-after-route: so it is\n"
    late = policy(f"route orders\n{LATE}\n")
    assert found(allow + "\n" + late) == []
    assert found(allow + "# More about it.\n\n# The gateway.\n" + late) == []
    assert found(allow + "\n" + policy("route orders\n")) == [("unused-allow", "limit-after-route")]
    twice = policy(f"route orders\n{LATE}  {allow}")
    assert found(allow + "\n" + twice) == [("unused-allow", "limit-after-route")]


def test_above_the_first_declaration_it_counts_for_that_alone() -> None:
    allow = "# lint-allow limit-after-route: so it is\n"
    late = policy(f"route orders\n{LATE}\n")
    outside = {("limit-after-route", LATE), ("unused-allow", "limit-after-route")}
    assert set(found(allow + late)) == set(found("\n# The gateway.\n" + allow + late)) == outside


def test_several_names_and_one_of_them_for_nothing() -> None:
    allow = "# lint-allow {}: so it is"
    text = f"route orders\n{allow}\n{LATE}\n"
    assert found(text.format("limit-after-route, unused-allow")) == [("unused-allow", "unused-allow")]
    assert found(text.format("limit-after-route , unknown-rule")) == [("unused-allow", "unknown-rule")]


def test_a_rule_that_does_not_run_is_left_alone() -> None:
    text = policy("# lint-allow limit-after-route: so it is\nroute orders\n")
    assert [each.name for each in findings(text, RULES)] == []


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# lint-allow", ["allow-without-reason", "limit-after-route"]),
        ("# lint-allow: because", ["allow-without-reason", "limit-after-route"]),
        ("# lint-allow limit-after-route", ["allow-without-reason"]),
        ("# lint-allow limit-after-route:   ", ["allow-without-reason"]),
        ("# lint-allow limit-after-rout: because", ["unknown-rule", "limit-after-route"]),
        ("# lint-allow correctness: because", ["unknown-rule", "limit-after-route"]),
        ("# lint-allowance limit-after-route: because", ["limit-after-route"]),
        ("# see lint-allow limit-after-route: because", ["limit-after-route"]),
    ],
)
def test_one_that_says_too_little(comment: str, expected: list[str]) -> None:
    assert [name for name, _ in found(f"route orders\n{comment}\n{LATE}\n")] == expected


WRONG = sorted((Path(__file__).parent / "wrong").glob("*/*.pol"))
COMMENTS = {rule.name for rule in RULES}
"""Findings about such comments: one more comment above them changes what they are about."""


@pytest.mark.parametrize("file", WRONG, ids=[file.stem for file in WRONG])
def test_whatever_is_found_can_be_allowed_and_stays_so_when_it_is_laid_out(file: Path) -> None:
    text = file.read_text()
    lines = text.splitlines(keepends=True)
    wrong = sorted({(each.span.line, each.name) for each in findings(text)}, reverse=True)
    if any(name in COMMENTS for _, name in wrong):
        return
    for line, name in wrong:
        indent = len(lines[line - 1]) - len(lines[line - 1].lstrip())
        lines.insert(line - 1, " " * indent + f"# lint-allow {name}: to be seen here\n")
    allowed = "".join(lines)
    assert [each.name for each in findings(allowed)] == []
    laid_out = fmt_text(Source("policy.pol", allowed))
    assert isinstance(laid_out, str)
    assert [each.name for each in findings(laid_out)] == []
