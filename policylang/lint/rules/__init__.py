"""The rules: one class, one file. A name here is a module beside this one; each has one rule."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from policylang.lint.rule import Rule


@cache
def built_in() -> tuple[type[Rule], ...]:
    """Every rule of ours, in the order of their names."""
    found = []
    for module in iter_modules(__path__):
        for each in vars(import_module(f"{__name__}.{module.name}")).values():
            if isinstance(each, type) and issubclass(each, Rule) and each.__module__.startswith(f"{__name__}."):
                found.append(each)
    return tuple(sorted(set(found), key=lambda rule: rule.name))
