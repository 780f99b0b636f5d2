"""What a journal costs: CPU time of one evaluation with none, with a plain list, and with one that notes all.

    python tests/bench/journal_cost.py

For the policies of `contracts.pol` and `plain.pol`, and for comparisons alone: the median of many short rounds that
take turns, in one run, and each as a multiple of the one with no journal. Ends with 1 where what notes all takes over
twice as long.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from tree_cost import HEADERS, Environment, make_tree, run_now  # noqa: E402

from policylang.sdk import Client, Exchange, Request  # noqa: E402
from policylang.trace.recorded import Recorded  # noqa: E402

COUNT, ROUNDS = 1000, 61
MOST = 2.0
COMPARISONS = 'service s "/orders/**" {{\n{}\nrespond 200\n}}'.format('require request.method == "GET"\n' * 12)
"""Where noting is dear beside what is noted."""

Journal = Callable[[Exchange], Any]
JOURNALS: dict[str, Journal | None] = {"none": None, "a list": lambda exchange: [], "all noted": Recorded}


def spent(tree: Any, environment: Any, journal: Journal | None) -> float:
    """Seconds of processor time for COUNT evaluations."""
    client, handle = Client("127.0.0.1", 40000), tree.handle
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for _ in range(COUNT):
        exchange = Exchange(Request("GET", "/orders/7", None, HEADERS, host="127.0.0.1"), client, environment, 0)
        if journal is not None:
            exchange.journal = journal(exchange)
        run_now(handle(exchange))
    found = time.process_time() - begun
    gc.enable()
    return found


def measured(text: str) -> dict[str, float]:
    """Microseconds an evaluation, by journal."""
    tree, environment = make_tree(text), Environment()
    rounds: dict[str, list[float]] = {name: [] for name in JOURNALS}
    for number in range(ROUNDS + 1):
        for name, journal in JOURNALS.items():
            found = spent(tree, environment, journal)
            if number:  # the first one fills caches
                rounds[name].append(found / COUNT * 1e6)
    return {name: statistics.median(times) for name, times in rounds.items()}


def main() -> int:
    worst = 0.0
    texts = {file: (HERE / file).read_text() for file in ("contracts.pol", "plain.pol")}
    for what, text in {**texts, "12 comparisons": COMPARISONS}.items():
        found = measured(text)
        for name, micro in found.items():
            print(f"{what:14} {name:10} {micro:6.2f} µs  {micro / found['none']:4.2f}")
        worst = max(worst, found["all noted"] / found["none"])
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
