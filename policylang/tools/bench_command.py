"""`pol bench`"""

from __future__ import annotations

import argparse
import json
import os
import sys
from math import inf
from typing import TYPE_CHECKING, Any

from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, USAGE, use_color
from policylang.tools.rewriting import writing

if TYPE_CHECKING:
    from policylang.testing.cost import Costs

FORMAT = 1
ROUNDS = 5
SLOWER = 1.5
"""Times: what `--compare` takes for slower. Below it is the noise of a machine that does other things too."""
LEAST = 0.5
"""µs: what changes by less is not told as slower, however many times it is."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.description = "Ask all that a policy's tests ask, and show what each statement costs: time and memory."
    parser.add_argument("file", metavar="FILE", help="a `*_test.pol`, or a policy with one beside it")
    parser.add_argument("--rounds", type=_count, default=ROUNDS, metavar="N", help="how often; the least counts")
    parser.add_argument("--save", metavar="PATH", help="write the figures, to compare with later")
    parser.add_argument("--compare", metavar="PATH", help="figures that were saved: show the ratio, exit 1 if slower")
    parser.add_argument(
        "--slower", type=_ratio_given, metavar="X", help=f"with --compare: the ratio from which it is slower ({SLOWER})"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how the figures are written")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"`{text}` is no number of rounds: give 1 to 1000")
    return int(text)


def _ratio_given(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 1 <= found < inf:
        raise argparse.ArgumentTypeError(f"a ratio of 1 or more is wanted, not `{text}`")
    return found


def run(found: argparse.Namespace) -> int:
    before = None
    if found.slower is not None and not found.compare:
        print("pol: `--slower` is the ratio to figures that were saved: give `--compare` too", file=sys.stderr)
        return USAGE
    if found.compare:
        before = saved(found.compare)
        if before is None:
            print(f"pol: `{found.compare}` is no file that `pol bench --save` wrote", file=sys.stderr)
            return USAGE
    from policylang.testing.cost import measure
    from policylang.testing.playing import player
    from policylang.testing.suite import load_suite

    path = _tests_of(found.file)
    suite = load_suite(path, load=read)
    if suite.diagnostics:
        show(suite.diagnostics, "text", use_color(found.color))
        return FINDINGS
    try:
        costs = measure(player(suite), int(found.rounds))
    except ValueError as error:
        print(f"pol: {error} in `{path}`: a test asks with `get`, `post` and their like", file=sys.stderr)
        return USAGE
    figures = _figures(costs)
    if found.save:
        with writing(found.save), open(found.save, "w", encoding="utf-8") as out:
            out.write(json.dumps(figures, indent=1) + "\n")
    slower = _slower(costs, before, found.slower or SLOWER) if before is not None else []
    if found.format == "json":
        print(json.dumps(figures if before is None else {**figures, "slower": slower}))
    else:
        print("\n".join(_lines(path, costs, before, slower)))
    return FINDINGS if slower else FINE


def _tests_of(file: str) -> str:
    stem, end = os.path.splitext(file)
    beside = f"{stem}_test{end}"
    return beside if end == ".pol" and not stem.endswith("_test") and os.path.exists(beside) else file


# --- figures ---


def _figures(costs: Costs) -> dict[str, Any]:
    return {
        "format": FORMAT, "requests": costs.requests, "evaluation_us": round(costs.evaluation / 1000, 3),
        "evaluation_bytes": round(costs.allocated),
        "statements": [
            {"file": file, "line": line, "statement": word, "times": cost.times, "us": round(cost.ns / 1000, 3),
             "bytes": round(cost.bytes)}
            for cost in costs.rows for file, line, word in (cost.row,)
        ],
    }  # fmt: skip


def saved(path: str) -> dict[str, Any] | None:
    """Figures that were saved; None for what is something else. Raises OSError."""
    with open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
            assert found["format"] == FORMAT and found["evaluation_us"] > 0
            found["of"] = {_name(one["file"], one["line"], one["statement"]): one["us"] for one in found["statements"]}
        except (ValueError, LookupError, TypeError, AssertionError):
            return None
    return dict(found)


def _name(file: str, line: int, word: str) -> str:
    return f"{file}:{line} {word}"


def _slower(costs: Costs, before: dict[str, Any], ratio: float) -> list[str]:
    """What costs so many times what it did: the whole, or statements that stand where they stood."""
    found = ["an evaluation"] if costs.evaluation / 1000 >= ratio * before["evaluation_us"] else []
    for cost in costs.rows:
        was = before["of"].get(_name(*cost.row))
        if was is not None and cost.ns / 1000 >= max(ratio * was, was + LEAST):
            found.append(_name(*cost.row))
    return found


# --- text ---


def _lines(path: str, costs: Costs, before: dict[str, Any] | None, slower: list[str]) -> list[str]:
    whole = sum(cost.ns * cost.times for cost in costs.rows)
    was = f"  {_ratio(costs.evaluation, before['evaluation_us'])}" if before is not None else ""
    lines = [
        f"{path}: {costs.requests} request{'s' * (costs.requests != 1)}",
        f"an evaluation: {_us(costs.evaluation)} µs, {_kib(costs.allocated)} KiB{was}",
        "",
        f"  {'times':>7} {'µs':>8} {'KiB':>7} {'share':>6}{'  ratio' if before is not None else ''}  statement",
    ]
    for cost in costs.rows:
        file, line, word = cost.row
        ratio = ""
        if before is not None:
            ratio = f"  {_ratio(cost.ns, before['of'].get(_name(*cost.row))):>5}"
        share = f"{100 * cost.ns * cost.times / whole:.0f} %"
        place = f"{file}:{line} {word}" if file else word
        lines.append(f"  {cost.times:>7} {_us(cost.ns):>8} {_kib(cost.bytes):>7} {share:>6}{ratio}  {place}")
    if before is not None:
        lines += ["", *(f"slower: {each}" for each in slower)] if slower else ["", "nothing is slower"]
    return lines


def _us(ns: float) -> str:
    return f"{ns / 1000:.2f}"


def _kib(size: float) -> str:
    return f"{size / 1024:.1f}"


def _ratio(ns: float, was: float | None) -> str:
    return f"{ns / 1000 / was:.2f}" if was else "new"

