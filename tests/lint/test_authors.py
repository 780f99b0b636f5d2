"""Policies as different people would write them, of what gateways are used for: no rule has anything to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from assertions import CATALOG
from policylang.catalog import catalog_of, load_catalog
from policylang.check import check_text
from policylang.lint import lint
from policylang.lint.examples import Anything

FOLDER = Path(__file__).parent / "clean"
FILES = {
    "clients.json": b"""{
        "k1": { "id": "ann", "contract": "gold", "roles": ["buyer"], "rate": 20, "calls": 100000, "period": "month",
                "accounts": ["A1", "A2"] },
        "k2": { "id": "bob", "contract": "silver", "roles": [], "rate": 5, "calls": 1000, "period": "day",
                "accounts": [] }
    }""",
    "users.json": b'{ "ann": { "pin": "1234", "email": "ann@example.org" } }',
    "partners.json": b'{ "CN=acme-prod,O=Acme": { "id": "acme", "limit": 50 } }',
}
POLICIES = sorted(FOLDER.glob("*.pol"))


@pytest.mark.parametrize("file", POLICIES, ids=[file.stem for file in POLICIES])
def test_a_policy_of_good_practice_has_no_finding(file: Path) -> None:
    text = file.read_text()
    checked = check_text(text, "policy.pol", FILES, Anything())
    assert checked.program is not None, [(str(each.span), each.message) for each in checked.diagnostics]
    found = lint(checked, load_catalog())
    assert not found, [(str(each.span), each.name, each.message) for each in found]


def test_they_are_many_and_use_what_the_language_has() -> None:
    whole = "\n".join(file.read_text() for file in POLICIES)
    words = {f"{name} " for name in catalog_of(CATALOG).assertions}  # other tests bring their own
    words |= {"match ", "split ", "for ", "try ", "any ", "none {", "parallel ", "on failure", "global after"}
    assert len(POLICIES) >= 60
    assert not [word for word in words if word not in whole]
