"""Every finding of the checker has a page; its bad example yields it and nothing else, the good one is clean."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import Any, ClassVar

import pytest

import policylang.check
from policylang.catalog import Catalog, load_catalog
from policylang.check import check_text
from policylang.check.pages import PAGES
from policylang.sdk import Assertion, Exchange, Outcome, card_of
from policylang.syntax.pages import PAGES as SYNTAX_PAGES

DECLARATIONS = ("service", "gateway", "upstream", "map ", "global", "import", "assertion")
ENDS = ("respond", "route")
UPSTREAM = 'upstream orders { server "http://127.0.0.1:9000" }\n'
CLIENTS = 'map clients, file: "clients.json"\n'
FILES = {"clients.json": b'{ "k1": { "id": "ann" } }', "page.html": b"<p>", "latin1.txt": b"\xe4"}

SOURCES = list(Path(policylang.check.__file__).parent.glob("*.py"))


class Wrapping(Assertion):
    """Runs a block.

    wrapping { require true }
    """

    name: ClassVar[str] = "wrapping"
    takes_block: ClassVar[bool] = True

    def evaluate(self, exchange: Exchange) -> Outcome:
        return None


def catalog() -> Catalog:
    found = load_catalog()
    return Catalog({**found.assertions, "wrapping": card_of(Wrapping)}, found.functions)


def policy(example: str) -> str:
    if example.startswith("# "):
        return example
    if not example.startswith(DECLARATIONS) and "\nservice " not in example:
        last = example.rstrip().rsplit("\n", 1)[-1]
        end = "" if last.startswith(ENDS) else "    respond 200\n"
        example = 'service s "/" {\n' + indent(example, "    ") + end + "}\n"
    example += "" if "upstream orders" in example else UPSTREAM
    return example + ("" if "map clients" in example else CLIENTS)


def example(name: str, info: str) -> str:
    found = re.findall(rf"^```{info}\n(.*?)^```$", PAGES[name], re.S | re.M)
    assert len(found) == 1
    return policy(found[0])


ORDERS = UPSTREAM + CLIENTS + 'service s "/**" { route orders }\n'


def check(text: str) -> Any:
    if text.startswith("# "):
        name = text[2:].partition("\n")[0]
        files = {"orders.pol": ORDERS.encode(), "orders_test.pol": b"", **FILES}
        return check_text(text + (ORDERS if name == "orders.pol" else ""), name, files, {}, catalog=catalog())
    return check_text(text, "policy.pol", FILES, {"A_SECRET": "s"}, catalog=catalog())


@pytest.mark.parametrize("name", sorted(PAGES))
def test_bad_example_yields_it_and_nothing_else(name: str) -> None:
    found = check(example(name, "pol bad")).diagnostics
    assert {d.name for d in found} == {name}, [(d.name, d.message) for d in found]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_good_example_is_clean(name: str) -> None:
    checked = check(example(name, "pol"))
    assert checked.diagnostics == []
    assert checked.program is not None


def test_every_name_in_the_code_has_a_page() -> None:
    text = "".join(path.read_text() for path in SOURCES if path.name != "special.py")
    used = set(re.findall(r'error\(\s*"([a-z-]+)"', text)) | {"cannot-set", "cannot-remove"}
    assert used - set(SYNTAX_PAGES) == set(PAGES)


def test_no_page_is_written_twice() -> None:
    assert not set(PAGES) & set(SYNTAX_PAGES)


def test_every_finding_helps() -> None:
    for name in PAGES:
        for found in check(example(name, "pol bad")).diagnostics:
            assert found.help, name
            assert found.message[:1].islower() or found.message.startswith(("`", "JSON", "XML")), found.message
            assert not found.message.endswith("."), found.message
