"""The page of every finding of the checker, as Markdown: what is wrong, a bad and a good example.

An example that begins with no declaration stands inside a service; an upstream `orders` and a map `clients` are there.
"""

from __future__ import annotations

import re

from policylang.check import declaration_pages, flow_pages, literal_pages, name_pages, testing_pages, type_pages
from policylang.testing import pages as result_pages


def _page(entry: str) -> tuple[str, str]:
    """Words at the margin, code indented, `==` between the bad example and the good one."""
    name, _, rest = entry.partition("\n")
    bad, _, good = rest.partition("\n==\n")
    words = [line for line in bad.split("\n") if not line.startswith("    ")]
    parts = [f"# {name}", "", " ".join(words), ""]
    for info, code in (("pol bad", bad), ("pol", good)):
        lines = [line[4:] for line in code.split("\n") if line.startswith("    ")]
        parts += [f"```{info}", *lines, "```", ""]
    return name, "\n".join(parts)


_ENTRY = re.compile(r"\n\n(?=[a-z])")


def _pages(*sources: str) -> dict[str, str]:
    return dict(_page(entry) for source in sources for entry in _ENTRY.split(source.strip("\n")))


PAGES = _pages(
    declaration_pages.PAGES, flow_pages.PAGES, literal_pages.PAGES, name_pages.PAGES, testing_pages.PAGES,
    type_pages.PAGES,
)  # fmt: skip
RESULTS = _pages(result_pages.PAGES)
"""Of tests that did not pass."""
