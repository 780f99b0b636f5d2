"""`pol new`"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from policylang.lint.known import NAME, all_rules
from policylang.tools.main import FINE, USAGE
from policylang.tools.reference import names
from policylang.tools.rewriting import writing


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=sorted(KINDS), metavar="KIND", help=f"what to begin: {', '.join(KINDS)}")
    parser.add_argument("name", metavar="NAME", help="lower-case words joined by `-` that say what is wrong")
    parser.add_argument("--folder", default="", metavar="PATH", help="where it goes (usually `polgate-NAME`)")


def run(found: argparse.Namespace) -> int:
    """Writes the files of a package into a folder that is not there yet."""
    folder = Path(found.folder or f"polgate-{found.name}")
    if not NAME.fullmatch(found.name):
        return _refused(f"`{found.name}` is no name for a {found.kind}: write lower-case words joined by `-`")
    if found.name in {rule.name for rule in all_rules()}:
        return _refused(f"there is a rule called `{found.name}` already: choose another name")
    if found.name in names():
        return _refused(f"`pol explain {found.name}` tells of something else: choose another name")
    if folder.exists():
        return _refused(f"`{folder}` is there already: choose another folder with --folder")
    for name, text in KINDS[found.kind](found.name).items():
        path = folder / name
        with writing(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        print(path)
    print(f"try it: pip install -e {folder} && python -m pytest {folder}", file=sys.stderr)
    return FINE


def _refused(why: str) -> int:
    print(f"pol: {why}", file=sys.stderr)
    return USAGE


# --- a rule ---

_TAKEN = frozenset({
    "Any", "Category", "ClassVar", "False", "Finding", "Iterator", "Mapping", "None", "Policy", "Rule", "True",
})  # fmt: skip
"""What a class of a rule cannot be called: the file below uses these."""


def rule(name: str) -> dict[str, str]:
    """The files of a package with one rule, by path."""
    called = "".join(word.capitalize() for word in name.split("-"))
    words = {
        "NAME": name,
        "MODULE": "polgate_" + name.replace("-", "_"),
        "CLASS": called + "Rule" * (called in _TAKEN),
    }
    return {_filled(path, words): _filled(text, words) for path, text in _RULE.items()}


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"@(NAME|MODULE|CLASS)@", lambda found: words[found[1]], text)


_RULE = {
    "pyproject.toml": """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "polgate-@NAME@"
version = "0.1.0"
description = "The rule @NAME@ for pol lint"
requires-python = ">=3.11"
dependencies = ["polgate"]

[project.entry-points."polgate.rules"]
@NAME@ = "@MODULE@:@CLASS@"

[tool.setuptools]
packages = ["@MODULE@"]

[tool.pytest.ini_options]
testpaths = ["tests"]
""",
    "@MODULE@/__init__.py": '''\
"""The rule @NAME@."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.lint import Finding, Policy, Rule
from policylang.lint.rule import Category


class @CLASS@(Rule):
    """A service has a path that is for our own systems.

    Say here why it is wrong. Below are the two examples that the test runs: the wrong one, a line, the right one.

        service example "/internal/orders" {
            respond 204
        }
    ==
        service example "/orders" {
            respond 204
        }
    """

    name: ClassVar[str] = "@NAME@"
    category: ClassVar[Category] = "security"
    options: ClassVar[Mapping[str, Any]] = {"prefix": "/internal"}

    def check(self, policy: Policy) -> Iterator[Finding]:
        prefix = self.given["prefix"]
        for service in policy.program.services:
            for path in service.paths:
                if path.text.startswith(prefix):
                    yield Finding(path.span, f"this path begins with `{prefix}`", help="choose another path")
''',
    "tests/test_@MODULE@.py": '''\
"""The bad example is found, by this rule and none other; the good one is clean."""

from __future__ import annotations

from @MODULE@ import @CLASS@
from policylang.lint.examples import findings, parts, policy
from policylang.lint.known import all_rules


def test_it_is_installed() -> None:
    assert @CLASS@ in all_rules()


def test_the_bad_example_is_found_and_nothing_else_in_it() -> None:
    _, bad, _ = parts(@CLASS@)
    assert {found.name for found in findings(policy(bad))} == {"@NAME@"}


def test_the_good_example_is_clean() -> None:
    _, _, good = parts(@CLASS@)
    assert findings(policy(good)) == []
''',
}

KINDS: dict[str, Callable[[str], dict[str, str]]] = {"rule": rule}
"""What can be begun, and the files of it."""
