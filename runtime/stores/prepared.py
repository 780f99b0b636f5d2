"""The LMDB environments of a store's folder, made ready by the supervisor before a worker opens one."""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import lmdb

from policylang.sdk.window import LAYOUT as RATES_LAYOUT
from runtime.stores import StoreUnavailable
from runtime.stores.kept import DOUBTFUL, HEAD, LAYOUT, VERSIONS, VERSIONS_BYTES
from runtime.stores.private import make_private, open_private

LEAST_BYTES = 1 << 20
"""The least room that an environment can have."""

LAYOUT_KEY = b"\0layout"
"""Where `durable` says how it is laid out; no space has a name of no byte."""
NEVER = b"\xff" * HEAD
"""An expiry that does not come."""

GATEWAY_ID = "gateway-id"
ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """One environment. `taken`: all of its blocks are taken from the disk at start; `databases`: those by name.

    `durable` is kept whatever happens; the others only while the machine runs, and as they are laid out now.
    """

    name: str
    size: int
    taken: bool = False
    durable: bool = False
    versions: bool = True
    databases: tuple[bytes, ...] = ()


def environments(rates: int, lasting: int, cache: int) -> tuple[Prepared, ...]:
    """With how much room each has, in bytes: what passes has half as much again as the rates."""
    return (
        Prepared("rates", rates, taken=True, versions=False),
        Prepared("passing", max(rates // 2, LEAST_BYTES), taken=True),
        Prepared("cache", cache, databases=(b"entries", b"order")),
        Prepared("durable", lasting, durable=True),
    )


def prepare(folder: Path, wanted: tuple[Prepared, ...], boot: str) -> str:
    """Make the environments as they have to be; returns why what stood there was discarded, if it was.

    `boot`: the machine's boot, "" where it is not known.
    """
    marked = folder / "boot"
    for one in wanted:
        make_private(folder / one.name)
        for name in ("data.mdb", "lock.mdb", VERSIONS):
            if os.path.lexists(folder / one.name / name):
                os.close(open_private(folder / one.name / name, os.O_RDWR))
    passing = [one for one in wanted if not one.durable]
    # Where the boot is unknown no mark is equal, so every start begins anew.
    mark = f"{boot} layout {RATES_LAYOUT} {LAYOUT}" if boot else ""
    descriptor = open_private(marked, os.O_RDWR | os.O_CREAT)
    try:
        told, discarded = os.pread(descriptor, 200, 0).decode(errors="replace").strip(), ""
        if not mark or told != mark:
            if any((folder / one.name / "data.mdb").exists() for one in passing):
                discarded = "the machine has booted since, or states are laid out anew"
            # Unmarked until all is done: what a start leaves that dies halfway is discarded by the next.
            os.ftruncate(descriptor, 0)
            for one in passing:
                _discard(folder / one.name)
        for one in wanted:
            discarded = _prepare(folder / one.name, one) or discarded
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, mark.encode(), 0)
    finally:
        os.close(descriptor)
    return discarded


def _prepare(path: Path, one: Prepared) -> str:
    discarded = ""
    try:
        if (path / DOUBTFUL).exists() and not one.durable:
            discarded = f"`{one.name}` was found damaged"
            _discard(path)
        try:
            _make(path, one)
        except lmdb.Error as error:
            if one.durable or isinstance(error, lmdb.DiskError):
                raise
            _discard(path)
            _make(path, one)
            return f"`{one.name}` could not be read: {error}"
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_room(path, one) from error
        raise StoreUnavailable(f"cannot prepare `{path}`: {error.strerror}") from error
    except lmdb.DiskError as error:
        raise _no_room(path, one) from error
    except lmdb.Error as error:
        cure = ": restore it from a copy, or move it away to begin with none" if one.durable else ""
        raise StoreUnavailable(f"cannot prepare `{path}`: {error}{cure}") from error
    return discarded


def _no_room(path: Path, one: Prepared) -> StoreUnavailable:
    return StoreUnavailable(
        f"no room for {one.size} bytes of {path.name} in `{path.parent}`: free some, or give the store less"
    )


def _discard(path: Path) -> None:
    # The file that says why goes last.
    for name in ("data.mdb", "lock.mdb", VERSIONS, DOUBTFUL):
        (path / name).unlink(missing_ok=True)


def _make(path: Path, one: Prepared) -> None:
    """Let LMDB make its files, without WRITEMAP, and give those their blocks that workers write through a map.

    A store to a page of a map that has no block on a full disk is a SIGBUS, which kills the process.
    """
    if one.versions:
        _take_blocks(path / VERSIONS, VERSIONS_BYTES)
    with lmdb.open(os.fspath(path), map_size=one.size, mode=0o600, max_dbs=len(one.databases)) as env:
        env.reader_check()
        for name in one.databases:
            env.open_db(name)
        if one.durable:
            _check_layout(path, env)
    if one.taken:
        _take_blocks(path / "data.mdb", one.size)
    elif (path / "data.mdb").stat().st_size < one.size:
        # The file's length tells workers how large the map is; its blocks are taken as they are written.
        os.truncate(path / "data.mdb", one.size)
    if one.durable:
        sync_folder(path)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put on disk that its files are there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take_blocks(path: Path, size: int) -> None:
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        # A file that is larger stays so until it is discarded: pages beyond may be in use.
        os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)


def _check_layout(path: Path, env: lmdb.Environment) -> None:
    with env.begin() as reading:
        found = reading.get(LAYOUT_KEY)
    if found is None:
        with env.begin(write=True) as writing:
            writing.put(LAYOUT_KEY, NEVER + LAYOUT.to_bytes(4))
    elif int.from_bytes(found[HEAD:]) > LAYOUT:
        raise StoreUnavailable(
            f"`{path}` was written by a newer polgate (layout {int.from_bytes(found[HEAD:])}, known is {LAYOUT}): "
            "run that one, or move the folder away to begin with none"
        )


def gateway_id(folder: Path) -> bytes:
    """The number of this machine's gateway, made once for a folder."""
    path = folder / GATEWAY_ID
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        text = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()
        try:
            found = bytes.fromhex(text)
        except ValueError:
            found = b""
        if len(found) != ID_BYTES:  # none yet, or a machine that went down while it was written
            found = secrets.token_bytes(ID_BYTES)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, found.hex().encode() + b"\n", 0)
            os.fsync(descriptor)
            sync_folder(folder)
    except OSError as error:
        raise StoreUnavailable(f"cannot write `{path}`: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return found
