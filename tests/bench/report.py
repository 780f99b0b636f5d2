"""The table of a comparison, for a terminal or for docs/performance.md."""

import statistics
from collections.abc import Callable
from typing import Any

TITLES = {
    "a": "(a) plain route",
    "b": "(b) API key, contract, rate limit per client, a header set, route",
    "t": "(t) plain route, clients speak TLS",
    "c": "(c) answered from the cache",
    "k": "(k) one key, offered 1,000/s, near its limit",
    "a-observed": "(a) with access log and metrics",
    "t-observed": "(t) with access log and metrics",
    "b-observed": "(b) with access log and metrics",
}
# Scenario, peer, the most that polgate's CPU may be of that peer's, and what is aimed at.
GOALS = [("a", "envoy", 0.70, 0.5), ("a", "nginx", 1.9, None), ("b", "envoy", 0.85, 0.65),
         ("a-observed", "envoy", 0.85, None), ("t", "envoy", 0.85, None), ("t-observed", "envoy", 0.85, None)]
CLUSTER_US = 25
HIT_SHARE = 0.5
NOISY = 0.10  # what others may take of either core before the report says so

Result = dict[str, Any]


def _values(result: Result, name: str) -> list[float]:
    return [measured[name] for measured in result["rounds"]]


def _median(result: Result, name: str) -> float:
    return statistics.median(_values(result, name))


def _least(result: Result, name: str) -> float:
    return min(_values(result, name))


def _ratios(one: Result, other: Result, name: str) -> list[float]:
    """Round by round, so that both sides of a ratio saw the same minute."""
    return [mine / theirs for mine, theirs in zip(_values(one, name), _values(other, name), strict=False)]


def _grid(rows: list[list[str]], markdown: bool) -> list[str]:
    if markdown:
        rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
        return ["| " + " | ".join(row) + " |" for row in [rows[0], rule, *rows[1:]]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) if not column else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]


def _spread(result: Result, name: str, form: Callable[[float], str]) -> str:
    values = _values(result, name)
    return f"{form(statistics.median(values))} ({form(min(values))}-{form(max(values))})"


def _scenario(scenario: str, results: list[Result], rate: float, markdown: bool) -> list[str]:
    measured = {result["gateway"]: result for result in results if result["rounds"]}
    lines = [f"### {TITLES[scenario]}" if markdown else TITLES[scenario], ""]
    timed = all(one["p99_us"] is not None for result in measured.values() for one in result["rounds"])
    header = ["gateway", "CPU per request, µs", "requests/s", "its core"]
    header += [f"p50 at {rate:,.0f}/s, µs", "p99, µs"] if timed else []
    rows = [header]
    for name, result in measured.items():
        rows.append([
            name,
            _spread(result, "cpu_us", "{:.1f}".format),
            f"{_median(result, 'requests_per_second'):,.0f}",
            f"{_median(result, 'busy'):.0%}",
            *((f"{_median(result, 'p50_us'):,.0f}", _spread(result, "p99_us", "{:,.0f}".format)) if timed else ()),
        ])
    if len(rows) > 1:
        lines += [*_grid(rows, markdown), ""]
    item = "- " if markdown else ""
    if ours := measured.get("polgate"):
        for name, result in measured.items():
            if name == "polgate":
                continue
            ratios = _ratios(ours, result, "cpu_us")
            line = f"CPU polgate/{name} {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
            for place, peer, most, aim in GOALS:
                if (place, peer) == (scenario, name):
                    line += f", at most {most} wanted" + (f", {aim} aimed at" if aim else "")
                    line += ": " + ("met" if statistics.median(ratios) <= most else "missed")
            if name == "envoy" and timed:
                tails = _ratios(ours, result, "p99_us")
                line += f"; p99 {statistics.median(tails):.2f} ({min(tails):.2f}-{max(tails):.2f}), at most 1 wanted: "
                line += "met" if statistics.median(tails) <= 1 else "missed"
                # What else runs only ever adds to a tail, so the quietest rounds say most on a busy machine.
                line += f"; p99 of the quietest rounds {_least(ours, 'p99_us') / _least(result, 'p99_us'):.2f}"
            lines.append(item + line)
    if ours and (shared := measured.get("clustered")):
        both = zip(_values(shared, "cpu_us"), _values(ours, "cpu_us"), strict=False)
        more = [theirs - mine for theirs, mine in both]
        line = f"a Hazelcast cluster adds {statistics.median(more):.1f} µs ({min(more):.1f}-{max(more):.1f})"
        if scenario == "k":
            line += f", at most {CLUSTER_US} wanted: " + ("met" if statistics.median(more) <= CLUSTER_US else "missed")
        lines.append(item + line)
    lines += [f"{item}{result['gateway']}: {result['problem']}" for result in results if result["problem"]]
    return [*lines, ""]


def _hits(scenarios: dict[str, list[Result]]) -> str:
    """What an answer from the cache costs beside one that is fetched."""
    costs = {}
    for scenario in ("a", "c"):
        for result in scenarios.get(scenario, ()):
            if result["gateway"] == "polgate" and result["rounds"]:
                costs[scenario] = _median(result, "cpu_us")
    if len(costs) < 2:
        return ""
    share = costs["c"] / costs["a"]
    verdict = "met" if share <= HIT_SHARE else "missed"
    return f"CPU of an answer from polgate's cache {share:.2f} of a routed one, at most {HIT_SHARE} wanted: {verdict}\n"


def _noise(scenarios: dict[str, list[Result]]) -> str:
    rounds = [one for results in scenarios.values() for result in results for one in result["rounds"]]
    if not rounds:
        return "nothing was measured"
    parts = []
    for name, what in (("others", "the gateway's core"), ("others_load", "the load's core")):
        shares = [one[name] for one in rounds]
        parts.append(f"{statistics.median(shares):.0%} of {what} (at most {max(shares):.0%})")
    stolen = max(one["stolen"] for one in rounds)
    line = f"other processes took {' and '.join(parts)}; the host stole at most {stolen:.0%}"
    if statistics.median(max(one["others"], one["others_load"]) for one in rounds) > NOISY:
        line += "; too noisy for p99: run it again on a quiet machine"
    return line


def text(figures: dict[str, Any], markdown: bool) -> str:
    """All scenarios, medians with the smallest and the largest round in parentheses."""
    lines = []
    for scenario, results in figures["scenarios"].items():
        lines += _scenario(scenario, results, figures["rate"], markdown)
    if hits := _hits(figures["scenarios"]):
        lines.append(hits)
    about = figures["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    lines += [
        f"Medians of {figures['rounds']} interleaved rounds of {figures['seconds']} s (smallest-largest). {versions}.",
        f"{about['processor']}, {about['cores']} cores, Linux {about['kernel']}; {_noise(figures['scenarios'])}.",
    ]
    return "\n".join(lines)
