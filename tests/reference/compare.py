"""Where the two interpreters differ about one exchange, in words."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from reference.generate import FILES
from reference.generate_messages import Exchange
from reference.interpreter import Result, interpret
from reference.policy import Policy
from reference.real import Answer, Real
from reference.world import World

SECRETS = ("s3cr3t", "t2", "YTpi", "sid=s1", "quoted")


class Pair:
    """One policy in both. Raises ValueError, with the diagnostics, where the checker refuses it."""

    def __init__(self, text: str, files: Mapping[str, bytes] = FILES) -> None:
        self.real = Real(text, files)
        self.plain = Policy(text, files)
        environment = self.real.environment
        self.world = World(name=environment.name, version=environment.version, node=environment.node,
                           bodies=environment.bodies)
        self.parallel = "parallel {" in text
        self.moves_secrets = "reveal(" in text or "set " in text
        """Messages carry what is private, and what is read from them later is not."""

    def differences(self, message: Exchange) -> tuple[list[str], Result, Answer]:
        """Raises whatever either of them raises: neither may."""
        answer = self.real.handle(message)
        world = self.world
        world.pass_time(message.later)
        world.draw = message.draw
        world.answers, world.store_away = list(message.answers), message.store_away
        result = interpret(self.plain, world, copy.deepcopy(message.request), message.client, message.outlasts)
        if world.unclear:
            return [], result, answer
        found = list(differences(result, answer, self.parallel))
        if not self.moves_secrets:
            found += leaks(answer)
        return found, result, answer

    @property
    def goes_on(self) -> bool:
        """What follows is laid down by the language."""
        return not (self.world.uncertain or self.world.unclear)


def differences(plain: Result, real: Answer, parallel: bool) -> Iterable[str]:
    if plain.status != real.status:
        yield f"status: {plain.status}, the tree {real.status}"
    if plain.failure != real.failure:
        yield f"failure: {plain.failure}, the tree {real.failure}"
    if not same_journal(plain, real, parallel):
        yield "journal"
    if "defect" not in [outcome for _, _, outcome in plain.journal] and real.defects and not plain.skipped:
        yield f"a defect: {real.defects[0]!r}"
    if (left := told(plain.headers)) != (right := told(real.headers)):
        yield f"header: {left}, the tree {right}"
    if not same_body(plain, real):
        yield f"body: {plain.body!r}, the tree {real.body!r}"
    if plain.detail and plain.failure == real.failure == "failed" and real.detail not in (plain.detail, "[private]"):
        yield f"detail: {plain.detail!r}, the tree {real.detail!r}"
    yield from _logs(plain, real, parallel)
    limits = [(f'"{name}"', str(remaining)) for name, remaining in plain.limits]
    shown = [one for _, value in real.limits for one in value.split(", ")]
    found = [(one.split(";")[0], one.split(";r=")[1].split(";")[0]) for one in shown]
    if limits != found and not parallel:
        yield f"limits: {limits}, the tree {found}"
    if laid_down(plain.calls, plain) != laid_down(real.calls, plain):
        yield f"upstream calls: {plain.calls}, the tree {real.calls}"


def leaks(real: Answer) -> Iterable[str]:
    """Credentials of the generated messages in a log or a failure."""
    shown = [text for _, text in real.logs] + [real.detail]
    if real.failure is not None and real.is_problem:
        shown.append(real.body.decode("utf-8", "replace"))
    for text in shown:
        if any(secret in text for secret in SECRETS):
            yield f"a leak: {text!r}"


def same_journal(plain: Result, real: Answer, parallel: bool) -> bool:
    """Branches of `parallel` may end in any order, and those after a failed one may have run or not."""
    if not parallel:
        return plain.journal == real.journal
    wanted, found = Counter(plain.journal), Counter(real.journal)
    more = [line for _, line, _ in found - wanted]
    return not wanted - found and all(any(a <= line <= b for a, b in plain.skipped) for line in more)


def laid_down(calls: list[Any], plain: Result) -> list[Any]:
    """A branch of `parallel` that was given up may have sent its copy, or not."""
    return [in_short(call) for call in calls if not (plain.skipped and call[0].startswith("copy to "))]


def in_short(call: Any) -> Any:
    """Empty parts of a query say nothing, a blank has two spellings there, a header's name many."""
    upstream, method, path, query, headers, body, target, *rest = call
    if target is not None:
        at, mark, behind = target.partition("?")
        target = [at, mark if parts(behind) else "", *parts(behind)]
    shown = sorted((name.lower(), value) for name, value in headers)
    return [upstream, method, path, parts(query or ""), shown, body, target, *rest]


def parts(query: str) -> list[str]:
    return [part.replace("+", "%20") for part in query.split("&") if part]


def told(headers: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The fields that a policy sets or that a failure owes."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        name = name.lower()
        if name.startswith("x-") or name in ("retry-after", "www-authenticate", "allow", "age", "cache-status"):
            found.setdefault(name, []).append(value)
        elif name == "content-type":
            found.setdefault(name, []).append(value.split(";")[0])
    if "allow" in found:
        found["allow"] = sorted(found["allow"][0].split(", "))
    if "www-authenticate" in found:
        found["www-authenticate"] = sorted(set(found["www-authenticate"]))
    return found


def same_body(plain: Result, real: Answer) -> bool:
    if plain.body == real.body:
        return True
    try:
        if plain.is_problem:
            return bool(json.loads(plain.body)["status"] == json.loads(real.body)["status"])
        return typed(json.loads(plain.body)) == typed(json.loads(real.body))
    except (ValueError, KeyError, TypeError):
        return False


def typed(value: Any) -> str:
    """Text in which 1 and true differ, and the order of members does not matter."""
    return json.dumps(value, sort_keys=True)


def _logs(plain: Result, real: Answer, parallel: bool) -> Iterable[str]:
    wanted, found = list(plain.logs), list(real.logs)
    if parallel:
        wanted, found = sorted(wanted, key=lambda e: (e[0], e[1] or "")), sorted(found)
    if plain.skipped:
        return
    if len(wanted) != len(found):
        yield f"log: {wanted}, the tree {found}"
        return
    if parallel:
        return
    for (level, text, private), (real_level, real_text) in zip(wanted, found, strict=True):
        if text is None:
            continue
        if private and real_text != "[private]":
            yield f"a private value in the log: {real_text!r}"
        if level != real_level or (text != real_text and real_text != "[private]"):
            yield f"log: {level} {text!r}, the tree {real_level} {real_text!r}"


