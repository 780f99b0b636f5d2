"""The supervisor's duties: a private, local, locked, preallocated folder, begun anew at each boot."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from runtime.stores import StoreUnavailable
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim, choose_folder, network_file_system
from runtime.stores.prepared import LEAST_BYTES

S = 10**9
START = 86_400 * S


def take(folder: Path, **options: Any) -> FolderClaim:
    return FolderClaim.take(folder, rates_bytes=LEAST_BYTES, **options)


def admit(folder: Path, limit: int = 100) -> int:
    """Count once; what remains."""
    store = EmbeddedStore.open(folder)
    try:
        return store.admit(b"ann", limit, S, 0, START).remaining
    finally:
        store.close()


def test_the_folder_is_the_setting_else_systemds_else_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"STATE_DIRECTORY": "/var/lib/polgate:/var/lib/other"}
    assert choose_folder(Path("/srv/x"), environ) == Path("/srv/x")
    assert choose_folder(None, environ) == Path("/var/lib/polgate")
    assert choose_folder(None, {}) == tmp_path / ".polgate"
    assert choose_folder(None, {"STATE_DIRECTORY": ""}) == tmp_path / ".polgate"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert choose_folder(Path("link/store"), {}) == tmp_path / "real" / "store"
    assert choose_folder(Path("link"), {}) == tmp_path / "link"


def test_all_of_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        claim = take(tmp_path / "store")
        admit(claim.folder)
    finally:
        os.umask(before)
    claim.release()
    found = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*")}
    files = {"": ("boot", "gateway-id", "supervisor.lock"), "rates/": ("data.mdb", "lock.mdb")}
    files |= {f"{name}/": ("data.mdb", "lock.mdb", "versions") for name in ("passing", "cache", "durable")}
    assert {str(name) for name in found if found[name].is_file()} == {
        f"store/{folder}{name}" for folder, names in files.items() for name in names
    }
    for path in found.values():
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_every_block_is_taken_from_the_disk_at_start(tmp_path: Path) -> None:
    claim = FolderClaim.take(tmp_path / "store", rates_bytes=3 << 20)
    found = (claim.folder / "rates" / "data.mdb").stat()
    assert found.st_size == 3 << 20
    assert found.st_blocks * 512 >= 3 << 20
    claim.release()
    # More room is given to what is there; less is not taken away from it.
    admit(claim.folder)
    for size, after in ((5 << 20, 5 << 20), (1 << 20, 5 << 20)):
        claim = FolderClaim.take(tmp_path / "store", rates_bytes=size)
        assert claim.discarded == ""
        found = (claim.folder / "rates" / "data.mdb").stat()
        assert (found.st_size, found.st_blocks * 512 >= after) == (after, True)
        claim.release()
    assert admit(claim.folder) == 98


def test_a_disk_without_room_is_told_at_start(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"no room for \d+ bytes of rates in|cannot prepare"):
        FolderClaim.take(tmp_path / "store", rates_bytes=1 << 60)
    # What that start left behind does not hinder the next.
    take(tmp_path / "store").release()
    assert admit(tmp_path / "store") == 99


def test_too_little_room_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="give the store more"):
        FolderClaim.take(tmp_path / "store", rates_bytes=4096)


def test_a_second_supervisor_refuses_to_start(tmp_path: Path) -> None:
    claim = take(tmp_path / "store")
    with pytest.raises(StoreUnavailable, match=rf"another polgate \(process {os.getpid()}\) holds `.*store`: stop it"):
        take(tmp_path / "store")
    admit(claim.folder)
    claim.release()
    claim.release()
    take(tmp_path / "store").release()


def test_links_are_refused(tmp_path: Path) -> None:
    take(tmp_path / "real").release()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StoreUnavailable, match=r"`.*link` is a symbolic link: name the folder"):
        take(tmp_path / "link")
    (tmp_path / "victim").write_text("precious")
    for name in ("supervisor.lock", "boot", "rates/data.mdb", "rates/lock.mdb"):
        path = tmp_path / "real" / name
        path.unlink()
        path.symlink_to(tmp_path / "victim")
        with pytest.raises(StoreUnavailable, match=f"{name}` is a symbolic link: remove it"):
            take(tmp_path / "real")
        path.unlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_is_open_to_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    take(folder).release()
    for path, mode, cure in ((folder, 0o750, 700), (folder / "rates", 0o701, 700), (folder / "boot", 0o644, 600)):
        path.chmod(mode)
        words = rf"{path.name}` is open to others \(mode {mode:o}\): `chmod {cure}` it"
        with pytest.raises(StoreUnavailable, match=words):
            take(folder)
        path.chmod(cure // 100 << 6)
    take(folder).release()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_anothers_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(0o700)
    os.chown(tmp_path / "store", 12345, 12345)
    with pytest.raises(StoreUnavailable, match="belongs to user 12345, not to 0: name another folder"):
        take(tmp_path / "store")


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    with pytest.raises(StoreUnavailable, match="is not a folder"):
        take(tmp_path / "file")
    with pytest.raises(StoreUnavailable, match=r"make `.*missing` first"):
        take(tmp_path / "missing" / "store")
    take(tmp_path / "store").release()
    (tmp_path / "store" / "boot").unlink()
    os.mkfifo(tmp_path / "store" / "boot", 0o600)
    with pytest.raises(StoreUnavailable, match="boot` is not a plain file"):
        take(tmp_path / "store")


MOUNTS = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv rw - nfs4 server:/export rw
31 30 254:1 / /srv/local\040disk rw - xfs /dev/vdb rw
32 22 0:41 / /home rw - ext4 /dev/vdc rw
33 22 0:42 / /home rw - fuse.sshfs me@host: rw
"""


@pytest.mark.parametrize(("path", "kind"), [
    ("/var/lib/polgate", None),
    ("/srv", "nfs4"),
    ("/srv/polgate", "nfs4"),
    ("/srv/local disk/polgate", None),
    ("/srv/local", "nfs4"),
    ("/srvother", None),
    ("/home/me/.polgate", "fuse.sshfs"),
])
def test_a_network_file_system_is_found_by_its_mount(path: str, kind: str | None) -> None:
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 0:40 / {tmp_path} rw - cifs //server/share rw\n")
    with pytest.raises(StoreUnavailable, match=r"is on a network file system \(cifs\): name a local one"):
        take(tmp_path / "store", mountinfo=mounts)


def test_a_restart_keeps_the_counts_and_a_boot_discards_them(tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    for remaining, boot_id, discarded in ((99, "first", False), (98, "first", False), (99, "second", True)):
        boot.write_text(boot_id + "\n")
        claim = take(tmp_path / "store", boot_id=boot)
        assert bool(claim.discarded) == discarded
        assert admit(claim.folder) == remaining
        claim.release()


def test_a_machine_that_does_not_say_when_it_booted_begins_anew(tmp_path: Path) -> None:
    for _ in range(2):
        claim = take(tmp_path / "store", boot_id=tmp_path / "none")
        assert admit(claim.folder) == 99
        claim.release()


def test_files_that_cannot_be_read_are_discarded(tmp_path: Path) -> None:
    take(tmp_path / "store").release()
    (tmp_path / "store" / "rates" / "data.mdb").write_bytes(b"no database" * 10_000)
    claim = take(tmp_path / "store")
    assert "could not be read" in claim.discarded
    assert admit(claim.folder) == 99
    claim.release()
