"""The embedded store, the supervisor's side: where it lies, whose it is, and what must stand before a worker opens it.

    folder = choose_folder(setting, os.environ)
    claim = FolderClaim.take(folder)      # checks, lock, preallocation; workers may open the folder from here on
    claim.check_readers()                 # after every death of a worker
    claim.release()                       # when the last worker has gone

The supervisor has no transaction open at any time, so that a spawn can never inherit one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import lmdb

from runtime.stores import StoreUnavailable
from runtime.stores.prepared import LEAST_BYTES, Prepared, environments, gateway_id, prepare
from runtime.stores.private import make_private, open_private

RATES_BYTES = 128 << 20
"""How much room rates have by default, and what passes half of it; all of it is taken from the disk at start."""
LASTING_BYTES = CACHE_BYTES = 256 << 20
"""How much what is to last, and what may be lost, can take of the disk by default."""

DEFAULT_FOLDER = Path(".polgate")

NETWORK_FILE_SYSTEMS = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "fuse.blobfuse2", "fuse.cephfs", "fuse.gcsfuse", "fuse.glusterfs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "ocfs2", "orangefs", "smb3", "smbfs",
})
"""LMDB's locks and shared map do not hold between machines."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS = Path("/proc/self/mountinfo")


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
    """A folder that this supervisor alone has, with its environments ready to be opened by workers.

    What a former run left is kept, since a restart must not hand out every limit anew, unless the machine has booted
    since (monotonic time began anew), the layout of states has changed, or the files cannot be read: then
    `discarded` says why. What is to last is kept whatever happens.
    """

    def __init__(self, folder: Path, lock: int, discarded: str, prepared: tuple[Prepared, ...]) -> None:
        self.folder = folder
        self.discarded = discarded
        self._prepared = prepared
        self._lock = lock

    @classmethod
    def take(
        cls, folder: Path, *, rates_bytes: int = RATES_BYTES, lasting_bytes: int = LASTING_BYTES,
        cache_bytes: int = CACHE_BYTES, boot_id: Path = _BOOT_ID, mountinfo: Path = _MOUNTS,
    ) -> FolderClaim:  # fmt: skip
        """Make or check the folder, lock it, and prepare the files in it.

        Raises StoreUnavailable when the folder is a link, another's, open to others, on a network file system, held by
        another supervisor, or has no room.
        """
        for what, size in (("rates", rates_bytes), ("lasting", lasting_bytes), ("cache", cache_bytes)):
            if size < LEAST_BYTES:
                raise StoreUnavailable(f"{what} needs room for {LEAST_BYTES} bytes, not {size}: give the store more")
        make_private(folder)
        _refuse_network(folder, mountinfo)
        lock = _lock(folder)
        try:
            prepared = environments(rates_bytes, lasting_bytes, cache_bytes)
            discarded = prepare(folder, prepared, _boot(boot_id))
            gateway_id(folder)
        except BaseException:
            os.close(lock)
            raise
        return cls(folder, lock, discarded, prepared)

    def check_readers(self) -> int:
        """Free the reader slots of processes that died in a transaction, which would keep LMDB from reusing any page.

        Returns how many there were.
        """
        found, failed = 0, ""
        for one in self._prepared:
            path = self.folder / one.name
            try:
                # Not through the map: the supervisor writes nothing.
                with lmdb.open(os.fspath(path), map_size=_size(path), create=False, mode=0o600) as env:
                    found += env.reader_check()
            except (OSError, lmdb.Error) as error:
                failed = failed or f"cannot check the readers of `{path}`: {error}"
        if failed:
            raise StoreUnavailable(failed)
        return found

    def release(self) -> None:
        """Let another supervisor have the folder. May be called twice."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _refuse_network(folder: Path, mountinfo: Path) -> None:
    try:
        mounts = mountinfo.read_text(errors="surrogateescape")
    except OSError:
        return  # no Linux, no /proc: nothing to ask
    kind = network_file_system(folder.resolve(), mounts)
    if kind is not None:
        raise StoreUnavailable(f"the store's folder `{folder}` is on a network file system ({kind}): name a local one")


def _lock(folder: Path) -> int:
    path = folder / "supervisor.lock"
    lock = open_private(path, os.O_RDWR | os.O_CREAT)
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


def _boot(boot_id: Path) -> str:
    try:
        return boot_id.read_text().strip()
    except OSError:
        return ""


def _size(path: Path) -> int:
    return os.stat(path / "data.mdb").st_size
