"""polgate's command line, and where the supervisor is put together."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.admin import client, map_command, quota_command, trace_command
from runtime.workers.settings import PolicyRefused
from runtime.workers.sockets import CannotListen, split_address

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.observe.events import EventLog
    from runtime.workers.seat import OpenAdmin

FINE, NOT_STARTED, USAGE, DEFECT = 0, 1, 2, 3
MAX_WORKERS = 512


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs and exits: 0 fine, 1 could not start, 2 usage or an unreadable file, 3 a defect of ours."""
    try:
        code = _command(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # `polgate status | head -1`: who reads has what it wanted
        code = FINE
    except Exception as error:
        if os.environ.get("POLGATE_DEBUG"):
            traceback.print_exc()
        _say(
            f"polgate: a defect of ours: {type(error).__name__}: {error}\n"
            "please report it with the policy that shows it; POLGATE_DEBUG=1 prints where it happened"
        )
        code = DEFECT
    sys.exit(code)


def _command(arguments: list[str]) -> int:
    parser = _parser()
    found = parser.parse_args(arguments)
    if found.version:
        from importlib.metadata import version

        print(f"polgate {version('polgate')}")
        return FINE
    if found.command is None:
        parser.print_help(sys.stderr)
        return USAGE
    if found.command in client.COMMANDS:
        return client.run(found, os.environ)
    if found.command == map_command.COMMAND:
        return map_command.run(found, os.environ)
    if found.command == quota_command.COMMAND:
        return quota_command.run(found, os.environ)
    if found.command == trace_command.COMMAND:
        return trace_command.run(found, os.environ)
    return _run(found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="polgate",
        description="Serve traffic by policies.",
        epilog="every flag can also be set as POLGATE_FLAG in the environment",
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="serve traffic by policies",
        description="Serve traffic by policies until TERM or INT. HUP reads them again, USR1 reopens the logs.",
        epilog="every flag can also be set as POLGATE_FLAG in the environment, several addresses with spaces between",
    )
    run.add_argument("files", nargs="+", metavar="FILE", help="a policy; `-` is standard input")
    run.add_argument(
        "--workers", type=_workers, default=os.environ.get("POLGATE_WORKERS") or None, metavar="N",
        help="processes that serve, instead of what the policy says",
    )  # fmt: skip
    run.add_argument(
        "--listen", type=_address, action="append", metavar="ADDRESS",
        help="where to listen instead of where the policy says, as in 127.0.0.1:8080; several may be given",
    )  # fmt: skip
    run.add_argument(
        "--watch", action=argparse.BooleanOptionalAction, default=_yes("POLGATE_WATCH"),
        help="read the policy again whenever one of its files has changed",
    )  # fmt: skip
    run.add_argument(
        "--drain-delay", type=_duration, default=os.environ.get("POLGATE_DRAIN_DELAY") or None, metavar="TIME",
        help="between the wish to stop and the end of accepting, as in 15s, instead of what the policy says",
    )  # fmt: skip
    client.add_commands(commands)
    map_command.add_command(commands)
    quota_command.add_command(commands)
    trace_command.add_command(commands)
    return parser


def _workers(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_WORKERS):
        raise argparse.ArgumentTypeError(f"`{text}` is no number of workers: give 1 to {MAX_WORKERS}")
    return int(text)


def _address(text: str) -> str:
    try:
        split_address(text)
    except CannotListen as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _duration(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is no time: give one such as 500ms, 15s or 2m")
    return int(found[1]) * _UNITS[found[2]]


def _yes(name: str) -> bool:
    text = os.environ.get(name, "").lower()
    if text not in ("", "0", "1", "false", "true", "no", "yes"):
        _say(f"{name}: `{text}` is neither yes nor no: give 1 or 0")
        sys.exit(USAGE)
    return text in ("1", "true", "yes")


def _run(found: argparse.Namespace) -> int:
    """`polgate run`: the policy, the service manager's sockets, the store's folder, the supervisor, in this order."""
    from pathlib import Path

    from runtime.observe.events import EventLog
    from runtime.stores import StoreUnavailable
    from runtime.stores.folder import FolderClaim, choose_folder
    from runtime.workers.child import worker_command
    from runtime.workers.descriptors import raise_limit, too_few
    from runtime.workers.inherited import Inherited
    from runtime.workers.notify import Notifier
    from runtime.workers.policy import Reader
    from runtime.workers.supervisor import Supervisor
    from runtime.workers.watch import Watch

    for early in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(early, signal.SIG_IGN)  # the policy is being read, the logs opened; their default is to end us
    notifier = Notifier.take(os.environ)

    def refuse(text: str, code: int = NOT_STARTED) -> int:
        _say(text)
        notifier.failed(text)
        return code

    listen = found.listen or _addresses(os.environ.get("POLGATE_LISTEN", ""))
    reader = Reader(
        found.files, listen=listen, workers=found.workers, drain_delay=found.drain_delay, color=_color()
    )  # fmt: skip
    try:
        inherited = Inherited.take(os.environ)
        loaded = reader.load()
    except PolicyRefused as refused:
        return refuse(refused.report, USAGE if refused.unreadable else NOT_STARTED)
    except CannotListen as error:
        return refuse(str(error))
    log = EventLog("supervisor")
    try:
        log.move(log.open(loaded.settings.error_log))
    except OSError as error:
        return refuse(f"cannot open the error log `{loaded.settings.error_log}`: {(error.strerror or '').lower()}")
    missing = too_few(raise_limit(), loaded.settings.workers, len(loaded.settings.listen))
    if missing is not None:
        return refuse(missing)
    store = loaded.settings.store
    try:
        folder = choose_folder(Path(store.path) if store.path else None, os.environ)
        claim = FolderClaim.take(
            folder, rates_bytes=store.rates, lasting_bytes=store.lasting, cache_bytes=store.cache
        )
    except StoreUnavailable as error:
        return refuse(str(error))
    try:
        if claim.discarded:
            log.write("info", f"the store begins empty: {claim.discarded}")
        supervisor = Supervisor(
            loaded, reader.load, worker_command(), log, log.say, claim, notifier=notifier, inherited=inherited,
            open_admin=_admin(claim.folder, log), drain_delay=_drain_delay(),
        )  # fmt: skip
        if found.watch:
            Watch(lambda: reader.marks, lambda names: supervisor.operation.again(_changed(names))).start()
        return supervisor.run()
    finally:
        claim.release()


def _admin(folder: Path, log: EventLog) -> OpenAdmin:
    """Opens the admin listener that a policy asks for; the socket is in the store's folder unless it says otherwise."""
    from runtime.admin.server import AdminServer, CannotAdminister
    from runtime.observe.exposition import Exposition
    from runtime.workers.operation import CannotOperate, Operation
    from runtime.workers.settings import GatewaySettings

    exposition = Exposition(folder)

    def open_admin(settings: GatewaySettings, operation: Operation) -> AdminServer:
        try:
            server = AdminServer(
                settings.admin, settings.admin_token or "", operation, folder, lambda text: log.write("error", text),
                exposition,
            )  # fmt: skip
            server.start()
        except CannotAdminister as error:
            raise CannotOperate(str(error)) from None
        return server

    return open_admin


def _changed(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"`{names[0]}`{more} changed"


TERMINAL_DRAIN_DELAY, DRAIN_DELAY = 0.0, 15.0
"""Seconds: somebody at a terminal waits; elsewhere it is what a load balancer needs to see /readyz change."""


def _drain_delay() -> float:
    terminal = os.isatty(0) or os.isatty(2)
    return TERMINAL_DRAIN_DELAY if terminal else DRAIN_DELAY


def _addresses(text: str) -> list[str]:
    try:
        return [_address(address) for address in text.split()]
    except argparse.ArgumentTypeError as error:
        _say(f"POLGATE_LISTEN: {error}")
        sys.exit(USAGE)


def _color() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
