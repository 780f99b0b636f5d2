"""What packages polgate for others: the image, the units of systemd; each by its linter, and by what they promise."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import provision

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
CONTAINERFILE = (PACKAGING / "Containerfile").read_text()
UNITS = ("polgate.service", "polgate.socket")
EXPOSURE = 20
"""Tenths: of 10.0 that a unit without any hardening has, at most so much may be left."""


# --- the image -------------------------------------------------------------------------------------


def instructions(name: str) -> list[str]:
    lines = CONTAINERFILE.replace("\\\n", " ").splitlines()
    return [line.split(None, 1)[1].strip() for line in lines if line.startswith(name + " ")]


def test_hadolint_finds_nothing_in_the_image() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    run = subprocess.run([hadolint, PACKAGING / "Containerfile"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_image_is_what_the_manual_says() -> None:
    build, final = instructions("FROM")
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", final) and build == f"{final} AS build"
    assert [re.fullmatch(r"(\d+):\1", user) is not None for user in instructions("USER")] == [True]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("ENTRYPOINT") == ['["polgate"]']
    assert instructions("HEALTHCHECK")[0].endswith('CMD ["polgate", "status"]')
    (volume,) = instructions("VOLUME")
    state = next(line for line in instructions("ENV") if "STATE_DIRECTORY" in line)
    assert f"STATE_DIRECTORY={volume}/" in state, "a mounted volume belongs to whom it likes: the store is within"


def test_the_image_is_built_of_what_makes_the_whole_wheel(tmp_path: Path) -> None:
    copied = [name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]]
    ignored = (PACKAGING / "Containerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    for name in copied:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "source")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(tmp_path / "source")],
        check=True, timeout=300,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    packages = {name.replace(".", "/") for name in config["options"]["packages"].split()}
    names = zipfile.ZipFile(wheel).namelist()
    assert {os.path.dirname(name) for name in names if name.endswith("/__init__.py")} == packages - {"grammar"}
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        name.split("/")[0] for name in packages
    }


def test_the_root_may_be_read_only(tmp_path: Path) -> None:
    """As `docker run --read-only` has it: nothing is written but in the state directory."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.pol").write_text(
        'gateway { listen "127.0.0.1:0" }\nservice a "/" {\n    rate_limit 9/s, per: client.ip\n    respond 200\n}\n'
    )
    (tmp_path / "volume").mkdir()
    script = (
        "set -e; mount --make-rprivate /; mount -t tmpfs -o mode=0777 tmpfs ../volume; mount -o remount,bind,ro /; "
        "if touch read-write 2>/dev/null; then exit 77; fi; "
        'exec "$0" -m runtime.main run policy.pol'
    )
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace of our own needs root")
    environ = {
        **os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "POLGATE_DRAIN_DELAY": "0s",
        "STATE_DIRECTORY": str(tmp_path / "volume" / "store"),
    }  # fmt: skip
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, sys.executable], cwd=tmp_path / "policy", env=environ, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        lines = [process.stderr.readline() for _ in range(2)]
        if lines[0] == "" and process.wait(30) == 77:
            pytest.skip("this folder is on a mount of its own, which stays writable")
        assert lines[0].startswith("listening on ") and lines[1] == "ready\n", lines
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()
    assert list((tmp_path / "volume").iterdir()) == [], "the volume was the namespace's own"


# --- systemd ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, with the program where it is here: systemd-analyze looks whether it can be run."""
    absent = provision.absent("systemd-analyze")
    if absent:
        pytest.skip(absent["systemd-analyze"])
    folder = tmp_path_factory.mktemp("units")
    for name in UNITS:
        text = (PACKAGING / name).read_text()
        text = text.replace("/opt/polgate/bin/polgate", str(Path(sys.executable).parent / "polgate"))
        (folder / name).write_text(text)
    return folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_understands_the_units(units: Path) -> None:
    run = analyze("verify", *(units / name for name in UNITS))
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_the_service_is_exposed_to_little(units: Path) -> None:
    run = analyze("security", "--offline=yes", f"--threshold={EXPOSURE}", units / "polgate.service")
    assert run.returncode == 0, run.stdout


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (PACKAGING / name).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_the_service_says_what_the_gateway_does() -> None:
    service, sockets = settings("polgate.service"), settings("polgate.socket")
    assert service["Type"] == ["notify"] and float(service["WatchdogSec"][0]) >= 10
    assert service["ExecReload"][0].endswith("polgate reload")
    assert service["KillMode"] == ["mixed"], "TERM to every worker at once is no drain"
    assert service["StateDirectoryMode"] == ["0700"], "the store refuses a folder that is open to others"
    assert "ProcSubset" not in service, "the store could not read the boot's id"
    for name in ("NoNewPrivileges", "MemoryDenyWriteExecute", "DynamicUser", "PrivateDevices"):
        assert service[name] == ["yes"], name
    assert service["CapabilityBoundingSet"] == [""] and service["ProtectSystem"] == ["strict"]
    assert "LoadCredential" in service
    assert sockets["ReusePort"] == ["yes"]
