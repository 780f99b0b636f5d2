"""`pol run`"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from policylang.check import check_files
from policylang.diagnostics.nearest import nearest
from policylang.tools.check_command import read
from policylang.tools.findings import show
from policylang.tools.main import FINDINGS, FINE, USAGE, use_color
from policylang.tools.request_flags import add_request_flags, complain, incoming_of
from policylang.trace.incoming import NotARequest

if TYPE_CHECKING:
    from policylang.check.program import Program
    from policylang.testing.stubs import Planned

MOST_REPEATS = 100_000
FAILURES = ("unreachable", "broken", "timeout")


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a policy; `-` is standard input")
    parser.add_argument("url", nargs="?", metavar="URL", help="a URL, or the path alone")
    add_request_flags(parser)
    add_surroundings(parser)
    parser.add_argument("--repeat", metavar="N", help="ask so many times, and show the last one")
    parser.add_argument("-i", "--include", action="store_true", help="show the answer with its fields, nothing else")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: the journal of each request")
    parser.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="colour the text")


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--upstream", action="append", metavar="NAME=STATUS[:BODY]",
        help=f"what an upstream answers: a status, with a body, or @FILE, behind a colon; or {', '.join(FAILURES)}."
        " Several of one name are its answers in turn",
    )  # fmt: skip
    parser.add_argument("--at", metavar="TIME", help="what time it is, as in 2026-03-31T23:59:58 (UTC); left out: now")


def run(found: argparse.Namespace) -> int:
    checked = check_files([found.file], load=read)
    if checked.program is None:
        show(checked.diagnostics, "text", use_color(found.color))
        return FINDINGS
    try:
        asked = incoming_of(found, found.url)
        answers, epoch = answers_of(found, checked.program), moment_of(found.at)
        times = _times(found.repeat)
    except NotARequest as error:
        complain(error)
        return USAGE
    from policylang.trace.offline import Offline

    offline = Offline(checked.program, answers, epoch)
    if found.format == "json" or not found.include:
        offline.warm(asked)
    verdicts: list[tuple[str, int]] = []
    document: dict[str, Any] = {}
    for _ in range(times):
        document = offline.send(asked).document
        if found.format == "json":
            print(json.dumps(document, ensure_ascii=False))
        _count(verdicts, document)
    if found.include:
        print(answer_text(document), end="")
    elif found.format == "text":
        _tell(verdicts)
        from policylang.trace.picture import picture

        print(picture(document, checked.program.sources, use_color(found.color)), end="")
    if offline.defect is not None:
        raise offline.defect  # there is no log that would have it
    return FINE


def answer_text(document: dict[str, Any]) -> str:
    """The answer as `curl -i` shows it."""
    from http import HTTPStatus

    answer = document["answer"]
    status = answer["status"]
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    head = [f"HTTP/1.1 {status} {phrase}".rstrip(), *(f"{name}: {value}" for name, value in answer["fields"])]
    body: str = answer.get("body", "")
    return "\n".join(head) + "\n\n" + body + ("\n" if body and not body.endswith("\n") else "")


def _count(verdicts: list[tuple[str, int]], document: dict[str, Any]) -> None:
    from policylang.trace.picture import verdict

    said = verdict(document)
    if verdicts and verdicts[-1][0] == said:
        verdicts[-1] = (said, verdicts[-1][1] + 1)
    else:
        verdicts.append((said, 1))


def _tell(verdicts: list[tuple[str, int]]) -> None:
    """Of several requests, which came to what; the same in a row on one line."""
    total = sum(count for _, count in verdicts)
    if total == 1:
        return
    first = 1
    for said, count in verdicts[:20]:
        numbers = f"{first}" if count == 1 else f"{first} to {first + count - 1}"
        print(f"{numbers:>{2 * len(str(total)) + 4}}  {said}")
        first += count
    if len(verdicts) > 20:
        print(f"{'…':>{2 * len(str(total)) + 4}}  and so on, to {total}")
    print()


def _times(text: str | None) -> int:
    if text is None:
        return 1
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_REPEATS:
        raise NotARequest(f"`--repeat {text}` is no number from 1 to {MOST_REPEATS}")
    return int(text)


def moment_of(text: str | None) -> float:
    """Seconds since the epoch; now where nothing is said. Raises NotARequest."""
    from datetime import UTC, datetime

    if text is None:
        return datetime.now(UTC).timestamp()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NotARequest(f"`--at {text}` is no time: write it as 2026-03-31T23:59:58") from None
    return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()


def answers_of(found: argparse.Namespace, program: Program) -> dict[str, list[Planned]]:
    """What each upstream is to answer. Raises NotARequest."""
    known = [each.name for each in program.upstreams]
    answers: dict[str, list[Planned]] = {}
    for text in found.upstream or ():
        name, mark, said = text.partition("=")
        if not mark:
            raise NotARequest(f"`--upstream {text}` is no `NAME=STATUS`")
        if name not in known:
            close = nearest(name, known)
            listed = ", ".join(f"`{each}`" for each in known) or "none"
            cure = f"did you mean `{close}`?" if close else f"it has {listed}"
            raise NotARequest(f"the policy has no upstream `{name}`: {cure}")
        answers.setdefault(name, []).append(_answer(text, said))
    return answers


def _answer(text: str, said: str) -> Planned:
    from policylang.sdk.bench import make_fields
    from policylang.testing.stubs import Planned

    if said in FAILURES:
        return Planned(fails=said)
    status, mark, body = said.partition(":")
    if not mark and "@" in status:
        status, _, file = status.partition("@")
        body = f"@{file}"
    if len(status) != 3 or not status.isascii() or not status.isdigit() or not 200 <= int(status) <= 599:
        raise NotARequest(f"`--upstream {text}` has no status from 200 to 599: write `NAME=503`, or NAME={FAILURES[0]}")
    data = read(body[1:]) if body.startswith("@") else body.encode("utf-8", "surrogateescape")
    if not data and status == "200" and not mark:
        data = b"{}"
    return Planned(int(status), tuple(make_fields({"Content-Type": _kind(data)} if data else {})), data)


def _kind(data: bytes) -> str:
    try:
        json.loads(data)
    except ValueError:
        return "application/xml" if data.lstrip().startswith(b"<") else "text/plain; charset=utf-8"
    return "application/json"


__all__ = ["add_surroundings", "answer_text", "answers_of", "moment_of", "options", "run"]
