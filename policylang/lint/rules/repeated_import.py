"""A file that is imported twice in one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check.surroundings import resolve
from policylang.lint.edits import fix, without_declaration
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity
from policylang.lint.unused import imports
from policylang.syntax import nodes as n


class RepeatedImport(Rule):
    """A file is included once, however often it is imported: the second import does nothing.

    Where order counts, as for a `global`, the first place is the one that counts.

        import "shared.pol"
        import "./shared.pol"

        service status "/status" {
            from_office
            respond 204
        }
    ==
        import "shared.pol"

        service status "/status" {
            from_office
            respond 204
        }
    """

    name: ClassVar[str] = "repeated-import"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        for file in policy.files:
            first = imports(file)
            for each in file.declarations:
                if isinstance(each, n.Import) and each.path.literal is not None:
                    before = first[resolve(each.path.literal, file.source.name)]
                    if before is not each:
                        yield Finding(
                            each.span, f"`{each.path.literal}` is imported already",
                            labels=[Label(before.span, "first here")], help="take it out",
                            fix=fix("take out the second import", without_declaration(each), safe=True),
                        )  # fmt: skip
