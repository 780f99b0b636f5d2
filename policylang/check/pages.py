"""The page of every finding of the checker, as Markdown: what is wrong, a bad and a good example.

An example that begins with no declaration stands inside a service; an upstream `orders` and a map `clients` are there.
"""

from __future__ import annotations

from policylang.check import declaration_pages, flow_pages, literal_pages, name_pages, type_pages


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


_SOURCES = (declaration_pages.PAGES, flow_pages.PAGES, literal_pages.PAGES, name_pages.PAGES, type_pages.PAGES)
PAGES: dict[str, str] = dict(_page(entry) for source in _SOURCES for entry in source.strip("\n").split("\n\n"))
