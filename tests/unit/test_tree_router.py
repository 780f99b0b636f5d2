"""Which service: host, path, method."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import Policy

from policylang.check.paths import read_path
from policylang.check.program import PathPattern
from policylang.check.report import Report
from policylang.sdk import Failed
from policylang.source import Source, Span
from policylang.tree.router import Router

SPAN = Span(Source("router", ""), 0, 0)


def pattern(text: str) -> PathPattern:
    found = read_path(Report(), SPAN, text)
    assert found is not None
    return found


def router(*paths: str, host: str = "") -> Router[str]:
    made: Router[str] = Router()
    for path in paths:
        made.add(path, host, [pattern(path)], ())
    return made


PATHS = (
    "/", "/a", "/a/", "/a/b", "/a/{x}", "/a/{x}/c", "/a/b/d", "/{y}/b/{z}", "/f/**", "/f/{x}/g", "/é/x y/{n}", "/**",
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "found", "captures"),
    [
        ("/", "/", {}), ("/a", "/a", {}), ("/a/", "/a/", {}), ("/a/b", "/a/b", {}), ("/a/c", "/a/{x}", {"x": "c"}),
        ("/a/b/c", "/a/{x}/c", {"x": "b"}), ("/a/b/d", "/a/b/d", {}), ("/a/b/e", "/{y}/b/{z}", {"y": "a", "z": "e"}),
        ("/a/c/c", "/a/{x}/c", {"x": "c"}), ("/f", "/f/**", {}), ("/f/", "/f/**", {}), ("/f/x/y", "/f/**", {}),
        ("/f/x/g", "/f/{x}/g", {"x": "x"}), ("/f/b/h", "/f/**", {}), ("/g/b/h", "/{y}/b/{z}", {"y": "g", "z": "h"}),
        ("/%C3%A9/x%20y/%C3%BC", "/é/x y/{n}", {"n": "ü"}), ("/%61", "/a", {}),
        ("/x", "/**", {}), ("/f/%3F/g", "/f/{x}/g", {"x": "?"}),
    ],
)  # fmt: skip
def test_paths(path: str, found: str, captures: dict[str, str]) -> None:
    named = [each.replace("x y", "x%20y") for each in PATHS]
    service, captured, allow = router(*named).find("h", path, "GET")
    assert (service, dict(captured), allow) == (found.replace("x y", "x%20y"), captures, None)


def test_nothing_matches() -> None:
    made = router("/a/{x}", "/b")
    for path in ("/", "/a", "/a/", "/a/b/c", "/b/", "/B", "/c"):
        assert made.find("h", path, "GET") == (None, {}, None)


def test_methods() -> None:
    made: Router[str] = Router()
    made.add("read", "", [pattern("/a/{x}")], ("GET",))
    made.add("write", "", [pattern("/a/{id}")], ("PUT", "DELETE"))
    made.add("all", "", [pattern("/**")], ())
    assert made.find("h", "/a/1", "GET")[:2] == ("read", {"x": "1"})
    assert made.find("h", "/a/1", "HEAD")[0] == "read"
    assert made.find("h", "/a/1", "DELETE")[:2] == ("write", {"id": "1"})
    assert made.find("h", "/a/1", "POST") == (None, {}, "DELETE, GET, HEAD, PUT")
    assert made.find("h", "/a/1", "OPTIONS")[2] == "DELETE, GET, HEAD, PUT"
    assert made.find("h", "/a", "POST")[0] == "all"
    with pytest.raises(ValueError):
        made.add("again", "", [pattern("/a/{z}")], ("PUT",))


def test_hosts() -> None:
    made: Router[str] = Router()
    for name, host, path in (
        ("exact", "api.example", "/a"), ("wild", "*.example", "/a"), ("deep", "*.b.example", "/a"), ("any", "", "/a"),
        ("any b", "", "/b"), ("wild b", "*.example", "/b"), ("only any", "", "/c"),
    ):  # fmt: skip
        made.add(name, host, [pattern(path)], ())
    for host, path, found in (
        ("api.example", "/a", "exact"), ("API.Example:8080", "/a", "exact"), ("x.example", "/a", "wild"),
        ("x.b.example", "/a", "deep"), ("b.example", "/a", "wild"), ("example", "/a", "any"), ("other", "/a", "any"),
        ("api.example", "/b", "wild b"), ("x.b.example", "/b", "wild b"), ("api.example", "/c", "only any"),
        ("[::1]:80", "/a", "any"), ("", "/a", "any"),
    ):  # fmt: skip
        assert made.find(host, path, "GET")[0] == found, (host, path)


def test_segments_that_are_no_text() -> None:
    with pytest.raises(Failed):
        router("/a/{x}").find("h", "/a/%FF", "GET")
    answer = Policy('service s "/a/{x}" { respond 200 }').handle(path="/a/%FF")
    assert (answer.status, answer.name) == (400, "unreadable-path")


def test_captures_reach_the_policy() -> None:
    policy = Policy('service s "/a/{x}/{y}" {\nrespond 200, json: [path.x, path.y]\n}')
    assert policy.handle(path="/a/b%20c/%C3%A9").json == ["b c", "é"]


def obvious(patterns: list[tuple[Any, ...]], path: str) -> Any:
    """Every pattern is tried; the best by literal, capture, rest, segment by segment."""
    given = path[1:].split("/")
    best = None
    for number, segments in enumerate(patterns):
        rank = []
        for index, segment in enumerate(segments):
            if segment == ():
                rank.append(2)
                break
            if index >= len(given) or (isinstance(segment, str) and segment != given[index]):
                break
            if not isinstance(segment, str) and not given[index]:
                break
            rank.append(0 if isinstance(segment, str) else 1)
        else:
            if len(segments) != len(given):
                continue
        if len(rank) == len(segments) and (best is None or rank < best[0]):
            best = (rank, number)
    return None if best is None else best[1]


def test_against_every_pattern() -> None:
    chance = random.Random(7)
    for _ in range(300):
        patterns: dict[tuple[Any, ...], None] = {}
        for _ in range(chance.randint(1, 12)):
            segments: list[Any] = [chance.choice(["a", "b", "c", "", ("x",)]) for _ in range(chance.randint(1, 4))]
            segments = [each or "a" for each in segments[:-1]] + segments[-1:]
            if chance.random() < 0.3:
                segments[-1] = ()
            segments = [(f"x{i}",) if each == ("x",) else each for i, each in enumerate(segments)]
            patterns[tuple(segments)] = None
        listed = list(patterns)
        made: Router[int] = Router()
        for number, each in enumerate(listed):
            made.add(number, "", [PathPattern(SPAN, "", each)], ())
        for _ in range(40):
            path = "/" + "/".join(chance.choice(["a", "b", "c", "d", ""]) for _ in range(chance.randint(1, 5)))
            assert made.find("h", quote(path), "GET")[0] == obvious(listed, path), (listed, path)


def test_many_services_cost_no_more_than_few() -> None:
    """The least of several rounds of processor time: among 10,000 services at most twice that among 10."""

    def cost(count: int) -> float:
        made: Router[int] = Router()
        for number in range(count):
            made.add(number, "", [PathPattern(SPAN, "", ("v1", f"things{number}", ("id",), "parts"))], ())
        path, rounds = f"/v1/things{count // 2}/77/parts", []
        for _ in range(9):
            begun = time.process_time()
            for _ in range(2000):
                made.find("h", path, "GET")
            rounds.append(time.process_time() - begun)
        return min(rounds)

    assert cost(10_000) <= 2 * cost(10)
