"""Files that a command writes anew."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EACCES
from io import StringIO

from policylang.tools.main import NotWritten


def difference(file: str, before: str, after: str, how: str) -> str:
    """A unified diff that `patch` takes, also where ends of lines are all that differs; without the last line's end."""
    lines = difflib.unified_diff(_lines(before), _lines(after), file, f"{file} ({how})")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    ).removesuffix("\n")  # fmt: skip


def _lines(text: str) -> list[str]:
    return StringIO(text, newline="\n").readlines()


@contextmanager
def writing(file: str) -> Iterator[None]:
    """What cannot be done in it is told of this file, as NotWritten."""
    try:
        yield
    except OSError as error:
        raise NotWritten(error.errno, error.strerror, file) from error


def replace(file: str, text: str) -> None:
    """Through a new file beside it, so that a full disk or a crash leaves the old one whole. A file that must not be
    written is not replaced either. Raises NotWritten."""
    with writing(file):
        target = os.path.realpath(file)
        old = os.stat(target)
        if not os.access(target, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        handle, fresh = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".pol-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            with suppress(PermissionError):  # only root may give files away
                os.chown(fresh, old.st_uid, old.st_gid)
            os.chmod(fresh, old.st_mode & 0o7777)
            os.replace(fresh, target)
        except BaseException:
            os.unlink(fresh)
            raise
