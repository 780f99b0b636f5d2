"""What a policy answers, what its upstreams receive, and the verdict's path, on a clock that moves when told.

The ```http block holds one request or several, each a request line, header lines, and behind an empty line a body.
Lines that begin with `@` come before a request: `@advance 1s`, `@times 100`, `@client 10.0.0.1`,
`@hold` (the next one stays under way until `@end`), `@store away` and `@store back`, and for an upstream
`@upstream NAME STATUS [Header: value]`, `@upstream NAME unreachable` or `timeout`, with `@body …` for its body. In
`upstream`, `<-` is a request that was waited for, `<~` a copy (`mirror`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from policylang.check import check_text
from policylang.sdk import Failure, Kind
from policylang.sdk.bench import BenchEnvironment, Sent, StubUpstream, make_exchange, make_response
from policylang.sdk.bench import run as drive
from policylang.tree import compile_program

CLIENTS = '{ "k1": { "id": "ann", "contract": "gold", "limit": 5, "roles": ["admin"] } }'
METHODS = re.compile(r"^(?:@\w+ .*|@(?:hold|end)|[A-Z]+ /\S*)$")
LOST = {
    "unreachable": Failure("upstream-unreachable", 502, kind=Kind.ERROR),
    "timeout": Failure("upstream-timeout", 504, kind=Kind.ERROR),
}


def run(case: Any) -> dict[str, str]:
    if case.path.name == "cases.md":
        return sample(case.path.parent, case.text("http"))
    files = {"clients.json": CLIENTS.encode()}
    for block in case.blocks:
        if block.info.startswith("file "):
            files[block.info.removeprefix("file ")] = block.text.encode()
    return exchange(case.policy, case.text("http"), files)


def exchange(policy: str, requests: str, files: dict[str, bytes], name: str = "case.pol") -> dict[str, str]:
    """The blocks `answer`, `upstream`, `verdict` and `log` of a case."""
    checked = check_text(policy, name, files, {})
    assert checked.program is not None, [f"{d.span}: {d.message}" for d in checked.diagnostics]
    tree = compile_program(checked.program)
    upstreams = {upstream.name: StubUpstream(lambda sent: _echo(sent)) for upstream in checked.program.upstreams}
    environment = BenchEnvironment(upstreams=upstreams)
    answers, verdicts, sent = [], [], []
    client, times = "192.0.2.1", 1
    under_way: list[Any] = []
    hold = False
    for words in _messages(requests):
        if isinstance(words, str):
            word, _, value = words.partition(" ")
            if word == "@advance":
                environment.clock.advance(float(value.removesuffix("s")))
            elif word == "@times":
                times = int(value)
            elif word == "@client":
                client = value
            elif word == "@hold":
                hold = True
            elif word == "@end":
                for each in under_way:
                    _end(each)
                under_way.clear()
            elif word == "@store":
                environment.store.down = value == "away"
            else:
                _stub(upstreams, value)
            continue
        method, path, headers, body = words
        for _ in range(times):
            given = make_exchange(
                environment, method, path, headers=headers, body=body, client=client, journal=True, id=""
            )
            response = drive(tree.handle(given), environment.clock)
            if not hold:
                _end(given)
        under_way += [given] if hold else []
        hold = False
        times = 1
        answers.append(_shown(response))
        journal = given.journal or []
        verdicts.append("\n".join(f"{e.place.line} {e.place.name} {_outcome(e.outcome)}" for e in journal))
        for upstream, stub in upstreams.items():
            sent += [f"{upstream} <- {_received(call)}" for call in stub.calls[-1:]]
            sent += [f"{upstream} <~ {_received(call)}" for call in stub.mirrored]
            stub.calls.clear()
            stub.mirrored.clear()
    assert not environment.defects, environment.defects
    blocks = {"answer": "\n\n".join(answers), "verdict": "\n\n".join(verdicts), "upstream": "\n".join(sent)}
    blocks["log"] = "\n".join(f"{level}: {text}" for level, text in environment.logs)
    return {info: text + "\n" if text else "" for info, text in blocks.items()}


def _end(exchange: Any) -> None:
    calls, exchange.ends = exchange.ends or (), None
    for call in calls:
        call()


def _messages(text: str) -> list[Any]:
    """Directives as text, requests as (method, path, headers, body)."""
    found: list[Any] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("@"):
            found.append(line)
        elif line.strip():
            method, path = line.split(" ", 1)
            headers = []
            while lines and lines[0].strip() and not METHODS.match(lines[0]):
                header, _, value = lines.pop(0).partition(":")
                headers.append((header, value.strip()))
            body = []
            if lines and not lines[0].strip():
                lines.pop(0)
                while lines and not METHODS.match(lines[0]):
                    body.append(lines.pop(0))
            found.append((method, path, headers, "\n".join(body).strip("\n").encode()))
    return found


def _stub(upstreams: dict[str, StubUpstream], value: str) -> None:
    name, _, answer = value.partition(" ")
    if answer in LOST:
        upstreams[name].answers = [LOST[answer]]
        return
    head, _, body = answer.partition(" @body ")
    status, _, header = head.partition(" ")
    field, _, content = header.partition(":")
    fields = {field.strip(): content.strip()} if header else {}
    upstreams[name].answers = [lambda sent: make_response(int(status), body.encode(), fields, streams=True)]


def _echo(sent: Sent) -> Any:
    return make_response(200, b"ok", streams=True)


def _received(call: Sent) -> str:
    target = call.target or call.path.encode() + (b"?" + call.query_string if call.query_string is not None else b"")
    fields = "".join(f"; {name.decode()}: {value.decode()}" for _, name, value in call.headers)
    fields = (f" for {call.host}" if call.host else "") + fields
    return f"{call.method} {target.decode()}{fields}" + (f"; {call.body.decode()}" if call.body else "")


def _shown(response: Any) -> str:
    body = response.body if response.body is not None else response.source.data
    lines = [str(response.status), *(f"{name.decode()}: {value.decode()}" for _, name, value in response.headers)]
    return "\n".join([*lines, *(["", body.decode("utf-8", "replace")] if body else [])])


def _outcome(outcome: Any) -> str:
    return "passed" if outcome is None else outcome if isinstance(outcome, str) else str(outcome.name)


def sample(folder: Path, requests: str) -> dict[str, str]:
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return exchange((folder / "policy.pol").read_text(), requests, files, "policy.pol")
