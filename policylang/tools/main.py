"""The command line of `pol`: one file a command beside this one, loaded when it is used."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

COMMANDS = {
    "check": "find every mistake in policies",
    "lint": "say what an expert reviewer would say of policies",
    "fmt": "lay policies out in the one way",
    "test": "run the tests of policies, and tell what they have seen",
    "tree": "show the assertion tree a policy compiles to",
    "run": "ask a policy one thing, without a network, and show what became of it",
    "repl": "try expressions and statements on a request",
    "bench": "measure what each statement of a policy costs",
    "explain": "tell about an assertion, function, statement or diagnostic",
    "docs": "write the reference",
    "new": "begin a package of your own: a rule",
}
FINE, FINDINGS, USAGE, DEFECT = 0, 1, 2, 3


class NotWritten(OSError):
    """A file could not be written, which `filename` names."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs and exits: 0 fine, 1 findings, 2 usage or an unreadable file, 3 a defect of ours."""
    gc.disable()  # a command lives for a second at most, and keeps nearly all it makes
    _open_output()
    try:
        code = run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except OSError as error:
        # What is held for standard output goes nowhere: else it is tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FINE
        if not isinstance(error, BrokenPipeError):  # of one: whoever read what was written has seen enough
            print(f"pol: cannot go on: {(error.strerror or 'failed').lower()}", file=sys.stderr)
            code = USAGE
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _open_output() -> None:
    """What is written is UTF-8, as junit says of itself and JSON is, and names of files are the bytes they were."""
    if sys.stdout is None:  # closed by who has started this
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    elif isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="pol",
        description="Write policies for polgate.",
        epilog="every flag can also be set as POL_FLAG in the environment; `-` is standard input",
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    before = arguments
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary[:1].upper() + summary[1:] + ".")
        if name == wanted:
            import_module(f"policylang.tools.{name}_command").options(command)
            _from_environment(command)
            # By itself, so that flags may stand between a file and what follows it.
            before, own = arguments[: arguments.index(name)], arguments[arguments.index(name) + 1 :]
            given = command.parse_intermixed_args(own)
    found = parser.parse_args(before)
    if before is not arguments:
        found = argparse.Namespace(**{**vars(found), **vars(given), "command": wanted})
    if found.version:
        from importlib.metadata import version

        print(f"pol {version('polgate')}")
        return FINE
    if found.command is None:
        parser.print_help()
        return USAGE
    try:
        code: int = import_module(f"policylang.tools.{found.command}_command").run(found)
    except OSError as error:
        if error.filename is None:
            raise  # of what is written, or of the machine
        does = "write" if isinstance(error, NotWritten) else "read"
        print(f"pol: cannot {does} `{error.filename}`: {(error.strerror or 'failed').lower()}", file=sys.stderr)
        return USAGE
    except Exception as error:
        if os.environ.get("POL_DEBUG"):
            raise
        print(
            f"pol: a defect of ours: {type(error).__name__}: {error}\n"
            "please report it with the policy that shows it; POL_DEBUG=1 prints where it happened",
            file=sys.stderr,
        )
        return DEFECT
    return code


def _from_environment(parser: argparse.ArgumentParser) -> None:
    """Every flag also as POL_…: the environment gives the default."""
    for action in parser._actions:
        for option in action.option_strings:
            value = os.environ.get("POL_" + option.lstrip("-").upper().replace("-", "_"))
            if option.startswith("--") and value and option != "--help":
                if isinstance(action, argparse._StoreTrueAction):
                    action.default = value.lower() in ("1", "true", "yes")
                else:
                    action.default = [value] if isinstance(action, argparse._AppendAction) else value


def use_color(choice: str) -> bool:
    """`auto` colours a terminal, unless NO_COLOR is set."""
    if choice == "auto":
        return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return choice == "always"


def add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("text", "json", "sarif", "github", "junit"), default="text",
        help="how findings are written",
    )  # fmt: skip
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")
