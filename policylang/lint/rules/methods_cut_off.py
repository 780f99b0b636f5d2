"""Methods that a narrower service keeps from a wider one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule, Severity

_ALL = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})

Segments = tuple[str | tuple[str, ...], ...]


class MethodsCutOff(Rule):
    """The path decides before the method: a service with the better path answers 405 for what it does not take.

    Another service whose path fits as well, and which takes that method, is never asked.

        service orders "/orders/**" { route orders }

        service order "/orders/{id}", methods: ["GET"] { route orders, path: "/order/${path.id}" }
    ==
        service orders "/orders/**" { route orders }

        service order "/orders/{id}", methods: ["GET"] { route orders, path: "/order/${path.id}" }

        service change "/orders/{id}", methods: ["POST", "PUT", "PATCH", "DELETE"] { route orders }
    """

    name: ClassVar[str] = "methods-cut-off"
    category: ClassVar[Category] = "correctness"
    severity: ClassVar[Severity] = Severity.INFO

    def check(self, policy: Policy) -> Iterator[Finding]:
        taken: dict[tuple[str, Segments], set[str]] = {}
        paths: list[tuple[p.Service, p.PathPattern]] = []
        for service in policy.program.services:
            for path in service.paths:
                taken.setdefault((service.host, _form(path)), set()).update(_methods(service))
                paths.append((service, path))
        wide: dict[tuple[str, str], list[tuple[p.Service, p.PathPattern]]] = {}
        for service, path in paths:
            if any(isinstance(each, tuple) for each in path.segments):
                wide.setdefault((service.host, _begin(path)), []).append((service, path))
        told = set()
        for service, path in paths:
            here = taken[service.host, _form(path)]
            near = {_begin(path), ""}
            for other, wider in [each for begin in sorted(near) for each in wide.get((service.host, begin), ())]:
                if service.name in told or not _covers(wider.segments, path.segments):
                    continue
                lost = sorted(_methods(other) - here)
                if lost:
                    told.add(service.name)
                    yield Finding(
                        path.span, f"{' and '.join(lost)} of such a path {'is' if len(lost) == 1 else 'are'} 405 now",
                        labels=[Label(wider.span, f"never asked for it, though `{other.name}` takes {lost[0]}")],
                        help="let a service of this path take them, or the wider one only what is meant",
                    )  # fmt: skip


def _methods(service: p.Service) -> frozenset[str]:
    return frozenset(service.methods) & _ALL if service.methods else _ALL


def _form(path: p.PathPattern) -> Segments:
    """The path without the names of what it captures."""
    return tuple(each if isinstance(each, str) else ("",) * len(each) for each in path.segments)


def _begin(path: p.PathPattern) -> str:
    """Its first segment, empty where that may be any."""
    first = path.segments[0] if path.segments else ""
    return first if isinstance(first, str) else ""


def _covers(wide: Segments, narrow: Segments) -> bool:
    """Whether every path of the second is one of the first, and not the other way round."""
    better = False
    for place, segment in enumerate(wide):
        if segment == ():
            return better or narrow[place:] != ((),)
        if place >= len(narrow) or narrow[place] == ():
            return False
        if isinstance(segment, str):
            if segment != narrow[place]:
                return False
        elif isinstance(narrow[place], str):
            better = True
    return better and len(wide) == len(narrow)
