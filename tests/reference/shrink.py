"""Making a disagreement small: statements and declarations are dropped while it persists."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from reference.walk import children, walk

from policylang.source import Source
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse


def shrink(text: str, holds: Callable[[str], bool], tries: int = 600) -> str:
    """The smallest text found of which `holds` is still true."""
    while tries > 0:
        for smaller in candidates(text):
            tries -= 1
            if tries <= 0:
                break
            if smaller != text and holds(smaller):
                text = smaller
                break
        else:
            return text
    return text


def candidates(text: str) -> Iterator[str]:
    """The text without one thing, or with a thing in the place of what it stands in; the largest first."""
    file, found = parse(Source("shrink.pol", text))
    if found:
        return
    cuts: list[tuple[int, int, str]] = []
    for declaration in file.declarations:
        cuts.append((declaration.span.start, declaration.span.end, ""))
    for node in walk(file.declarations):
        if isinstance(node, n.Statement):
            cuts.append((node.span.start, node.span.end, ""))
            inner = [part for part in walk(children(node)) if isinstance(part, n.Statement)]
            cuts += [(node.span.start, node.span.end, part.span.text) for part in inner[:6]]
            blocks = [part for part in walk(children(node)) if isinstance(part, n.Block) and part.braced]
            cuts += [(node.span.start, node.span.end, part.span.text.strip()[1:-1].strip()) for part in blocks[:3]]
        elif isinstance(node, n.Expr):
            parts = [part for part in walk(children(node)) if isinstance(part, n.Expr)]
            cuts += [(node.span.start, node.span.end, part.span.text) for part in parts[:4]]
            cuts += [(node.span.start, node.span.end, word) for word in ("1", '"a"', "true")]
        elif isinstance(node, (n.Case, n.Arm)):
            cuts.append((node.span.start, node.span.end, ""))
        elif isinstance(node, n.Service) and node.on_failure is not None and node.on_failure_span is not None:
            cuts.append((node.on_failure_span.start, node.on_failure.span.end, ""))
    cuts.sort(key=lambda cut: len(cut[2]) - (cut[1] - cut[0]))
    for start, end, instead in cuts:
        if len(instead) < end - start:
            kept = text[:start] + instead + text[end:]
            yield "\n".join(line for line in kept.splitlines() if line.strip()) + "\n"


