"""`pol.toml`: the configuration as it is written, beside the policy or in a folder above."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from policylang.diagnostics import Diagnostic
from policylang.diagnostics.nearest import nearest
from policylang.lint.configuration import Configuration, Layer
from policylang.lint.rule import CATEGORIES, Rule, Severity
from policylang.source import Source, Span

FILE = "pol.toml"
PAGES = {
    "bad-configuration": """\
# bad-configuration

The file `pol.toml` says what nothing knows, or gives a value of the wrong kind. No rule runs before it is mended.

```toml
[lint]
disable = ["stile"]
```

```toml
[lint]
disable = ["style"]
```
"""
}
_COMMENT = re.compile(r"""("[^"\n]*"|'[^'\n]*')|#[^\n]*""")
_QUOTED = "'([^']*)'"
_OFF = ("off", "none", "ignore", "disabled")
_KINDS: dict[type, str] = {bool: "`true` or `false`", int: "a whole number", float: "a number", str: "a text"}


def find(policy: str) -> str | None:
    """The path of the `pol.toml` that is nearest above a policy; None where there is none."""
    folder = os.path.dirname(os.path.abspath(policy))
    while True:
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return os.path.relpath(path)
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def read(path: str, text: str, rules: Iterable[type[Rule]]) -> tuple[Configuration, list[Diagnostic]]:
    """What a file says, and all that is wrong with it."""
    import tomllib

    reading = _Reading(Source(path, text), {rule.name: rule for rule in rules})
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reading.malformed(str(error))
        return Configuration(), reading.found
    return Configuration(os.path.dirname(path) or ".", reading.layers(document)), reading.found


