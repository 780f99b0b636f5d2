"""`pol test`"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable

from policylang.diagnostics.nearest import nearest
from policylang.tools.main import FINDINGS, FINE, USAGE
from policylang.tools.test_files import NoTests, find, stamp
from policylang.tools.test_processes import MOST_JOBS
from policylang.tools.test_runs import FORMS, Runs

FORMATS = ("text", "json", "junit", "github")
LOOK = 0.3
"""Seconds between two looks at the files with `--watch`."""


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="*", metavar="FILE", default=["."],
        help="a file of tests, a policy that has one beside it, or a folder with some (usually this one)",
    )  # fmt: skip
    parser.add_argument("--filter", default="", metavar="TEXT", help="run the tests whose name holds this")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="processes (usually one for each core)")
    parser.add_argument("--fail-fast", action="store_true", help="stop at the first test that does not pass")
    parser.add_argument("--watch", action="store_true", help="run again what a changed file concerns, until Ctrl-C")
    parser.add_argument("--format", choices=FORMATS, default="text", help="how results are written")
    parser.add_argument(
        "--coverage", nargs="?", const="text", metavar="|".join(FORMS), help="tell which outcomes the tests saw"
    )
    parser.add_argument("--output", metavar="PATH", help="where coverage is written")
    parser.add_argument("--min", type=_percent, metavar="PERCENT", help="fail when less of the outcomes is seen")
    parser.add_argument("--verbose", action="store_true", help="name every test, and show what is covered in full too")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def _jobs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to {MOST_JOBS} is wanted, not `{text}`")
    return int(text)


def _percent(text: str) -> float:
    try:
        found = float(text.removesuffix("%"))
    except ValueError:
        found = -1.0
    if not 0 <= found <= 100:
        raise argparse.ArgumentTypeError(f"a number from 0 to 100 is wanted, not `{text}`")
    return found


def run(found: argparse.Namespace) -> int:
    if found.coverage is not None and found.coverage not in FORMS:
        # `--coverage samples`: a path, as `--coverage` stands well alone.
        if not os.path.exists(found.coverage):
            near = nearest(found.coverage, FORMS)
            cure = f"did you mean `{near}`?" if near else f"it is one of {', '.join(FORMS)}"
            print(f"pol: `{found.coverage}` is no form of coverage, and no file; {cure}", file=sys.stderr)
            return USAGE
        found.files = [found.coverage, *(found.files if found.files != ["."] else ())]
        found.coverage = "text"
    if found.output is not None and found.coverage is None:
        print("pol: `--output` says where coverage is written: give `--coverage` too", file=sys.stderr)
        return USAGE
    if found.watch and found.format != "text":
        print("pol: `--watch` is for people: it goes with `--format text` alone", file=sys.stderr)
        return USAGE
    try:
        if found.watch:
            return watch(found, lambda: time.sleep(LOOK))
        return _once(found)
    except NoTests as error:
        print(f"pol: {error}", file=sys.stderr)
        return USAGE


def _once(found: argparse.Namespace) -> int:
    runs = Runs(found)
    runs.run(find(found.files))
    return FINE if runs.end() else FINDINGS


def watch(found: argparse.Namespace, wait: Callable[[], None]) -> int:
    """Runs everything, and then again and again what a change concerns; `wait` is called between two looks, and ends
    it by raising KeyboardInterrupt."""
    runs = Runs(found)
    files = find(found.files)
    while True:
        if files:
            runs.run(files)
            runs.end()
            print(f"\nwatching {runs.watched} files; Ctrl-C ends it", flush=True)
            gc.collect()
        wait()
        files = runs.concerned(found.files)
        if any(stamp(each) is None for each in runs.changes):
            wait()  # editors may take a file away before they put the new one there
            files = runs.concerned(found.files)
        if files:
            print(f"\nchanged: {', '.join(runs.changes)}\n", flush=True)
