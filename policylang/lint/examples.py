"""The two examples of a rule's page, as whole policies: what its page shows, and what tests run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from inspect import cleandoc
from textwrap import dedent, indent

from policylang.catalog import Catalog, load_catalog
from policylang.check import Checked, check_text
from policylang.diagnostics import Diagnostic
from policylang.lint.rule import Rule
from policylang.lint.run import lint

DECLARATIONS = ("service", "gateway", "upstream", "map ", "global", "import", "assertion")
GATEWAY = 'gateway {\n    listen "127.0.0.1:8080"\n}\n'
UPSTREAM = 'upstream orders {\n    server "http://127.0.0.1:9000"\n}\n'
CLIENTS = 'map clients, file: "clients.json"\n'
FILES = {
    "clients.json": b'{ "k1": { "id": "ann", "contract": "gold" } }',
    "page.html": b"<p>",
    "shared.pol": b'# Only from the office.\nassertion from_office() {\n    allow_ip "192.0.2.0/24"\n}\n',
}
"""What there is beside an example."""


class Anything(Mapping[str, str]):
    """An environment in which every variable is set, but those of the service manager."""

    def __getitem__(self, name: str) -> str:
        if name == "CREDENTIALS_DIRECTORY":
            raise KeyError(name)
        return f"the-{name.lower()}-of-an-example"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1  # an empty one would be taken for none


def parts(rule: type[Rule]) -> tuple[str, str, str]:
    """The prose of a rule's docstring, its bad example and its good one. Raises ValueError when one is missing."""
    above, line, good = cleandoc(rule.__doc__ or "").partition("\n==\n")
    prose, _, bad = above.partition("\n\n    ")
    if not (line and bad.strip() and good.strip()):
        raise ValueError(f"the page of `{rule.name}` lacks an example")
    return prose.strip(), dedent("    " + bad).strip("\n") + "\n", dedent(good).strip("\n") + "\n"


def policy(example: str) -> str:
    """An example with what it needs around it: a service, an answer, the upstream and the map that it names, a gateway
    on loopback."""
    code = re.sub(r"^\s*#.*\n", "", example, flags=re.M)
    if not code.startswith(DECLARATIONS) and "\nservice " not in code:
        inside = indent(example, "    ")
        example = _service(inside)
        if any(found.name == "no-answer" for found in check(example).diagnostics):
            example = _service(inside + "    respond 204\n")
    return _surrounded(example)


def _service(inside: str) -> str:
    return _surrounded('service example "/orders/{id}" {\n' + inside + "}\n")


def _surrounded(example: str) -> str:
    if re.search(r"\borders\b", re.sub(r'"[^"\n]*"|#.*', "", example)) and "upstream orders" not in example:
        example += UPSTREAM
    if re.search(r"\bclients\b", example) and "map clients" not in example:
        example += CLIENTS
    return example if re.search(r"^gateway\b", example, re.M) else GATEWAY + example


@cache
def catalog() -> Catalog:
    """What is built in, and `acme.check_size`, as a plug-in would bring it that has been given up."""
    known = load_catalog()
    old = replace(known.assertions["limit_size"], name="acme.check_size", deprecated="use `limit_size`")
    return Catalog({**known.assertions, old.name: old}, known.functions)


def check(text: str) -> Checked:
    return check_text(text, "policy.pol", FILES, Anything(), catalog=catalog())


def findings(text: str, rules: Sequence[type[Rule]] | None = None) -> list[Diagnostic]:
    """What these rules find in a policy, else all. Raises ValueError when the checker finds something."""
    checked = check(text)
    if checked.program is None:
        raise ValueError("\n".join(f"{each.span}: {each.message}" for each in checked.diagnostics) + "\n\n" + text)
    return lint(checked, catalog(), rules=rules)
