"""Which service answers: every pattern is tried and the best one taken."""

from __future__ import annotations

from urllib.parse import unquote

from reference.values import Failing

from policylang.syntax import nodes as n

LITERAL, CAPTURE, REST = 0, 1, 2


def strings(expr: n.Expr) -> list[str]:
    if isinstance(expr, n.ListValue):
        return [text for item in expr.items for text in strings(item)]
    assert isinstance(expr, n.Text)
    return [expr.literal or ""]


class Claim:
    """One path of one service."""

    def __init__(self, service: n.Service, path: str) -> None:
        named = {a.name: strings(a.value) for a in service.args if a.name is not None}
        self.service = service
        self.segments = path.split("/")[1:]
        self.methods = named.get("methods", [])
        self.host = named.get("host", [""])[0]

    def match(self, path: str) -> tuple[list[int], dict[str, str]] | None:
        """How good each segment fits, and what was captured."""
        given = path.split("/")[1:]
        ranks: list[int] = []
        captures: dict[str, str] = {}
        for i, wanted in enumerate(self.segments):
            if wanted == "**":
                return [*ranks, REST], captures
            if i >= len(given):
                return None
            text = unquote(given[i])
            if wanted.startswith("{"):
                if not text:
                    return None
                captures[wanted[1:-1]] = text
                ranks.append(CAPTURE)
            elif text == wanted:
                ranks.append(LITERAL)
            else:
                return None
        return (ranks, captures) if len(given) == len(self.segments) else None

    def host_rank(self, host: str) -> tuple[int, int] | None:
        """Exact, wildcard (the longest first), none."""
        host = host.lower()
        if not self.host:
            return 2, 0
        if self.host.startswith("*."):
            fits = host.endswith(self.host[1:].lower()) and len(host) > len(self.host) - 1
            return (1, -len(self.host)) if fits else None
        return (0, 0) if host == self.host.lower() else None


def find(services: list[n.Service], host: str, path: str, method: str) -> tuple[n.Service, dict[str, str]]:
    """Raises Failing: 404, or 405 with Allow."""
    claims = [Claim(s, strings(a.value)[0]) for s in services for a in s.args if a.name is None]
    ranked = [(rank, claim) for claim in claims if (rank := claim.host_rank(host)) is not None]
    for host_rank in sorted({rank for rank, _ in ranked}):
        fitting = [(*found, claim) for rank, claim in ranked if rank == host_rank and (found := claim.match(path))]
        if not fitting:
            continue
        best = min(ranks for ranks, _, _ in fitting)
        allowed: set[str] = set()
        for ranks, captures, claim in fitting:
            if ranks != best:
                continue
            methods = set(claim.methods)
            if not methods or method in methods or (method == "HEAD" and "GET" in methods):
                return claim.service, captures
            allowed |= methods | ({"HEAD"} if "GET" in methods else set())
        raise Failing("method-not-allowed", 405, headers=(("Allow", ", ".join(sorted(allowed))),))
    raise Failing("no-service", 404)
