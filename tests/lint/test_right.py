"""What is right is left alone: 200 generated policies, the samples, the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from right import FILES, right

from policylang.catalog import load_catalog
from policylang.check import check_files, check_text
from policylang.diagnostics import Diagnostic
from policylang.lint import lint
from policylang.lint.examples import Anything
from policylang.source import Source
from policylang.syntax.printer import fmt_text

ROOT = Path(__file__).parents[2]
SEEDS = range(200)
README = re.findall(r"^```pol(?: ([\w.]+))?\n(.*?)^```$", (ROOT / "README.md").read_text(), re.S | re.M)
SAMPLES = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("samples/*/*.pol"))
MEANT = {
    "broken.pol": {"missing-unit", "unset-variable"},  # shows what the checker says
    "risky.pol": {"tiers-in-any", "forwarded-read"},  # shows what rules say
}
"""What is to be found in policies of the README, exactly."""


def told(found: list[Diagnostic], text: str = "") -> str:
    return "\n".join(f"{each.span} {each.name}: {each.message}" for each in found) + "\n\n" + text


@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_policy_is_left_alone(seed: int) -> None:
    text = right(seed)
    checked = check_text(text, "policy.pol", FILES, Anything())
    assert checked.program is not None, told(checked.diagnostics, text)
    found = lint(checked, load_catalog())
    assert not found, told(found, text)


def test_right_policies_are_many_and_varied() -> None:
    texts = [right(seed) for seed in SEEDS]
    lengths = [text.count("\n") for text in texts]
    assert len(set(texts)) == len(texts)
    assert min(lengths) >= 10 and max(lengths) > 100 and max(lengths) <= 160
    assert sum('listen "0.0.0.0' in text for text in texts) > 100
    catalog = load_catalog()
    whole = "\n".join(texts)
    used = {name for name in catalog.assertions if re.search(rf"^ *{name}\b", whole, re.M)}
    assert len(used) >= 20, sorted(set(catalog.assertions) - used)
    assert right(7) == texts[7]


def test_right_policies_are_laid_out() -> None:
    for seed in (0, 50, 100, 150):
        result = fmt_text(Source("policy.pol", right(seed)))
        assert isinstance(result, str)
        again = fmt_text(Source("policy.pol", result))
        assert again == result


@pytest.mark.parametrize("file", SAMPLES)
def test_a_sample_is_left_alone(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    checked = check_files([file], environ={})
    assert checked.program is not None, told(checked.diagnostics)
    found = lint(checked, load_catalog())
    assert not found, told(found)


@pytest.mark.parametrize(("name", "text"), README, ids=[name or text[:30] for name, text in README])
def test_a_policy_of_the_readme_is_left_alone(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    policy = name or "policy.pol"

    def load(path: str) -> bytes:
        known = [ROOT / path, *ROOT.glob(f"samples/*/{path}")]
        return text.encode() if path == policy else next(each for each in known if each.exists()).read_bytes()

    checked = check_files([policy], load=load, environ={})
    found = lint(checked, load_catalog())
    assert {each.name for each in found} == MEANT.get(name, set()), told(found, text)
