"""`pol lint`"""

from __future__ import annotations

import argparse
import sys

from policylang.catalog import load_catalog
from policylang.check import check_files
from policylang.diagnostics import Severity
from policylang.lint.run import lint, of_all
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, add_format, use_color


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a policy; `-` is standard input")
    add_format(parser)


def run(found: argparse.Namespace) -> int:
    """Each file is the root of a policy of its own."""
    policies = []
    for file in found.files:
        checked = check_files([file], load=read)
        policies.append((checked, lint(checked, load_catalog())))
    diagnostics = of_all(policies)
    show(diagnostics, found.format, use_color(found.color))
    if any(each.severity is not Severity.INFO for each in diagnostics):
        return FINDINGS
    if found.format == "text" and not diagnostics:
        print("nothing to say", file=sys.stderr)
    return FINE
