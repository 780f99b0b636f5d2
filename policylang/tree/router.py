"""Which service: the host decides, then the path segment by segment, then the method.

Services that name the host exactly go before those with a wildcard (the longest first), and those before services
without a host: where no path of the former fits, the latter are asked. At each segment a literal goes before a
capture, a capture before `**`; where the first way leads nowhere the next is tried. The method is looked at last: a
wrong one is never another service.

Each step is one look-up in a dict, so that finding does not depend on how many services there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeAlias, TypeVar
from urllib.parse import unquote

from policylang.check.program import PathPattern
from policylang.sdk.outcome import Failed, Failure, Kind

S = TypeVar("S")

Captures: TypeAlias = Mapping[str, str]
_NO_CAPTURES: Captures = {}


class End(Generic[S]):
    """Where a pattern ends: the services by method, `any` for one that takes every method.

    Each stands with the names of its captures, since two services may call the same segment differently.
    """

    __slots__ = ("allow", "any", "by_method")

    def __init__(self) -> None:
        self.by_method: dict[str, tuple[S, tuple[str, ...]]] = {}
        self.any: tuple[S, tuple[str, ...]] | None = None
        self.allow = ""

    def add(self, service: S, methods: tuple[str, ...], names: tuple[str, ...]) -> None:
        """Raises ValueError when another service has that path and method."""
        if not methods:
            if self.any is not None:
                raise ValueError("two services claim one path")
            self.any = (service, names)
            return
        for method in methods:
            if method in self.by_method:
                raise ValueError(f"two services claim one path for {method}")
            self.by_method[method] = (service, names)
        allowed = set(self.by_method)
        if "GET" in allowed:
            allowed.add("HEAD")
        self.allow = ", ".join(sorted(allowed))

    def service(self, method: str) -> tuple[S, tuple[str, ...]] | None:
        found = self.by_method.get(method)
        if found is None and method == "HEAD":
            found = self.by_method.get("GET")
        return found if found is not None else self.any


class Branching(Generic[S]):
    """One segment's choice. `rest` is where `**` ends."""

    __slots__ = ("capture", "end", "literals", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, Branching[S]] = {}
        self.capture: Branching[S] | None = None
        self.end: End[S] | None = None
        self.rest: End[S] | None = None


class Paths(Generic[S]):
    """The paths of one host."""

    __slots__ = ("exact", "root")

    def __init__(self) -> None:
        self.exact: dict[str, End[S]] = {}
        self.root: Branching[S] = Branching()

    def add(self, pattern: PathPattern, service: S, methods: tuple[str, ...]) -> None:
        names = tuple(segment[0] for segment in pattern.segments if isinstance(segment, tuple) and segment)
        at = self.root
        segments = pattern.segments or ("",)
        for segment in segments:
            if isinstance(segment, str):
                at = at.literals.setdefault(segment, Branching())
            elif segment:
                if at.capture is None:
                    at.capture = Branching()
                at = at.capture
            else:
                if at.rest is None:
                    at.rest = End()
                at.rest.add(service, methods, names)
                return
        if at.end is None:
            at.end = End()
        at.end.add(service, methods, names)
        if all(isinstance(segment, str) and _is_plain(segment) for segment in segments):
            # A wholly literal path always wins, so it may be found as a whole.
            self.exact["/" + "/".join(str(segment) for segment in segments)] = at.end

    def find(self, path: str) -> tuple[End[S], tuple[str, ...]] | None:
        """Where the path ends, and what it captured. Raises Failed on a captured segment that is not UTF-8."""
        end = self.exact.get(path)
        if end is not None:
            return end, ()
        segments = path[1:].split("/")
        if "%" in path:
            segments = [_decoded(segment) if "%" in segment else segment for segment in segments]
        count = len(segments)
        at, index = self.root, 0
        captured: tuple[str, ...] = ()
        others: _Other[S] | None = None
        while True:
            rest = at.rest
            if index == count:
                if at.end is not None:
                    return at.end, captured
                if rest is not None:
                    return rest, captured
            else:
                segment = segments[index]
                if rest is not None:
                    others = (None, 0, captured, rest, others)
                capture = at.capture
                literal = at.literals.get(segment)
                index += 1
                if literal is not None:
                    if capture is not None and segment:
                        others = (capture, index, (*captured, segment), None, others)
                    at = literal
                    continue
                if capture is not None and segment:
                    at = capture
                    captured = (*captured, segment)
                    continue
            if others is None:
                return None
            way, index, captured, rest, others = others
            if way is None:
                assert rest is not None
                return rest, captured
            at = way


_Other: TypeAlias = "tuple[Branching[S] | None, int, tuple[str, ...], End[S] | None, _Other[S] | None]"
"""A way that was not taken: where, at which segment, captured so far, or where a `**` ends; and the one before it."""


class Router(Generic[S]):
    __slots__ = ("_any_host", "_hosts", "_only", "_wildcards")

    def __init__(self) -> None:
        self._hosts: dict[str, Paths[S]] = {}
        self._wildcards: dict[str, Paths[S]] = {}
        self._any_host: Paths[S] = Paths()
        self._only: Paths[S] | None = self._any_host

    def add(self, service: S, host: str, patterns: Iterable[PathPattern], methods: tuple[str, ...]) -> None:
        """Raises ValueError when two services claim one path, method and host."""
        host = host.lower()
        if not host:
            paths = self._any_host
        else:
            self._only = None
            table, key = (self._wildcards, host[1:]) if host.startswith("*") else (self._hosts, host)
            paths = table.setdefault(key, Paths())
        for pattern in patterns:
            paths.add(pattern, service, methods)

    def find(self, host: str, path: str, method: str) -> tuple[S | None, Captures, str | None]:
        """The service, its captures, and where there is none the `Allow` of a 405, or None for a 404.

        Raises Failed(400) on a segment that is not UTF-8.
        """
        only = self._only
        if only is not None:
            found = only.find(path)
        else:
            for paths in self._paths_of(host):
                found = paths.find(path)
                if found is not None:
                    break
        if found is None:
            return None, _NO_CAPTURES, None
        end, captured = found
        chosen = end.service(method) if end.by_method else end.any
        if chosen is None:
            return None, _NO_CAPTURES, end.allow
        service, names = chosen
        return service, dict(zip(names, captured, strict=True)) if captured else _NO_CAPTURES, None

    def _paths_of(self, host: str) -> Iterator[Paths[S]]:
        """`host` may carry a port."""
        host = host.lower()
        if host[-1:] != "]" and ":" in host:
            host = host.rpartition(":")[0]
        paths = self._hosts.get(host)
        if paths is not None:
            yield paths
        if self._wildcards:
            dot = host.find(".")
            while dot > 0:
                paths = self._wildcards.get(host[dot:])
                if paths is not None:
                    yield paths
                dot = host.find(".", dot + 1)
        yield self._any_host


def _decoded(segment: str) -> str:
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise Failed(Failure("unreadable-path", 400, "a segment is not UTF-8", kind=Kind.ERROR)) from None


def _is_plain(segment: str) -> bool:
    """Whether a decoded literal stands in a path as it is."""
    return segment.isascii() and all(letter.isalnum() or letter in "-._~!$&'()*+,;=:@" for letter in segment)
