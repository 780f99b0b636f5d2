"""A policy's declarations, by name, and the names of its counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reference.amounts import USUAL_KEYS
from reference.assertions import by_name
from reference.expressions import evaluate
from reference.state import declared
from reference.values import Known

from policylang.source import Source
from policylang.syntax import nodes as n
from policylang.syntax.parser import parse

GLOBAL = "global"
"""In the place of a service's name, which cannot be this word."""


class Policy:
    """`files`: what `map NAME, file: …` reads."""

    def __init__(self, text: str, files: Mapping[str, bytes]) -> None:
        self.tree, found = parse(Source("policy.pol", text))
        assert not found, found
        self.text = text
        self.constants: dict[str, Known] = {}
        self.maps: dict[str, Any] = {}
        self.assertions: dict[str, n.AssertionDeclaration] = {}
        self.services: list[n.Service] = []
        self.before: list[n.Global] = []
        constants: Any = _Constants(self)
        self.after: list[n.Global] = []
        for declaration in self.tree.declarations:
            match declaration:
                case n.MapDeclaration():
                    file = next((a.value for a in declaration.args if a.name == "file"), None)
                    if file is None:
                        self.maps[declaration.name] = declared(declaration)
                        continue
                    assert isinstance(file, n.Text)
                    self.maps[declaration.name] = json.loads(files[file.literal or ""])
                case n.AssertionDeclaration():
                    self.assertions[declaration.name] = declaration
                case n.Service():
                    self.services.append(declaration)
                case n.Global(when="before"):
                    self.before.append(declaration)
                case n.Global():
                    self.after.append(declaration)
                case n.Constant():
                    value = evaluate(declaration.value, constants)
                    self.constants[declaration.name] = Known(value.value, value.private or declaration.private)
        self.ordinals: dict[tuple[str, ...], int] = {}
        for service in self.services:
            seen: dict[str, int] = {}
            self._number(service.body, (service.name,), seen)
            if service.on_failure is not None:
                self._number(service.on_failure, (service.name,), seen)
        seen = {}
        for declaration in self.tree.declarations:  # the counters of globals are not of one service
            if isinstance(declaration, n.Global):
                self._number(declaration.body, (GLOBAL,), seen)

    def _number(self, node: Any, path: tuple[str, ...], seen: dict[str, int]) -> None:
        """Gives each `rate_limit` its ordinal among those of one service with the same `per:`."""
        match node:
            case n.Block():
                for statement in node.statements:
                    self._number(statement, path, seen)
            case n.Call(name="rate_limit"):
                per = by_name(node).get("per")
                text = "client.ip" if per is None else per.span.text
                self.ordinals[(*path, place(node))] = seen.get(text, 0)
                seen[text] = seen.get(text, 0) + 1
            case n.Call(name="rate_limit_status"):
                per = by_name(node).get("per")
                text = "client.ip" if per is None else per.span.text
                self.ordinals[(*path, place(node))] = max(0, seen.get(text, 0) - 1)
            case n.Call(name="quota_status"):
                self.ordinals[(*path, place(node))] = max(0, seen.get(key_of(node), 0) - 1)
            case n.Call(name="circuit_breaker" | "cache"):
                self.ordinals[(*path, place(node))] = len(self.ordinals)
                self._number(node.block, path, seen)
            case n.Call(name="lockout" | "not_replayed" | "quota" | "concurrency_limit"):
                text = key_of(node)
                self.ordinals[(*path, place(node))] = seen.get(text, 0)
                seen[text] = seen.get(text, 0) + 1
                if node.block is not None:
                    self._number(node.block, path, seen)
            case n.Call() if node.name in self.assertions:
                self._number(self.assertions[node.name].body, (*path, place(node)), seen)
            case n.Group():
                self._number(node.body, path, seen)
            case n.If():
                for arm in node.arms:
                    self._number(arm.body, path, seen)
                if node.orelse is not None:
                    self._number(node.orelse, path, seen)
            case n.Match() | n.Split():
                if isinstance(node, n.Split):
                    self.ordinals[(*path, place(node))] = seen.get(f"split {by_text(node)}", 0)
                    seen[f"split {by_text(node)}"] = seen.get(f"split {by_text(node)}", 0) + 1
                # The arms share: each counts from where the match began.
                most = dict(seen)
                for case in node.cases:
                    own = dict(seen)
                    self._number(case.body, path, own)
                    for text, count in own.items():
                        most[text] = max(count, most.get(text, 0))
                seen.update(most)
            case n.For():
                self._number(node.body, path, seen)
            case n.Try():
                self._number(node.body, path, seen)
                self._number(node.handler, path, seen)
            case n.Else():
                self._number(node.left, path, seen)
                self._number(node.right, path, seen)


def by_text(split: n.Split) -> str:
    return next((" ".join(a.value.span.text.split()) for a in split.args if a.name == "by"), "")


def key_of(call: n.Call) -> str:
    """What tells counters of `lockout`, `not_replayed`, `quota` and `concurrency_limit` apart in one service, besides
    their order."""
    given = by_name(call)
    key = given.get("key") or given.get("id") or given.get("per")
    text = USUAL_KEYS[call.name] if key is None else " ".join(key.span.text.split())
    return f"{call.name.removesuffix('_status')} {text}"


def place(statement: n.Statement) -> str:
    return f"{statement.span.start}"


class _Constants:
    """Where a constant is worked out: other constants and maps are there, messages are not."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.variables: dict[str, Known] = {}

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a constant reads {name}")
