"""The embedded store, the supervisor's side: where it lies, whose it is, and what must stand before a worker opens it.

    folder = choose_folder(setting, os.environ)
    claim = FolderClaim.take(folder)      # checks, lock, preallocation; workers may open the folder from here on
    claim.check_readers()                 # after every death of a worker
    claim.release()                       # when the last worker has gone

The supervisor has no transaction open at any time, so that a spawn can never inherit one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import lmdb

from policylang.sdk.window import LAYOUT
from runtime.stores import StoreUnavailable

RATES_BYTES = 128 << 20
"""How much room rates have by default; all of it is taken from the disk at start."""

LEAST_BYTES = 1 << 20
"""The least room that rates can have."""

DEFAULT_FOLDER = Path(".polgate")

NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.blobfuse2", "fuse.cephfs", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "smb3", "smbfs",
})
"""LMDB's locks and shared map do not hold between machines."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")
_NO_LINK = os.O_NOFOLLOW | os.O_CLOEXEC


def choose_folder(setting: Path | None, environ: Mapping[str, str]) -> Path:
    """The setting, else the first of systemd's `$STATE_DIRECTORY`, else `./.polgate`.

    Absolute, and without links but for the last part, which is not to be one.
    """
    chosen = setting or environ.get("STATE_DIRECTORY", "").split(":")[0] or DEFAULT_FOLDER
    path = Path(os.path.abspath(chosen))
    return path.parent.resolve() / path.name


def network_file_system(path: Path, mountinfo: str) -> str | None:
    """The type of the network file system that an absolute, resolved path lies on (proc(5), mountinfo), if it does."""
    found, found_depth = "", -1
    for line in mountinfo.splitlines():
        mount, _, source = line.partition(" - ")
        fields = mount.split(" ")
        if len(fields) < 5 or not source:
            continue
        point = Path(fields[4].encode().decode("unicode_escape").encode("latin-1").decode(errors="replace"))
        # Of two on one point the later hides the earlier.
        if path.is_relative_to(point) and len(point.parts) >= found_depth:
            found, found_depth = source.split(" ")[0], len(point.parts)
    return found if found in NETWORK_FILE_SYSTEMS else None


