"""`pol fmt`"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tempfile

from policylang.diagnostics import Diagnostic
from policylang.source import Source
from policylang.syntax.printer import fmt_text
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, USAGE, use_color


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
                _difference(file, text, result, found.diff)
        elif file == "-":
            sys.stdout.write(result)
        elif result != text:
            _replace(file, result)
            print(f"{file}: laid out anew", file=sys.stderr)
    return code


def _complain(diagnostics: list[Diagnostic], color: str) -> None:
    show(diagnostics, "text", use_color(color))


def _difference(file: str, before: str, after: str, whole: bool) -> None:
    if not whole:
        print(file)
        return
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (laid out)"
    )
    sys.stdout.writelines(line if line.endswith("\n") else line + "\n" for line in lines)


def _replace(file: str, text: str) -> None:
    """Through a new file beside it, so that a full disk or a crash leaves the old one whole."""
    target = os.path.realpath(file)
    handle, fresh = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".pol-fmt-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(fresh, os.stat(target).st_mode & 0o7777)
        os.replace(fresh, target)
    except BaseException:
        os.unlink(fresh)
        raise
