"""A strict reader of Prometheus's text format 0.0.4, for tests: what a scraper might let pass is an error here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
KINDS = {"counter", "gauge", "histogram", "summary"}
Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    kind: str
    help: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, suffix: str = "", **labels: str) -> float:
        """Of the one series with exactly these labels."""
        (name,) = {name.removesuffix(suffix) if suffix else name for name, _ in self.samples if name.endswith(suffix)}
        return self.samples[name + suffix, frozenset(labels.items())]

    def total(self, suffix: str = "", **labels: str) -> float:
        """Of all series that have these labels."""
        wanted = set(labels.items())
        return sum(
            value for (name, found), value in self.samples.items()
            if (name.endswith(suffix) if suffix else True) and wanted <= found
        )  # fmt: skip


def parse(data: bytes) -> dict[str, Family]:
    """Raises AssertionError with the line that is wrong."""
    text = data.decode()
    assert text.endswith("\n"), "the last line does not end"
    families: dict[str, Family] = {}
    about: dict[str, str] = {}
    current = ""
    for line in text[:-1].split("\n"):
        assert line, "an empty line"
        assert "\r" not in line, line
        if line.startswith("# HELP "):
            name, _, said = line[7:].partition(" ")
            assert NAME.fullmatch(name) and name not in about, f"a second HELP: {line}"
            assert not re.search(r"\\(?![\\n])", said), line
            about[name] = said
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            assert kind in KINDS and name not in families, f"a second TYPE: {line}"
            assert name in about, f"no HELP before: {line}"
            families[name] = Family(kind, about[name])
            current = name
        else:
            _sample(line, families, current)
    for name, family in families.items():
        assert family.samples, f"{name} has no sample"
        if family.kind == "histogram":
            _check_histogram(name, family)
        if family.kind == "counter":
            assert name.endswith("_total"), f"the counter {name} is not called _total"
    return families


def _sample(line: str, families: dict[str, Family], current: str) -> None:
    found = NAME.match(line)
    assert found, line
    name, rest = found.group(), line[found.end() :]
    labels: dict[str, str] = {}
    if rest.startswith("{"):
        rest = rest[1:]
        while True:
            key = LABEL.match(rest)
            assert key and rest[key.end() : key.end() + 2] == '="', line
            assert key.group() not in labels, f"a label twice: {line}"
            value, rest = _quoted(rest[key.end() + 2 :], line)
            labels[key.group()] = value
            if rest.startswith("}"):
                rest = rest[1:]
                break
            assert rest.startswith(","), line
            rest = rest[1:]
    assert rest.startswith(" ") and " " not in rest[1:], line
    value_text = rest[1:]
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?|[+-]Inf|NaN", value_text), line
    family = families.get(current)
    assert family is not None, f"before every TYPE: {line}"
    suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}.get(family.kind, ("",))
    assert name in [current + suffix for suffix in suffixes], f"outside of its family: {line}"
    key = (name, frozenset(labels.items()))
    assert key not in family.samples, f"twice: {line}"
    family.samples[key] = float(value_text)


def _quoted(text: str, line: str) -> tuple[str, str]:
    value = ""
    at = 0
    while True:
        assert at < len(text), f"no closing quote: {line}"
        one = text[at]
        if one == '"':
            return value, text[at + 1 :]
        if one == "\\":
            assert text[at + 1] in '\\"n', f"a wrong escape: {line}"
            value += "\n" if text[at + 1] == "n" else text[at + 1]
            at += 1
        else:
            value += one
        at += 1


def _check_histogram(name: str, family: Family) -> None:
    series: dict[Labels, dict[float, float]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            (bound,) = [said for key, said in labels if key == "le"]
            series.setdefault(frozenset(one for one in labels if one[0] != "le"), {})[float(bound)] = value
    for labels, buckets in series.items():
        counts = [buckets[bound] for bound in sorted(buckets)]
        assert counts == sorted(counts), f"{name} {set(labels)}: buckets that fall"
        assert float("inf") in buckets and family.samples[f"{name}_count", labels] == buckets[float("inf")]
        assert (f"{name}_sum", labels) in family.samples
    assert {labels for sample, labels in family.samples if sample == f"{name}_count"} == set(series)
