"""`pol docs`"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from policylang.catalog import load_catalog
from policylang.sdk.card import Card, FunctionCard
from policylang.tools.main import FINDINGS, FINE
from policylang.tools.reference import (
    assertion_page,
    diagnostic_pages,
    function_page,
    setting_page,
    settings,
    special_and_plain,
    test_cards,
    variables_page,
    written_pages,
)  # fmt: skip
from policylang.tools.rewriting import writing
from policylang.tools.rule_pages import rules_page

STATEMENTS = (
    "require", "let", "set", "remove", "all", "any", "none", "parallel", "if", "match", "split", "for", "try", "else",
    "respond", "fail", "ignore",
)  # fmt: skip
DECLARATIONS = ("service", "upstream", "gateway", "map", "assertion", "global", "constant", "import")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default="docs/reference", metavar="FOLDER", help="where the pages go")
    parser.add_argument("--check", action="store_true", help="write nothing; name the pages that are stale")


def run(found: argparse.Namespace) -> int:
    folder = Path(found.folder)
    pages = all_pages()
    old = {str(file.relative_to(folder)) for file in folder.rglob("*.md")} if folder.is_dir() else set()
    stale = sorted(n for n, text in pages.items() if n not in old or (folder / n).read_text("utf-8") != text)
    gone = sorted(old - set(pages))
    if found.check:
        for name in [*stale, *gone]:
            print(f"{folder / name} is stale; run `pol docs {folder}`", file=sys.stderr)
        return FINDINGS if stale or gone else FINE
    for name in stale:
        with writing(str(folder / name)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(pages[name], "utf-8")
    for name in gone:
        (folder / name).unlink()
    print(f"{len(pages)} pages in {folder}, {len(stale)} written, {len(gone)} removed", file=sys.stderr)
    return FINE


def all_pages() -> dict[str, str]:
    """The whole reference: a page's path below the folder, and its text."""
    catalog = load_catalog()
    pages = {f"assertions/{card.name}.md": assertion_page(card) for card in catalog.assertions.values()}
    pages["statements.md"] = _joined("Statements", [written_pages()[name] for name in STATEMENTS])
    pages["declarations.md"] = _joined("Declarations", [written_pages()[name] for name in DECLARATIONS])
    pages["variables.md"] = variables_page()
    functions = sorted(special_and_plain().values(), key=lambda card: (card.group, card.name))
    given = [setting_page(place, card) for place, cards in settings().items() for card in cards.values()]
    pages["settings.md"] = _joined("Settings", given)
    pages["functions.md"] = _joined("Functions", [function_page(card) for card in functions])
    pages["diagnostics.md"] = _joined("Diagnostics", [text for _, text in sorted(diagnostic_pages().items())])
    pages["rules.md"] = rules_page()
    pages["tests.md"] = _joined("Tests", [written_pages()["test"], *map(assertion_page, test_cards().values())])
    assertions = sorted(catalog.assertions.values(), key=lambda card: (card.group, card.name))
    pages["README.md"] = _index(assertions, functions)
    return pages


def _joined(title: str, pages: list[str]) -> str:
    return f"# {title}\n\n" + "\n\n".join(_deeper(page.strip("\n")) for page in pages) + "\n"


def _deeper(page: str) -> str:
    """The page's headings one level down; a `#` in an example is a comment and stays."""
    lines, code = [], False
    for line in page.splitlines():
        code ^= line.startswith("```")
        lines.append("#" + line if line.startswith("#") and not code else line)
    return "\n".join(lines)


def _index(assertions: list[Card], functions: list[FunctionCard]) -> str:
    lines = ["# Reference", "", "Made by `pol docs` of what the programs themselves read.", ""]
    lines += ["- [Statements](statements.md)", "- [Declarations](declarations.md)", "- [Settings](settings.md)"]
    lines += ["- [Context variables](variables.md)", "- [Functions](functions.md)"]
    lines += ["- [Diagnostics](diagnostics.md)", "- [Rules of `pol lint`](rules.md)", "- [Tests](tests.md)", ""]
    lines += ["| assertion | for | what |", "| --- | --- | --- |"]
    lines += [f"| [{c.name}](assertions/{c.name}.md) | {c.group} | {c.summary} |" for c in assertions]
    lines += ["", "| function | for | what |", "| --- | --- | --- |"]
    lines += [f"| `{card.name}` | {card.group} | {card.summary} |" for card in functions]
    return "\n".join(lines) + "\n"
