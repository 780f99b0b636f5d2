"""A JSONPath tree to a function of a value. Paths of names and indexes alone become plain look-ups."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from assertions.functions import jsonpath_syntax as s
from policylang.sdk.outcome import Failed, Failure, Kind
from policylang.sdk.patterns import compile_pattern

NODES = 1_000_000
"""How many nodes one evaluation may visit."""

Select = Callable[[Any, Any, list[Any]], None]  # (root, node, found)
NOTHING: Any = object()
"""RFC 9535's Nothing: what a path without a node and `length` of a number give."""


def compile_query(query: s.Query) -> Callable[[Any], list[Any]]:
    """A function that gives the values of all nodes, in order. Raises ValueError on a pattern that is not taken."""
    if query.singular:
        one = compile_singular(query)

        def found(root: Any) -> list[Any]:
            value = one(root)
            return [] if value is NOTHING else [value]

        return found
    steps = [_segment(segment) for segment in query.segments]

    def run(root: Any) -> list[Any]:
        return _walk(steps, root, root)

    return run


def compile_singular(query: s.Query) -> Callable[[Any], Any]:
    """For a singular query: the value or NOTHING."""
    selectors = [segment.selectors[0] for segment in query.segments]
    keys: list[Any] = [each.name if isinstance(each, s.Name) else each.index for each in selectors]

    def run(value: Any) -> Any:
        for key in keys:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return NOTHING
            # text and keys of another kind: `"abc"[0]` is a character to Python and nothing to JSONPath
        return value

    def careful(value: Any) -> Any:
        for key in keys:
            if isinstance(value, dict if isinstance(key, str) else list):
                try:
                    value = value[key]
                except (KeyError, IndexError):
                    return NOTHING
            else:
                return NOTHING
        return value

    return run if all(isinstance(key, str) for key in keys) else careful


def _walk(steps: list[Select], root: Any, node: Any) -> list[Any]:
    nodes = [node]
    for step in steps:
        found: list[Any] = []
        for each in nodes:
            step(root, each, found)
        if len(found) > NODES:
            raise Failed(Failure("too-many-nodes", 400, f"a JSONPath visits over {NODES} nodes", kind=Kind.ERROR))
        nodes = found
    return nodes


def _segment(segment: s.Segment) -> Select:
    selects = [_selector(selector) for selector in segment.selectors]

    def child(root: Any, node: Any, found: list[Any]) -> None:
        for select in selects:
            select(root, node, found)

    if not segment.descendant:
        return selects[0] if len(selects) == 1 else child

    def descendants(root: Any, node: Any, found: list[Any]) -> None:
        child(root, node, found)
        if len(found) > NODES:
            raise Failed(Failure("too-many-nodes", 400, f"a JSONPath visits over {NODES} nodes", kind=Kind.ERROR))
        for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            if isinstance(inner, (dict, list)):
                descendants(root, inner, found)

    return descendants


def _selector(selector: Any) -> Select:
    if isinstance(selector, s.Name):
        name = selector.name

        def by_name(root: Any, node: Any, found: list[Any]) -> None:
            if isinstance(node, dict) and name in node:
                found.append(node[name])

        return by_name
    if isinstance(selector, s.Element):
        index = selector.index

        def by_index(root: Any, node: Any, found: list[Any]) -> None:
            if isinstance(node, list) and -len(node) <= index < len(node):
                found.append(node[index])

        return by_index
    if isinstance(selector, s.Slice):
        start, end, step = selector.start, selector.end, selector.step

        def by_slice(root: Any, node: Any, found: list[Any]) -> None:
            if isinstance(node, list) and step:
                found.extend(node[start:end:step])

        return by_slice
    if isinstance(selector, s.Filter):
        holds = _test(selector.condition)

        def by_filter(root: Any, node: Any, found: list[Any]) -> None:
            for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
                if holds(root, inner):
                    found.append(inner)

        return by_filter

    def every(root: Any, node: Any, found: list[Any]) -> None:
        if isinstance(node, dict):
            found.extend(node.values())
        elif isinstance(node, list):
            found.extend(node)

    return every


