"""polgate's command line, and where the supervisor is put together."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from runtime.admin import client
from runtime.workers.settings import PolicyRefused
from runtime.workers.sockets import CannotListen, split_address

FINE, NOT_STARTED, USAGE, DEFECT = 0, 1, 2, 3
MAX_WORKERS = 512


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs and exits: 0 fine, 1 could not start, 2 usage or an unreadable file, 3 a defect of ours."""
    try:
        code = _command(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        code = 130
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
    client.add_commands(commands)
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


def _run(found: argparse.Namespace) -> int:
    """`polgate run`: the policy, the store's folder, the supervisor, in this order."""
    from pathlib import Path

    from runtime.observe.events import EventLog
    from runtime.stores import StoreUnavailable
    from runtime.stores.folder import FolderClaim, choose_folder
    from runtime.workers.child import worker_command
    from runtime.workers.policy import Reader
    from runtime.workers.supervisor import Supervisor

    listen = found.listen or _addresses(os.environ.get("POLGATE_LISTEN", ""))
    reader = Reader(found.files, listen=listen, workers=found.workers, color=_color())
    try:
        loaded = reader.load()
    except PolicyRefused as refused:
        _say(refused.report)
        return USAGE if refused.unreadable else NOT_STARTED
    except CannotListen as error:
        _say(str(error))
        return NOT_STARTED
    log = EventLog("supervisor")
    setting = loaded.settings.store
    try:
        claim = FolderClaim.take(choose_folder(Path(setting) if setting else None, os.environ))
    except StoreUnavailable as error:
        _say(str(error))
        return NOT_STARTED
    try:
        if claim.discarded:
            log.write("info", f"the store begins empty: {claim.discarded}")
        return Supervisor(loaded, reader.load, worker_command(), log, log.say, claim).run()
    finally:
        claim.release()


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
