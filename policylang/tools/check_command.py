"""`pol check`"""

from __future__ import annotations

import argparse
import sys

from policylang.check import check_files
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, add_format, use_color
from policylang.tools.policies import some_policies


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a policy or a folder; `-` is standard input")
    add_format(parser)


def run(found: argparse.Namespace) -> int:
    """Each file is the root of a policy of its own."""
    diagnostics = []
    files = some_policies(found.files)
    for file in files:
        diagnostics.extend(check_files([file], load=read).diagnostics)
    show(diagnostics, found.format, use_color(found.color), files)
    if diagnostics:
        return FINDINGS
    if found.format == "text":
        count = len(files)
        print(f"{count} polic{'y' if count == 1 else 'ies'} checked, nothing wrong", file=sys.stderr)
    return FINE


def read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()
