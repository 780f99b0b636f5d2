"""What is declared, and whether anything of the policy names it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from policylang.check.surroundings import resolve
from policylang.lint.policy import Policy
from policylang.syntax import nodes as n

D = TypeVar("D", bound=n.Declaration)


def own_files(policy: Policy) -> list[n.File]:
    """The files whose declarations are for this policy alone. What is imported may be there for others too, unless it
    is tests that import it; and files without a service or a global are there to be imported."""
    libraries = {
        name for file in policy.files if not any(isinstance(each, n.Test) for each in file.declarations)
        for name in imports(file)
    }  # fmt: skip
    served = any(isinstance(each, (n.Service, n.Global)) for each in policy.declarations)
    return [file for file in policy.files if served and file.source.name not in libraries]


def imports(file: n.File) -> dict[str, n.Import]:
    """The files that a file imports itself; of several imports of one, the first."""
    found: dict[str, n.Import] = {}
    for each in file.declarations:
        if isinstance(each, n.Import) and each.path.literal is not None:
            found.setdefault(resolve(each.path.literal, file.source.name), each)
    return found


def declared(policy: Policy, kind: type[D]) -> Iterator[D]:
    for file in own_files(policy):
        for each in file.declarations:
            if isinstance(each, kind):
                yield each