class FolderClaim:
    """A folder that this supervisor alone has, with its `rates` ready to be opened by workers.

    What a former run left is kept, since a restart must not hand out every limit anew, unless the machine has booted
    since (monotonic time began anew), the layout of states has changed, or the files cannot be read: then
    `discarded` says why.
    """

    def __init__(self, folder: Path, lock: int, discarded: str) -> None:
        self.folder = folder
        self.discarded = discarded
        self._lock = lock

    @classmethod
    def take(
        cls, folder: Path, *, rates_bytes: int = RATES_BYTES, boot_id: Path = _BOOT_ID, mountinfo: Path = _MOUNTS
    ) -> FolderClaim:
        """Make or check the folder, lock it, and prepare the files in it.

        Raises StoreUnavailable when the folder is a link, another's, open to others, on a network file system, held by
        another supervisor, or has no room.
        """
        if rates_bytes < LEAST_BYTES:
            raise StoreUnavailable(f"rates need room for {LEAST_BYTES} bytes, not {rates_bytes}: give the store more")
        _make_private(folder)
        _refuse_network(folder, mountinfo)
        lock = _lock(folder)
        try:
            discarded = _prepare(folder, rates_bytes, _boot_mark(boot_id))
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, lock, discarded)

    def check_readers(self) -> int:
        """Free the reader slots of processes that died in a transaction, which would keep LMDB from reusing any page.

        Returns how many there were.
        """
        path = self.folder / "rates"
        try:
            # Not through the map: the supervisor writes nothing.
            with lmdb.open(os.fspath(path), map_size=_size(path), create=False, mode=0o600) as env:
                return env.reader_check()
        except (OSError, lmdb.Error) as error:
            raise StoreUnavailable(f"cannot check the readers of `{path}`: {error}") from error

    def release(self) -> None:
        """Let another supervisor have the folder. May be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _make_private(folder: Path) -> None:
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


def _refuse_shared(path: Path, found: os.stat_result, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(f"`{path}` belongs to user {found.st_uid}, not to {os.geteuid()}: name another folder")
    if found.st_mode & 0o077:
        found_mode = f"{stat.S_IMODE(found.st_mode):03o}"
        raise StoreUnavailable(f"`{path}` is open to others (mode {found_mode}): `chmod {mode}` it, or name another")


def _refuse_network(folder: Path, mountinfo: Path) -> None:
    try:
        mounts = mountinfo.read_text(errors="surrogateescape")
    except OSError:
        return  # no Linux, no /proc: nothing to ask
    kind = network_file_system(folder.resolve(), mounts)
    if kind is not None:
        raise StoreUnavailable(f"the store's folder `{folder}` is on a network file system ({kind}): name a local one")


def _open_private(path: Path, flags: int) -> int:
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


def _lock(folder: Path) -> int:
    path = folder / "supervisor.lock"
    lock = _open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    except BlockingIOError as error:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StoreUnavailable(
            f"another polgate (process {holder}) holds `{folder}`: stop it, or name another store folder"
        ) from error
    except OSError as error:
        os.close(lock)
        raise StoreUnavailable(f"cannot lock `{path}`: {error.strerror}") from error
    return lock


def _boot_mark(boot_id: Path) -> str:
    try:
        return f"{boot_id.read_text().strip()} layout {LAYOUT}"
    except OSError:
        return ""  # unknown: never equal, so every start begins anew


def _prepare(folder: Path, rates_bytes: int, mark: str) -> str:
    """Make `rates` as it has to be; returns why what stood there was discarded, if it was."""
    rates, marked = folder / "rates", folder / "boot"
    _make_private(rates)
    for name in ("data.mdb", "lock.mdb"):
        if os.path.lexists(rates / name):
            os.close(_open_private(rates / name, os.O_RDWR))
    descriptor = _open_private(marked, os.O_RDWR | os.O_CREAT)
    try:
        told, discarded = os.pread(descriptor, 200, 0).decode(errors="replace").strip(), ""
        if not mark or told != mark:
            if (rates / "data.mdb").exists():
                discarded = "the machine has booted since, or states are laid out anew"
            # Unmarked until all is done: what a start leaves that dies halfway is discarded by the next.
            os.ftruncate(descriptor, 0)
            _discard(rates)
        try:
            _preallocate(rates, rates_bytes)
        except lmdb.Error as error:
            discarded = f"it could not be read: {error}"
            _discard(rates)
            _preallocate(rates, rates_bytes)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, mark.encode(), 0)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreUnavailable(
                f"no room for {rates_bytes} bytes of rates in `{folder}`: free some, or give the store less"
            ) from error
        raise StoreUnavailable(f"cannot prepare `{rates}`: {error.strerror}") from error
    except lmdb.Error as error:
        raise StoreUnavailable(f"cannot prepare `{rates}`: {error}") from error
    finally:
        os.close(descriptor)
    return discarded


def _discard(rates: Path) -> None:
    for name in ("data.mdb", "lock.mdb"):
        (rates / name).unlink(missing_ok=True)


def _preallocate(rates: Path, size: int) -> None:
    """Let LMDB make its files, without WRITEMAP, and give the data file all its blocks.

    A store to a page of a map that has no block on a full disk is a SIGBUS, which kills the process.
    """
    with lmdb.open(os.fspath(rates), map_size=size, mode=0o600) as env:
        env.reader_check()
    data = rates / "data.mdb"
    descriptor = _open_private(data, os.O_RDWR)
    try:
        # A file that is larger stays so until it is discarded: pages beyond may be in use.
        os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
    finally:
        os.close(descriptor)


def _size(rates: Path) -> int:
    return os.stat(rates / "data.mdb").st_size
