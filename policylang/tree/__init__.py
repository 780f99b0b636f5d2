"""The assertion tree: a checked program compiled for evaluation."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policylang.tree.outcome import CANCELLED, RESPONDED, Entry, Place
    from policylang.tree.tree import Tree, compile_program

__all__ = ["CANCELLED", "RESPONDED", "Entry", "Place", "Tree", "compile_program"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: who asks for facts of a program alone (`pol lint`) does not wait for the whole."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = "tree" if name in ("Tree", "compile_program") else "outcome"
    return getattr(import_module(f"{__name__}.{place}"), name)
