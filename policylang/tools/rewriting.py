"""Files that a command writes anew."""

from __future__ import annotations

import difflib
import os
import tempfile


def difference(file: str, before: str, after: str, how: str) -> str:
    """A unified diff, without the last line's end."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), file, f"{file} ({how})", lineterm="")
    return "\n".join(lines)


def replace(file: str, text: str) -> None:
    """Through a new file beside it, so that a full disk or a crash leaves the old one whole."""
    target = os.path.realpath(file)
    handle, fresh = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".pol-")
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
