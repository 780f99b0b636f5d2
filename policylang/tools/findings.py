"""Diagnostics on standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TextIO

from policylang.diagnostics import Diagnostic

RENDERERS = {"text": "text", "json": "as_json", "sarif": "sarif", "github": "github", "junit": "junit"}


def show(
    diagnostics: Sequence[Diagnostic], format: str, color: bool, files: Sequence[str] = (), to: TextIO | None = None
) -> None:
    """`files`: what was read, as some formats tell of that too. `to`: where else than to standard output."""
    render = import_module(f"policylang.diagnostics.{RENDERERS[format]}").render
    given: dict[str, object] = {}
    if format == "text":
        given = {"color": color}
    elif format == "junit":
        given = {"files": files}
    elif format == "sarif":
        from importlib.metadata import version

        from policylang.tools.reference import page

        pages = {name: page(name) or "" for name in {each.name for each in diagnostics}}
        given = {"version": version("polgate"), "pages": pages}
    written: str = render(diagnostics, **given)
    if written:
        print(written.rstrip("\n"), file=to)
    if diagnostics and format == "text":
        count = len(diagnostics)
        print(f"{count} finding{'s' * (count > 1)}", file=sys.stderr)
