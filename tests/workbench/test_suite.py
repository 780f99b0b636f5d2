"""A suite: what it checks, and how often."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from suites import passes, results

from policylang.check.checking import check_again
from policylang.testing import running, suite


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Each check of a policy that was checked before."""
    found: list[Any] = []

    def counted(*arguments: Any, **named: Any) -> Any:
        found.append(arguments[1])
        return check_again(*arguments, **named)

    monkeypatch.setattr(suite, "check_again", counted)
    return found


def test_a_policy_that_is_given_nothing_is_checked_once(checks: list[Any]) -> None:
    passes('get "/orders/7"\nexpect response.status == 401')
    assert checks == []


def test_equal_surroundings_are_checked_once(checks: list[Any]) -> None:
    given = 'given map("clients"), entries: { k9: { id: "eve", contract: "gold" } }\n'
    ask = 'stub orders\nget "/orders/7", header: { "X-API-Key": "k9" }\nexpect response.status == 200\n'
    found = results(f'test "a" {{\n{given}{ask}}}\ntest "b" {{\n{given}{ask}}}')
    assert [each.outcome for each in found] == ["passed", "passed"]
    assert len(checks) == 1


def test_nothing_is_collected_while_a_policy_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    collects: list[bool] = []

    def looked(*arguments: Any, **named: Any) -> Any:
        collects.append(gc.isenabled())
        return check_again(*arguments, **named)

    monkeypatch.setattr(suite, "check_again", looked)
    passes('given map("clients"), entries: {}\nget "/orders/7"\nexpect response.status == 401')
    assert (collects, gc.isenabled()) == ([False], True)


def test_a_row_that_leaves_its_title_empty_has_the_one_that_is_written() -> None:
    found = results('test "${a}" for a in ["x", "", " "] { expect true }')
    assert [each.name for each in found] == ["x", "${a}", "${a} (2)"]


def test_what_fails_late_is_not_run_again_for_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = 'test "a" { get "/orders/7"\nexpect response.status == 200 }'
    (soon,) = results(tests)
    monkeypatch.setattr(running, "AGAIN", 0.0)
    (late,) = results(tests)
    assert "=> 401 no-api-key" in soon.picture
    assert (late.picture, late.findings) == ("", soon.findings)
