"""Commands that print, line by line, what a running gateway answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping

from runtime.admin.address import AdminAddress, BadAddress
from runtime.admin.client import FINE, REFUSED, USAGE, NoAnswer, address_of, token_of

Lines = Callable[[argparse.Namespace, AdminAddress, str], Iterator[str]]
"""From what was written, whom to ask, and the token. Raises NotGranted, NoAnswer."""


class NotGranted(Exception):
    """The gateway has refused it; the text says why."""


def run_printed(found: argparse.Namespace, environ: Mapping[str, str], lines: Lines) -> int:
    """Print the lines; gives the exit status."""
    try:
        address = address_of(found.admin or environ.get("POLGATE_ADMIN", ""), environ)
        token = token_of(found.token_file or environ.get("POLGATE_TOKEN_FILE", ""))
        for line in lines(found, address, token):
            print(line)
        return FINE
    except (NotGranted, NoAnswer, BadAddress) as error:
        print(f"polgate: {error}", file=sys.stderr)
        return REFUSED if isinstance(error, NotGranted) else USAGE
