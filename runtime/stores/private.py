"""Files that are this user's alone, and are what they seem to be."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from runtime.stores import StoreUnavailable

_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC


def make_private(folder: Path) -> None:
    """Make the folder, or see that it is ours alone. Raises StoreUnavailable."""
    try:
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            pass
        found = os.lstat(folder)
    except FileNotFoundError as error:
        raise StoreUnavailable(f"cannot make the store's folder `{folder}`: make `{folder.parent}` first") from error
    except OSError as error:
        raise StoreUnavailable(f"cannot make the store's folder `{folder}`: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise StoreUnavailable(f"the store's folder `{folder}` is a symbolic link: name the folder that it leads to")
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnavailable(f"the store's folder `{folder}` is not a folder: name another")
    _refuse_shared(folder, found, "700")


def open_private(path: Path, flags: int) -> int:
    """Open a plain file of ours, following no link. Raises StoreUnavailable."""
    try:
        descriptor = os.open(path, flags | _NO_LINK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StoreUnavailable(f"`{path}` is a symbolic link: remove it") from error
        raise StoreUnavailable(f"cannot open `{path}`: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailable(f"`{path}` is not a plain file: remove it")
        _refuse_shared(path, found, "600")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_shared(path: Path, found: os.stat_result, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(f"`{path}` belongs to user {found.st_uid}, not to {os.geteuid()}: name another folder")
    if found.st_mode & 0o077:
        found_mode = f"{stat.S_IMODE(found.st_mode):03o}"
        raise StoreUnavailable(f"`{path}` is open to others (mode {found_mode}): `chmod {mode}` it, or name another")
