"""`polgate status`, `reload` and `drain`: what an operator asks a running gateway, over its admin listener.

Exit: 0 fine, 1 refused (a policy that was not taken up, a wrong token) or not ready, 2 usage, or nobody answers.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from runtime.admin.address import AdminAddress, BadAddress, admin_address, default_socket
from runtime.admin.operated import cluster_words

FINE, REFUSED, USAGE = 0, 1, 2
COMMANDS = ("status", "reload", "drain")
PATIENCE = 10.0
"""Seconds until an answer must be there."""
RELOAD_PATIENCE = 150.0
"""Seconds for a reload: reading and compiling have 60 each."""
LARGEST = 16 * 1024 * 1024
"""Bytes of an answer that are read."""


class NoAnswer(Exception):
    """Nobody is there, or what is there is no admin listener; the text is one sentence."""


def add_commands(commands: Any) -> None:
    """`commands`: what `add_subparsers` gave."""
    about = {
        "status": ("say how a running gateway is", "Show a running gateway's workers, policy and listeners."),
        "reload": ("have the policy read again", "Have the policy read again; wait until every worker serves it."),
        "drain": ("end a running gateway gently", "Have a running gateway answer what is open, then end."),
    }
    for name, (short, long) in about.items():
        command = commands.add_parser(
            name, help=short, description=long,
            epilog="every flag can also be set as POLGATE_FLAG in the environment; "
            "exit: 0 fine, 1 refused or not ready, 2 nobody answers",
        )  # fmt: skip
        add_usual(command)


def add_usual(command: Any) -> None:
    """Whom to ask, as whom, and how to write the answer."""
    command.add_argument(
        "--admin", metavar="ADDRESS", default=None,
        help="unix:PATH or http://ADDRESS:PORT; left out: admin.sock in $STATE_DIRECTORY, else in ./.polgate",
    )  # fmt: skip
    command.add_argument("--token-file", metavar="FILE", default=None, help="holds the token that changes need")
    command.add_argument(
        "--format", choices=["text", "json"], default=os.environ.get("POLGATE_FORMAT") or "text",
        help="how the answer is written",
    )  # fmt: skip


def run(found: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """One of COMMANDS."""
    try:
        address = address_of(found.admin or environ.get("POLGATE_ADMIN", ""), environ)
        token = token_of(found.token_file or environ.get("POLGATE_TOKEN_FILE", ""))
        if found.command == "status":
            return _status(address, token, found.format)
        return _change(address, token, found.command, found.format)
    except (NoAnswer, BadAddress) as error:
        print(f"polgate: {error}", file=sys.stderr)
        return USAGE


def address_of(text: str, environ: Mapping[str, str]) -> AdminAddress:
    address = admin_address(text or f"unix:{default_socket(environ)}", Path())
    if address is None:
        raise BadAddress("`off` is no address to ask: give unix:PATH or http://ADDRESS:PORT")
    return address


def token_of(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise NoAnswer(f"cannot read the token in `{file}`: {reason.lower()}") from None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("polgate", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    address: AdminAddress, method: str, path: str, token: str = "", timeout: float = PATIENCE, body: bytes | None = None
) -> tuple[int, str, bytes]:
    """Status, media type and body of the answer. Raises NoAnswer."""
    with asked(address, method, path, token, timeout, body) as answer:
        return answer.status, answer.headers.get_content_type(), answer.read(LARGEST)


@contextlib.contextmanager
def asked(
    address: AdminAddress, method: str, path: str, token: str = "", timeout: float = PATIENCE, body: bytes | None = None
) -> Iterator[http.client.HTTPResponse]:
    """The answer, whose body is still to be read. `timeout`: seconds for each part of it. Raises NoAnswer."""
    connection: http.client.HTTPConnection
    if address.path:
        connection = _UnixConnection(address.path, timeout)
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    headers = {"Accept": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    with contextlib.closing(connection):
        try:
            connection.request(method, path, body, headers)
            yield connection.getresponse()
        except TimeoutError:
            raise NoAnswer(f"no answer from {address} within {timeout:g} s") from None
        except OSError as error:
            where = "is the gateway running, and is this its socket?" if address.path else "is the gateway running?"
            reason = (error.strerror or type(error).__name__).lower()
            raise NoAnswer(f"cannot reach {address}: {reason}: {where}") from None
        except (http.client.HTTPException, ValueError) as error:
            raise NoAnswer(f"what {address} says is no HTTP: {error or type(error).__name__}") from None


# --- changes -------------------------------------------------------------------------------------


def _change(address: AdminAddress, token: str, name: str, form: str) -> int:
    timeout = RELOAD_PATIENCE if name == "reload" else PATIENCE
    status, kind, body = ask(address, "POST", f"/{name}", token, timeout)
    said = document_of(kind, body)
    good = 200 <= status < 300
    if form == "json":
        sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode() + "\n")
    elif good:
        print(said.get("text") or "done")
    if good:
        return FINE
    print(said.get("detail") or said.get("title") or f"{address} answered {status}", file=sys.stderr)
    return REFUSED


def document_of(kind: str, body: bytes) -> dict[str, Any]:
    if kind == "application/json" or kind.endswith("+json"):
        try:
            found = orjson.loads(body)
            if isinstance(found, dict):
                return found
        except orjson.JSONDecodeError:
            pass
    raise NoAnswer("what answers there is no admin listener of polgate")


# --- status --------------------------------------------------------------------------------------


def _status(address: AdminAddress, token: str, form: str) -> int:
    status, kind, body = ask(address, "GET", "/status", token)
    said = document_of(kind, body)
    if status != 200:
        print(said.get("detail") or f"{address} answered {status}", file=sys.stderr)
        return REFUSED
    if form == "json":
        sys.stdout.write(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        print(status_text(said, time.time()))
    return FINE if said.get("ready") else REFUSED


def status_text(said: Mapping[str, Any], now: float) -> str:
    """For a terminal: what is true of the gateway, then a line for each worker."""
    lines = [
        ("gateway", f"{said['name']}, polgate {said['version']}, pid {said['pid']}, up {_ago(now - said['started'])}"),
        ("state", _state(said)),
        ("policy", f"{said['policy']}, generation {said['generation']}, for {_ago(now - said['loaded'])}"),
        ("listening", ", ".join(said["listeners"]) or "nowhere"),
        ("store", said["store"] or "fine"),
    ]
    if (cluster := cluster_words(said)) is not None:  # type: ignore[arg-type]
        lines.append(("cluster", cluster[1]))
    last = said.get("last_reload")
    if last:
        first = (last["text"].strip().splitlines() or [""])[0]
        how = "taken up" if last["ok"] else f"refused: {first}"
        lines.append(("last reload", f"{_ago(now - last['at'])} ago, {how}"))
    if said["restarts"]:
        lines.append(("restarts", str(said["restarts"])))
    text = [f"{name:<12} {value}" for name, value in lines]
    rows = [("worker", "pid", "state", "policy", "up")]
    for worker in said["workers"]:
        policy = worker["policy"] or "-"
        if worker["policy"] and worker["policy"] != said["policy"]:
            policy += " (differs)"
        rows.append(
            (str(worker["slot"]), str(worker["pid"]), worker["state"], policy, _ago(now - worker["started"]))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    text += ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                   for row in rows)]  # fmt: skip
    return "\n".join(text)


def _state(said: Mapping[str, Any]) -> str:
    ready = sum(worker["state"] == "ready" for worker in said["workers"])
    words = [f"{ready} of {said['workers_wanted']} workers ready"]
    words += ["draining"] if said["draining"] else []
    words += ["reloading"] if said["reloading"] else []
    words += [] if said["running"] or said["draining"] else ["starting"]
    return ", ".join(words)


def _ago(seconds: float) -> str:
    left = max(0, int(seconds))
    for size, unit, next_size, next_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if left >= size:
            return f"{left // size}{unit} {left % size // next_size}{next_unit}"
    return f"{left}s"
