"""`pol tree`"""

from __future__ import annotations

import argparse

from policylang.check import check_files
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, use_color


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="the files of one policy; `-` is standard input")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def run(found: argparse.Namespace) -> int:
    checked = check_files(found.files, load=read)
    if checked.program is None:
        show(checked.diagnostics, "text", use_color(found.color))
        return FINDINGS
    from policylang.tree import compile_program
    from policylang.tree.describe import describe

    print(describe(compile_program(checked.program)).rstrip("\n"))
    return FINE
