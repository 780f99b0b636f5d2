"""Diagnostics on standard output, in the format that was asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from policylang.diagnostics import Diagnostic

RENDERERS = {"text": "text", "json": "as_json", "sarif": "sarif", "github": "github"}


def show(diagnostics: Sequence[Diagnostic], format: str, color: bool) -> None:
    render = import_module(f"policylang.diagnostics.{RENDERERS[format]}").render
    written: str = render(diagnostics, color=color) if format == "text" else render(diagnostics)
    if written:
        print(written.rstrip("\n"))
    if diagnostics and format == "text":
        count = len(diagnostics)
        print(f"{count} finding{'s' * (count > 1)}", file=sys.stderr)
