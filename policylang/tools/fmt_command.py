"""`pol fmt`"""

from __future__ import annotations

import argparse
import sys

from policylang.diagnostics import Diagnostic
from policylang.source import Source
from policylang.syntax.printer import fmt_text
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, USAGE, use_color
from policylang.tools.rewriting import difference, replace


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a policy; `-` reads standard input and prints")
    parser.add_argument("--check", action="store_true", help="change nothing; name the files that would change")
    parser.add_argument("--diff", action="store_true", help="change nothing; show what would change")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def run(found: argparse.Namespace) -> int:
    """Rewrites each file in place, whole or not at all. A file that cannot be read as a policy is left alone."""
    code = FINE
    for file in found.files:
        try:
            text = read(file).decode("utf-8")
        except UnicodeDecodeError as error:
            print(f"pol: `{file}` is not UTF-8 at byte {error.start}", file=sys.stderr)
            code = USAGE
            continue
        result = fmt_text(Source(file, text))
        if not isinstance(result, str):
            _complain(result, found.color)
            code = max(code, FINDINGS)
        elif found.check or found.diff:
            if result != text:
                code = max(code, FINDINGS)
                print(difference(file, text, result, "laid out") if found.diff else file)
        elif file == "-":
            sys.stdout.write(result)
        elif result != text:
            replace(file, result)
            print(f"{file}: laid out anew", file=sys.stderr)
    return code


def _complain(diagnostics: list[Diagnostic], color: str) -> None:
    show(diagnostics, "text", use_color(color))
