"""`pol explain`"""

from __future__ import annotations

import argparse
import sys

from policylang.diagnostics.nearest import nearest
from policylang.tools.main import FINE, USAGE
from policylang.tools.reference import names, page


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="an assertion, function, statement or diagnostic")


def run(found: argparse.Namespace) -> int:
    if found.name is None:
        print("\n".join(names()))
        return FINE
    text = page(found.name)
    if text is None:
        near = nearest(found.name, names())
        cure = f"; did you mean `{near}`?" if near else "; `pol explain` lists what there is"
        print(f"pol: nothing is named `{found.name}`{cure}", file=sys.stderr)
        return USAGE
    print(text.rstrip("\n"))
    return FINE