class _Reading:
    def __init__(self, source: Source, rules: Mapping[str, type[Rule]]) -> None:
        self.source = source
        self.plain = _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), source.text)
        self.rules = rules
        self.found: list[Diagnostic] = []

    def layers(self, document: Mapping[str, Any]) -> tuple[Layer, ...]:
        self.known(document, ("lint",), "section")
        lint = self.table(document, "lint")
        layers = [self.layer(lint, ("disable", "enable", "rules", "paths"))]
        for each in self.tables(lint, "paths"):
            if each.get("match"):
                layers.append(self.layer(each, ("match", "disable", "enable", "rules")))
            else:
                self.wrong("paths", "this part of `lint.paths` says nothing of what it is for",
                           'add `match = "folder/**"`')  # fmt: skip
        return tuple(layers)

    def layer(self, table: Mapping[str, Any], keys: Sequence[str]) -> Layer:
        self.known(table, keys, "key")
        severities: dict[str, Severity] = {}
        options: dict[str, Mapping[str, Any]] = {}
        named = self.table(table, "rules")
        self.known(named, self.rules, "rule")
        for name in named:
            if name in self.rules:
                said = self.table(named, name)
                options[name] = self.options(self.rules[name], said)
                if "severity" in said:
                    self.severity(name, said["severity"], severities)
        disable, enable = self.words(table, "disable"), self.words(table, "enable")
        for both in sorted(disable & enable):
            self.wrong(both, f"`{both}` is disabled and enabled at once", "keep one of them")
        match = table.get("match", [])
        patterns = (match,) if isinstance(match, str) else tuple(self.texts(table, "match"))
        return Layer(patterns, disable, enable, severities, options)

    def options(self, rule: type[Rule], said: Mapping[str, Any]) -> dict[str, Any]:
        self.known(said, ("severity", *rule.options), "option", f" of `{rule.name}`")
        import json

        found = {}
        for name, usual in rule.options.items():
            if name in said:
                if _is_like(said[name], usual):
                    found[name] = said[name]
                else:
                    kind = "a list of texts" if isinstance(usual, (list, tuple)) else _KINDS[type(usual)]
                    self.wrong(name, f"`{name}` of `{rule.name}` takes {kind}", f"usually it is `{json.dumps(usual)}`",
                               rule.name)  # fmt: skip
        return found

    def severity(self, rule: str, said: Any, severities: dict[str, Severity]) -> None:
        words = [each.value for each in Severity]
        if said in words:
            severities[rule] = Severity(said)
        elif said in _OFF:
            self.wrong(said, f"`{said}` is no severity", f'turn it off in `[lint]`: `disable = ["{rule}"]`', rule)
        else:
            self.unknown(str(said), words, f"`{said}` is no severity", rule)

    # --- values ---

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if isinstance(value, dict):
            return value
        self.wrong(key, f"`{key}` is a table", f"write a section `[…{key}]`")
        return {}

    def tables(self, table: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return value
        self.wrong(key, f"`{key}` is a list of tables", f"write sections `[[lint.{key}]]`")
        return []

    def texts(self, table: Mapping[str, Any], key: str) -> list[str]:
        value = table.get(key, [])
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        self.wrong(key, f"`{key}` is a list of texts", f'write `{key} = ["…"]`')
        return []

    def words(self, table: Mapping[str, Any], key: str) -> frozenset[str]:
        """Names of rules and categories."""
        words = self.texts(table, key)
        self.known(words, [*CATEGORIES, *self.rules], "rule or category")
        return frozenset(words)

    def known(self, words: Iterable[str], known: Iterable[str], kind: str, of: str = "") -> None:
        for word in words:
            if word not in known:
                self.unknown(word, known, f"no {kind}{of} is called `{word}`")

    # --- findings ---

    def unknown(self, word: str, known: Iterable[str], message: str, after: str = "") -> None:
        self.wrong(word, message, cure(word, known), after)

    def wrong(self, word: str, message: str, help: str, after: str = "") -> None:
        """At the first place of a word, or the first one after another word."""
        start = self.place(after).start if after else 0
        self.report(self.place(word, start), message, help)

    def place(self, word: str, start: int = 0) -> Span:
        found = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])").search(self.plain, start)
        return Span(self.source, *(found.span() if found else (0, 0)))

    def malformed(self, said: str) -> None:
        words, _, where = said.partition(" (at ")
        words = re.sub(r"\(('[^)]*)\)", lambda keys: f"`{'.'.join(re.findall(_QUOTED, keys[1]))}`", words)
        at = re.match(r"line (\d+), column (\d+)", where)
        starts = [0, *(found.end() for found in re.finditer("\n", self.source.text))]
        start = starts[int(at[1]) - 1] + int(at[2]) - 1 if at else len(self.source.text)
        self.report(Span(self.source, start, start), f"this is not TOML: {words[:1].lower()}{words[1:]}",
                    "see https://toml.io")  # fmt: skip

    def report(self, span: Span, message: str, help: str) -> None:
        self.found.append(Diagnostic("bad-configuration", span, message, help=help))


def cure(word: str, known: Iterable[str]) -> str:
    """What to write in place of an unknown word."""
    words = list(known)
    near = nearest(word, words)
    if near:
        return f"did you mean `{near}`?"
    if len(words) <= 8:
        return "known are " + ", ".join(f"`{each}`" for each in words)
    return "`pol lint --list` lists the rules"


def _is_like(value: Any, usual: Any) -> bool:
    if isinstance(usual, (list, tuple)):
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if isinstance(usual, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(usual)


Reader = Callable[[str], bytes]


def for_policy(
    policy: str, rules: Iterable[type[Rule]], read_bytes: Reader, path: str | None = None
) -> tuple[Configuration, list[Diagnostic]]:
    """The configuration of a policy: of the file at `path`, else of the nearest one, else none. Raises OSError."""
    where = path or find("policy.pol" if policy == "-" else policy)
    if where is None:
        return Configuration(), []
    try:
        text = read_bytes(where).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source = Source(where, "")
        return Configuration(), [Diagnostic("bad-configuration", Span(source, 0, 0),
                                            f"byte {error.start} is not UTF-8", help="save it as UTF-8")]  # fmt: skip
    return read(where, text, rules)
