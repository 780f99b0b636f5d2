"""`pol.toml`: what it says, for which files, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from policylang.lint.configuration import Configuration
from policylang.lint.configured import find, for_policy, read
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity


class Long(Rule):
    name: ClassVar[str] = "long-name"
    category: ClassVar[Category] = "style"
    options: ClassVar[dict[str, Any]] = {"most": 20, "words": ["a"], "strict": False, "share": 0.5, "prefix": "x"}

    def check(self, policy: Policy) -> Iterator[Finding]:
        return iter(())


class Open(Rule):
    name: ClassVar[str] = "open-gate"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        return iter(())


RULES = (Long, Open)


def configured(text: str) -> Configuration:
    configuration, wrong = read("pol.toml", text, RULES)
    assert not wrong, [each.message for each in wrong]
    return configuration


def names(text: str, file: str = "orders.pol") -> set[str]:
    return set(configured(text).choices(file, RULES))


def test_without_a_word_every_rule_runs_as_it_is() -> None:
    choices = configured("").choices("orders.pol", RULES)
    assert {name: (each.severity, each.options) for name, each in choices.items()} == {
        "long-name": (Severity.WARNING, {}), "open-gate": (Severity.WARNING, {}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[lint]\ndisable = ["long-name"]', {"open-gate"}),
        ('[lint]\ndisable = ["security"]', {"long-name"}),
        ('[lint]\ndisable = ["style"]\nenable = ["long-name"]', {"long-name", "open-gate"}),
        ('[lint]\nenable = ["style"]\ndisable = ["long-name"]', {"open-gate"}),
        ('[lint]\ndisable = ["style"]\n[[lint.paths]]\nmatch = "orders.pol"\nenable = ["style"]',
         {"long-name", "open-gate"}),
        ('[lint]\ndisable = ["style"]\n[[lint.paths]]\nmatch = "other.pol"\nenable = ["style"]', {"open-gate"}),
        ('[[lint.paths]]\nmatch = ["a/**", "*.pol"]\ndisable = ["security"]', {"long-name"}),
    ],
)  # fmt: skip
def test_rules_are_turned_off_and_on(text: str, expected: set[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    ("pattern", "file", "matches"),
    [
        ("samples/**", "samples/a/policy.pol", True),
        ("samples/**", "other/samples/policy.pol", False),
        ("samples", "samples/a/policy.pol", True),
        ("samples/", "samples/policy.pol", True),
        ("samples/", "samples.pol", False),
        ("**/old.pol", "old.pol", True),
        ("**/old.pol", "a/b/old.pol", True),
        ("**/old.pol", "a/b/bold.pol", False),
        ("*.pol", "a/b.pol", False),
        ("./a?.pol", "ab.pol", True),
        ("a+b.pol", "aab.pol", False),
    ],
)
def test_paths_are_those_below_the_file_of_the_configuration(pattern: str, file: str, matches: bool) -> None:
    text = f'[[lint.paths]]\nmatch = "{pattern}"\ndisable = ["style"]'
    assert (names(text, file) == {"open-gate"}) is matches


def test_a_part_for_paths_goes_before_the_whole() -> None:
    configuration = configured(
        """
        [lint.rules.long-name]
        severity = "error"
        most = 30
        [[lint.paths]]
        match = "samples/**"
        rules.long-name = { severity = "info", share = 1 }
        """
    )
    usual = configuration.choices("orders.pol", RULES)["long-name"]
    assert (usual.severity, usual.options) == (Severity.ERROR, {"most": 30})
    other = configuration.choices("samples/orders.pol", RULES)["long-name"]
    assert (other.severity, other.options) == (Severity.INFO, {"most": 30, "share": 1})


def test_flags_go_before_the_file() -> None:
    layers = configured('[lint]\ndisable = ["style", "open-gate"]').layers
    assert set(Configuration(".", layers, frozenset({"long-name"})).choices("a.pol", RULES)) == {"long-name"}
    assert set(Configuration(".", layers, frozenset({"security"})).choices("a.pol", RULES)) == set()
    assert set(Configuration(".", (), frozenset(), frozenset({"style"})).choices("a.pol", RULES)) == {"open-gate"}


@pytest.mark.parametrize(
    ("text", "message", "help", "at"),
    [
        ("[lnt]", "no section is called `lnt`", "did you mean `lint`?", "1:2"),
        ("[lint]\ndisabled = []", "no key is called `disabled`", "did you mean `disable`?", "2:1"),
        ('[lint]\ndisable = ["long-nmae"]', "no rule or category is called `long-nmae`", "did you mean `long-name`?",
         "2:13"),
        ('[lint]\nenable = ["stile"]', "no rule or category is called `stile`", "did you mean `style`?", "2:12"),
        ('[lint]\nenable = "style"', "`enable` is a list of texts", 'write `enable = ["…"]`', "2:1"),
        ('[lint]\nenable = ["style"]\ndisable = ["style"]', "`style` is disabled and enabled at once",
         "keep one of them", "2:12"),
        ("[lint.rules.open-gat]", "no rule is called `open-gat`", "did you mean `open-gate`?", "1:13"),
        ('[lint.rules.open-gate]\nseverity = "eror"', "`eror` is no severity", "did you mean `error`?", "2:13"),
        ("[lint.rules.open-gate]\nseverity = 3", "`3` is no severity", "known are `error`, `warning`, `info`", "2:12"),
        ("[lint.rules.long-name]\nmots = 3", "no option of `long-name` is called `mots`",
         "did you mean `most`?", "2:1"),
        ("[lint.rules.open-gate]\nmost = 3", "no option of `open-gate` is called `most`",
         "known are `severity`", "2:1"),
        ('[lint.rules.long-name]\nmost = "3"', "`most` of `long-name` takes a whole number",
         "usually it is `20`", "2:1"),
        ("[lint.rules.long-name]\nmost = true", "`most` of `long-name` takes a whole number", "usually it is `20`",
         "2:1"),
        ("[lint.rules.long-name]\nwords = [1]", "`words` of `long-name` takes a list of texts",
         "usually it is `[\"a\"]`", "2:1"),
        ("[lint.rules.long-name]\nstrict = 1", "`strict` of `long-name` takes `true` or `false`",
         "usually it is `false`", "2:1"),
        ("[lint]\nrules = 3", "`rules` is a table", "write a section `[…rules]`", "2:1"),
        ("[lint]\npaths = 3", "`paths` is a list of tables", "write sections `[[lint.paths]]`", "2:1"),
        ("[[lint.paths]]\ndisable = []", "this part of `lint.paths` says nothing of what it is for",
         'add `match = "folder/**"`', "1:8"),
        ('[[lint.paths]]\nmatch = []', "this part of `lint.paths` says nothing of what it is for",
         'add `match = "folder/**"`', "1:8"),
        ('[lint.rules.open-gate]\nseverity = "off"', "`off` is no severity",
         'turn it off in `[lint]`: `disable = ["open-gate"]`', "2:13"),
        ('# stile # "x"\n[lint]\ndisable = ["stile"]  # "stile"',
         "no rule or category is called `stile`", "did you mean `style`?", "3:13"),
        ("[lint.rules]\n[lint.rules]", "this is not TOML: cannot declare `lint.rules` twice", "see https://toml.io",
         "2:12"),
        ("[lint]\ndisable = [", "this is not TOML: invalid value", "see https://toml.io", "2:12"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(text: str, message: str, help: str, at: str) -> None:
    _, (found,) = read("pol.toml", text, RULES)
    assert (found.name, found.message, found.help) == ("bad-configuration", message, help)
    assert f"{found.span.line}:{found.span.column}" == at


def test_everything_that_is_wrong_is_said() -> None:
    _, wrong = read("pol.toml", '[lint]\ndisable = ["stile"]\nenabled = []\n[lint.rules.x-y]\na = 1\n', RULES)
    assert len(wrong) == 3


def test_the_nearest_file_above_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "pol.toml").write_text('[lint]\ndisable = ["style"]\n')
    (tmp_path / "a" / "pol.toml").write_text('[[lint.paths]]\nmatch = "b/**"\ndisable = ["security"]\n')
    monkeypatch.chdir(tmp_path)
    assert find("a/b/orders.pol") == "a/pol.toml"
    assert find("orders.pol") == "pol.toml"

    def choices(policy: str, path: str | None = None) -> set[str]:
        configuration, wrong = for_policy(policy, RULES, lambda path: Path(path).read_bytes(), path)
        assert not wrong
        return set(configuration.choices(policy, RULES))

    assert choices("a/b/orders.pol") == {"long-name"}
    assert choices("-") == {"open-gate"}
    assert choices("a/b/orders.pol", "pol.toml") == {"open-gate"}
    (tmp_path / "pol.toml").write_bytes(b'[lint]\ndisable = ["\xff"]\n')
    _, (found,) = for_policy("-", RULES, lambda path: Path(path).read_bytes())
    assert found.message == "byte 19 is not UTF-8"


def test_a_mark_of_the_order_of_bytes_is_no_part_of_it() -> None:
    found, wrong = for_policy("orders.pol", RULES, lambda path: b'\xef\xbb\xbf[lint]\ndisable = ["style"]', "pol.toml")
    assert not wrong and set(found.choices("orders.pol", RULES)) == {"open-gate"}
