"""What keeps a gateway from starting is one clear sentence and exit status 1; of a setting, 2."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from daemons import ROOT, WAIT, daemon

POLICY = 'gateway {{\n    listen {listen}\n    {more}\n}}\nservice a "/a" {{ respond 200 }}\n'


def fails(folder: Path, listen: str = '"127.0.0.1:0"', more: str = "", status: int = 1, files: int = 0) -> list[str]:
    """What it says, without what it has listened on meanwhile."""
    (folder / "policy.pol").write_text(POLICY.format(listen=listen, more=more))

    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    done = subprocess.run(
        [sys.executable, "-m", "runtime.main", "run", "policy.pol"], cwd=folder, capture_output=True, text=True,
        timeout=WAIT, env={**os.environ, "PYTHONPATH": str(ROOT)}, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return [line for line in done.stderr.splitlines() if not line.startswith("listening on ")]


@pytest.mark.parametrize(
    ("listen", "more", "sentence"),
    [
        ('"127.0.0.1:0", cert: "absent.pem"', "", "cannot read `absent.pem`: there is no such file"),
        ('"127.0.0.1:0", cert: "junk.pem"', "", "`junk.pem` holds no certificate in PEM"),
        ('"192.0.2.1:80"', "", "cannot listen on `192.0.2.1:80`: this machine has no such address"),
        ('"127.0.0.1:0"', 'access_log "/no/such/log"', "cannot open `/no/such/log`: no such file or directory"),
        ('"127.0.0.1:0"', 'store embedded, path: "/no/such/x"', "cannot make the store's folder `/no/such/x`: make"),
        ('"127.0.0.1:0"', 'admin "unix:/no/such/socket"', "unix:/no/such/socket"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, listen: str, more: str, sentence: str) -> None:
    (tmp_path / "junk.pem").write_text("junk\n")
    lines = fails(tmp_path, listen, more)
    assert len(lines) == 1 and sentence in lines[0], lines


def test_addresses_that_others_have(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert fails(tmp_path, f'"{address}"') == [f"cannot listen on `{address}`: another program listens there"]
        (line,) = fails(tmp_path, more=f'admin "{address}"')
        assert line == f"cannot listen for the operator on `http://{address}`: another program listens there"


def test_too_few_files(tmp_path: Path) -> None:
    for limit in (12, 40, 160):
        (line,) = fails(tmp_path, files=limit)
        assert line == f"this process may open {limit} files, and needs 166 to begin with: raise `ulimit -Hn`"


def test_a_folder_that_another_gateway_has(tmp_path: Path) -> None:
    (tmp_path / "policy.pol").write_text(POLICY.format(listen='"127.0.0.1:0"', more=""))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], tmp_path) as first:
        first.ready()
        (line,) = fails(tmp_path)
        holder = f"another polgate (process {first.process.pid}) holds `{tmp_path / '.polgate'}`"
        assert line == f"{holder}: stop it, or name another store folder"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("POLGATE_WATCH", "maybe", "POLGATE_WATCH: `maybe` is neither yes nor no"),
        ("POLGATE_DRAIN_DELAY", "soon", "`soon` is no time: give one such as 500ms, 15s or 2m"),
        ("POLGATE_WORKERS", "0", "`0` is no number of workers"),
        ("POLGATE_LISTEN", "80", "POLGATE_LISTEN: cannot listen on `80`: give an address and a port"),
    ],
)
def test_every_flag_is_a_variable_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    assert sentence in "\n".join(fails(tmp_path, status=2))
