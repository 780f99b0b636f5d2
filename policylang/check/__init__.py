"""From text to a checked program, with every finding on the way."""

from policylang.check.checking import Checked, check_files, check_text
from policylang.check.surroundings import Loader

__all__ = ["Checked", "Loader", "check_files", "check_text"]
