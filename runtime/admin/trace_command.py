"""`polgate trace`: tokens for journals, and the journals of a running gateway's requests as they end.

Exit: 0 fine, 1 refused (an expression or a service that the policy does not know), or ended by the gateway, 2 usage, or
nobody answers.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from policylang.source import Source
from runtime.admin.address import AdminAddress
from runtime.admin.client import LARGEST, PATIENCE, USAGE, NoAnswer, add_usual, ask, asked, document_of
from runtime.admin.journals import KEEP_ALIVE, PATH
from runtime.admin.printed import NotGranted, run_printed
from runtime.trace.tokens import LONGEST_LIFE

COMMAND = "trace"
SILENCE = KEEP_ALIVE + PATIENCE
"""Seconds without a word after which a gateway that is followed has gone."""
_UNITS = {"s": 1, "m": 60, "h": 3600}


def add_command(commands: Any) -> None:
    """`commands`: what `add_subparsers` gave."""
    command = commands.add_parser(
        COMMAND, help="see why requests are answered as they are",
        description="Get a token with which a caller sees the journal of its own request, or follow the journals of "
        "the requests that match.",
        epilog="exit: 0 fine, 1 refused, or ended by the gateway, 2 nobody answers",
    )  # fmt: skip
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument("--token", action="store_true",
                      help="get a token: a request that shows it in `Polgate-Trace` is answered with its journal in "
                      "`Polgate-Journal`, which `pol explain --journal` reads")  # fmt: skip
    what.add_argument("--follow", nargs="?", const="", metavar="EXPRESSION",
                      help="show the journals of requests as they end, of all or of those for which a boolean "
                      "expression of the policy's language holds, as in 'response.status == 429'")  # fmt: skip
    command.add_argument("--service", metavar="NAME", default="", help="only requests of this service")
    command.add_argument("--for", dest="life", type=_seconds, metavar="TIME",
                         help="how long a token is good, as in 90s or 10m (the default); 1h at most")  # fmt: skip
    command.add_argument("--count", type=_count, metavar="N", help="end after so many journals")
    command.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")
    add_usual(command)


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})(s|m|h)", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found is not None else 0
    if not 1 <= seconds <= LONGEST_LIFE:
        raise argparse.ArgumentTypeError(f"`{text}` is no time from 1s to 1h: give one such as 90s or 10m")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text)):
        raise argparse.ArgumentTypeError(f"`{text}` is no number of journals: give 1 or more")
    return int(text)


def run(found: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if found.life is not None and not found.token:
        return _misplaced("--for", "--token")
    if found.count is not None and found.token:
        return _misplaced("--count", "--follow")
    return run_printed(found, environ, _token if found.token else _followed)


def _misplaced(flag: str, other: str) -> int:
    _say(f"`{flag}` says something of `{other}`, which is not given")
    return USAGE


def _token(found: argparse.Namespace, address: AdminAddress, token: str) -> Iterator[str]:
    query = {"service": found.service, "for": found.life}
    path = f"{PATH}/tokens?{urlencode({name: value for name, value in query.items() if value})}"
    said = _granted(*ask(address, "POST", path, token))
    if found.format == "json":
        yield json.dumps(said)
        return
    yield said["token"]
    if sys.stdout.isatty():
        until = datetime.fromtimestamp(said["expires"]).strftime("%H:%M:%S")
        whose = f"service `{said['service']}`" if said["service"] else "every service"
        _say(f"good until {until} for {whose} under policy {said['policy']}; send it as `Polgate-Trace`, and give the "
             "answer's head to `pol explain --journal -`")  # fmt: skip


def _followed(found: argparse.Namespace, address: AdminAddress, token: str) -> Iterator[str]:
    query = {"expression": found.follow, "service": found.service}
    path = f"{PATH}?{urlencode({name: value for name, value in query.items() if value})}"
    sources: dict[str, list[Source]] = {}
    left = found.count
    with asked(address, "GET", path, token, SILENCE) as answer:
        if answer.status != 200:
            _granted(answer.status, answer.headers.get_content_type(), answer.read(LARGEST))
        while line := answer.readline(LARGEST):
            said = _object(line)
            if said is None:
                continue
            if "trace" in said:
                _note(said)
                continue
            if found.format == "json":
                yield line.decode().rstrip("\n")
            else:
                yield _drawn(said, sources, found.color, address, token)
            sys.stdout.flush()
            if left is not None and (left := left - 1) == 0:
                return
    raise NoAnswer("the gateway has gone")


def _object(line: bytes) -> dict[str, Any] | None:
    """None for the empty line that says that the gateway is still there."""
    if not line.strip():
        return None
    try:
        said = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise NoAnswer("what answers there is no admin listener of polgate")
    return said


def _note(said: dict[str, Any]) -> None:
    """Raises NotGranted at the end."""
    if said["trace"] == "lost":
        _say(f"{said['journals']} journals were lost: there were more than can be told, or read")
    elif said["trace"] == "end":
        if said["unread"]:
            _say(f"{said['unread']} requests do not have what the expression reads, and were left out")
        raise NotGranted(said["why"])


def _drawn(
    journal: dict[str, Any], sources: dict[str, list[Source]], color: str, address: AdminAddress, token: str
) -> str:
    """`sources`: of the policies seen so far, by their hashes; without those of the journal there is less to draw."""
    from policylang.tools.main import use_color
    from policylang.trace.picture import picture

    if journal["policy"] not in sources:
        said = _granted(*ask(address, "GET", f"{PATH}/sources", token))
        sources[said["policy"]] = [Source(name, text) for name, text in said["files"].items()]
    return picture(journal, sources.get(journal["policy"], ()), use_color(color))


def _granted(status: int, kind: str, body: bytes) -> dict[str, Any]:
    said = document_of(kind, body)
    if status != 200:
        raise NotGranted(said.get("detail") or f"the gateway answered {status}")
    return said


def _say(text: str) -> None:
    print(f"polgate: {text}", file=sys.stderr, flush=True)
