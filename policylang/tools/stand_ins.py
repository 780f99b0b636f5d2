"""Policies that are read only, and serve nobody: their secrets need not be here."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from policylang.check import Checked, check_files


def check_alone(file: str, load: Callable[[str], bytes]) -> Checked:
    """A policy as checked; with nothing but secrets and variables missing, each stands in for itself."""
    checked = check_files([file], load=load)
    missing = checked.diagnostics if checked.program is None else ()
    if not missing or not all(each.name in ("missing-secret", "missing-environment") for each in missing):
        return checked
    names = (name for each in missing for name in re.findall("`([^`]+)`", each.message))
    again = check_files([file], load=load, environ={**os.environ, **{name: f"stands for {name}" for name in names}})
    return checked if again.program is None else again
