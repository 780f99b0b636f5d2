"""The assertion tree: a checked program compiled for evaluation."""

from policylang.tree.describe import describe
from policylang.tree.outcome import CANCELLED, RESPONDED, Entry, Place
from policylang.tree.tree import Tree, compile_program

__all__ = ["CANCELLED", "RESPONDED", "Entry", "Place", "Tree", "compile_program", "describe"]