def _test(condition: Any) -> Callable[[Any, Any], bool]:
    if isinstance(condition, s.Logical):
        parts = [_test(part) for part in condition.parts]
        if condition.op == "not":
            return lambda root, node: not parts[0](root, node)
        if condition.op == "and":
            return lambda root, node: all(part(root, node) for part in parts)
        return lambda root, node: any(part(root, node) for part in parts)
    if isinstance(condition, s.Compare):
        return _comparison(condition)
    if isinstance(condition, s.Query):
        nodes = _nodes(condition)
        return lambda root, node: bool(nodes(root, node))
    return _pattern_test(condition)


def _comparison(compare: s.Compare) -> Callable[[Any, Any], bool]:
    left, right, op = _value(compare.left), _value(compare.right), compare.op
    if op == "==":
        return lambda root, node: same(left(root, node), right(root, node))
    if op == "!=":
        return lambda root, node: not same(left(root, node), right(root, node))
    if op == "<":
        return lambda root, node: _less(left(root, node), right(root, node))
    if op == ">":
        return lambda root, node: _less(right(root, node), left(root, node))

    def with_equal(root: Any, node: Any) -> bool:
        a, b = left(root, node), right(root, node)
        return same(a, b) or (_less(a, b) if op == "<=" else _less(b, a))

    return with_equal


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values (RFC 9535, 2.3.5.2.2): deep, numbers by value, true is not 1."""
    if a is NOTHING or b is NOTHING:
        return a is b
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    return bool(a == b)


def _less(a: Any, b: Any) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        return a < b
    numbers = isinstance(a, (int, float)) and isinstance(b, (int, float))
    return numbers and not isinstance(a, bool) and not isinstance(b, bool) and a < b


def _nodes(query: s.Query) -> Callable[[Any, Any], list[Any]]:
    steps = [_segment(segment) for segment in query.segments]
    if query.relative:
        return lambda root, node: _walk(steps, root, node)
    return lambda root, node: _walk(steps, root, root)


def _value(part: Any) -> Callable[[Any, Any], Any]:
    if isinstance(part, s.Literal):
        value = part.value
        return lambda root, node: value
    if isinstance(part, s.Query):
        one = compile_singular(part)
        return (lambda root, node: one(node)) if part.relative else (lambda root, node: one(root))
    if part.name == "length":
        inner = _value(part.args[0])

        def length(root: Any, node: Any) -> Any:
            found = inner(root, node)
            return len(found) if isinstance(found, (str, list, dict)) else NOTHING

        return length
    nodes = _nodes(part.args[0])
    if part.name == "count":
        return lambda root, node: len(nodes(root, node))

    def value_of(root: Any, node: Any) -> Any:
        found = nodes(root, node)
        return found[0] if len(found) == 1 else NOTHING

    return value_of


def _pattern_test(call: s.Call) -> Callable[[Any, Any], bool]:
    """`match` and `search` (RFC 9485 patterns, through the linear-time engine)."""
    whole = call.name == "match"
    text, pattern = _value(call.args[0]), call.args[1]
    if isinstance(pattern, s.Literal):
        if not isinstance(pattern.value, str):
            return lambda root, node: False
        search = compile_pattern(_from_iregexp(pattern.value, whole)).search

        def fixed(root: Any, node: Any) -> bool:
            found = text(root, node)
            return isinstance(found, str) and search(found) is not None

        return fixed
    given = _value(pattern)

    def computed(root: Any, node: Any) -> bool:
        found, source = text(root, node), given(root, node)
        if not isinstance(found, str) or not isinstance(source, str):
            return False
        try:
            return compile_pattern(_from_iregexp(source, whole)).search(found) is not None
        except ValueError:
            return False

    return computed


def _from_iregexp(source: str, whole: bool) -> str:
    """RFC 9485, 5: the dot is any character but CR and LF; `match` is of the whole text."""
    out = re.sub(
        r"\\.|\[(?:\\.|[^\]\\])*\]|\.", lambda m: r"[^\n\r]" if m.group() == "." else m.group(), source, flags=re.S
    )
    return rf"\A(?:{out})\z" if whole else out
