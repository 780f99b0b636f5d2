"""An import of which nothing is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from policylang.lint.edits import fix, without_declaration
from policylang.lint.look import nodes
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.lint.unused import imports, own_files
from policylang.lint.written import names_in
from policylang.syntax import nodes as n


class UnusedImport(Rule):
    """Nothing that the imported file declares is used.

    It must still be there and right for the policy to load, and who reads the policy looks in it for what counts here.
    A file that brings a service, a `global`, the gateway's settings or tests is used by being imported.

        import "shared.pol"

        service status "/status" {
            respond 204
        }
    ==
        import "shared.pol"

        service status "/status" {
            from_office
            respond 204
        }
    """

    name: ClassVar[str] = "unused-import"
    category: ClassVar[Category] = "style"
    in_every_policy: ClassVar[bool] = True

    def check(self, policy: Policy) -> Iterator[Finding]:
        files = {file.source.name: file for file in policy.files}
        led = {name: imports(file) for name, file in files.items()}
        users: dict[tuple[str, str], set[str]] = {}
        for name, file in files.items():
            for named in names_in(nodes(file.declarations)):
                users.setdefault(named, set()).add(name)
        for file in own_files(policy):
            for name, each in led[file.source.name].items():
                if name not in files:
                    continue
                # Beside the files that come with it alone: what another import brings as well stays when it goes.
                closed = _reached(name, led)
                if not any(_used(d, users, closed) for one in closed if one in files for d in files[one].declarations):
                    yield Finding(
                        each.span, f"nothing of `{each.path.literal}` is used",
                        help="use what it declares, or take out the import",
                        fix=fix("take out the import", without_declaration(each), safe=True),
                    )  # fmt: skip


def _reached(name: str, led: dict[str, dict[str, n.Import]]) -> set[str]:
    """A file and all that it imports."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += led.get(one, {})
    return found


def _used(declaration: n.Declaration, users: Mapping[tuple[str, str], set[str]], closed: set[str]) -> bool:
    """Whether a file that is not among these names it."""
    if isinstance(declaration, (n.Constant, n.Upstream)):
        kind = "name"
    elif isinstance(declaration, n.MapDeclaration):
        kind = "map"
    elif isinstance(declaration, n.AssertionDeclaration):
        kind = "call"
    else:
        return not isinstance(declaration, n.Import)
    return not users.get((kind, declaration.name), set()) <= closed
