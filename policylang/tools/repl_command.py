"""`pol repl`"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from typing import NoReturn

from policylang.check import check_files
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, USAGE, use_color
from policylang.tools.request_flags import add_request_flags, complain, incoming_of
from policylang.tools.run_command import add_surroundings, answers_of, moment_of
from policylang.trace.incoming import Incoming, NotARequest

PROMPT, MORE = "> ", "  "


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a policy")
    parser.add_argument("url", nargs="?", metavar="URL", help="a URL, or the path alone; left out: /")
    add_request_flags(parser)
    add_surroundings(parser)
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def run(found: argparse.Namespace) -> int:
    color = use_color(found.color)
    checked = check_files([found.file], load=read)
    if checked.program is None:
        show(checked.diagnostics, "text", color)
        return FINDINGS
    try:
        asked = incoming_of(found, found.url or (None if found.request else "/"))
        answers, epoch = answers_of(found, checked.program), moment_of(found.at)
    except NotARequest as error:
        complain(error)
        return USAGE
    from policylang.trace.conversation import Conversation, Ended
    from policylang.trace.offline import Offline

    conversation = Conversation(Offline(checked.program, answers, epoch), asked, _load, color)
    try:
        for text in _texts(conversation.names):
            answer = conversation.answer(text)
            if answer:
                print(answer, flush=True)
    except Ended:
        pass
    return FINE


class _Flags(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise NotARequest(message)


def _load(words: str) -> Incoming:
    parser = _Flags(prog=":request", add_help=False)
    parser.add_argument("url", nargs="?")
    add_request_flags(parser)
    try:
        split = shlex.split(words)
    except ValueError as error:
        raise NotARequest(f"the flags cannot be read: {str(error).lower()}") from None
    found = parser.parse_args(split)
    return incoming_of(found, found.url)


def _texts(names: list[str]) -> Iterator[str]:
    """What is said, one text at a time: a line, or several where brackets, quotes or a `\\` at its end leave it open.
    At a terminal Ctrl-C drops what is being written."""
    line = _reader(names)
    while True:
        try:
            text = line(PROMPT)
            if text is None:
                return
            while (goes_on := text.rstrip().endswith("\\")) or _open(text):
                more = line(MORE)
                if more is None:
                    break
                text = f"{text.rstrip()[:-1]} {more}" if goes_on else f"{text}\n{more}"
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            print()
            continue
        yield text


def _open(text: str) -> bool:
    """Whether a bracket, or a text of several lines, is still open. What stands in quotes or behind `#` counts not."""
    if text.count('"""') % 2:
        return True
    depth = 0
    quoted = ""
    for place, character in enumerate(text):
        if quoted:
            if character == quoted and text[place - 1] != "\\":
                quoted = ""
        elif character == '"':
            quoted = character
        elif character == "#":
            break
        else:
            depth += (character in "([{") - (character in ")]}")
    return depth > 0 and not text.startswith(":")


def _reader(names: list[str]):  # type: ignore[no-untyped-def]
    """Gives the next line, None at the end: with line editing at a terminal, else of standard input as it is."""
    if not sys.stdin.isatty():
        return lambda prompt: next((line.rstrip("\r\n") for line in sys.stdin), None)
    try:
        import readline
    except ImportError:
        pass
    else:
        readline.set_completer_delims(" \t\n,()[]{}")
        readline.set_completer(
            lambda text, number: next(iter([name for name in names if name.startswith(text)][number:]), None)
        )
        readline.parse_and_bind("tab: complete")

    def ask(prompt: str) -> str | None:
        try:
            return input(prompt)
        except EOFError:
            print()
            return None

    return ask
