"""Blocks in blocks in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.syntax import nodes as n


class DeepNesting(Rule):
    """A statement that stands inside of very many others is reached on a way that nobody can keep in mind.

    Refuse early (`require`, or an `if` that ends with `fail`), put conditions of one kind into one, or give a part a
    name: an `assertion` begins at the margin again. `most` says how many blocks may stand in each other.

        if path.id != "0" {
            if request.method == "PUT" {
                for tag in all(request.query.tag) {
                    if tag != "" {
                        try {
                            if tag starts_with "a" { require length(tag) < 9 }
                        } catch { fail 400 }
                    }
                }
            }
        }
    ==
        assertion well_tagged {
            for tag in all(request.query.tag) {
                if tag starts_with "a" { require length(tag) < 9 else fail 400 }
            }
        }

        service items "/items/{id}" {
            if path.id != "0" and request.method == "PUT" { well_tagged }
            respond 204
        }
    """

    name: ClassVar[str] = "deep-nesting"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO
    options: ClassVar[Mapping[str, Any]] = {"most": 5}

    def check(self, policy: Policy) -> Iterator[Finding]:
        most = self.given["most"]
        for each in policy.written:
            # The first one that is too deep, and not what stands in it as well; `x else fail …` opens no block.
            depth = sum(not _flat(parent) for parent in each.parents)
            if each.index == 0 and depth == most + 1 and not _flat(each.parents[-1]):
                yield Finding(
                    each.statement.span, f"{depth} blocks stand in each other here, more than {most}",
                    help="refuse earlier, or make an `assertion` of a part",
                )  # fmt: skip


def _flat(node: n.Statement) -> bool:
    return isinstance(node, n.Else) and not node.right.braced
