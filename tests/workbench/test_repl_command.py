"""`pol repl`: conversations, as a pipe has them. `> ` marks what is said."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

from policylang.tools.main import run

SHOP = """\
map clients, file: "clients.json"

let office = ["10.0.0.0/8"]

upstream orders {
    server "http://127.0.0.1:9000"
}

assertion known(key: string) -> caller {
    api_key key, in: map("clients") -> caller
    require caller.id != "eve"
}

service orders "/orders/{id}" {
    known request.header["X-Key"] ?? "" -> caller
    rate_limit 2/s, per: caller.id
    route orders
}
"""
CLIENTS = '{ "k-ann": { "id": "ann", "contract": "gold" }, "k-eve": { "id": "eve" } }'


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.pol").write_text(SHOP)
    (tmp_path / "clients.json").write_text(CLIENTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def talk(shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Hold the conversation of a text; its answers must be what the text has between what is said."""

    def hold(text: str, *words: str) -> None:
        blocks: list[tuple[str, list[str]]] = []
        for line in dedent(text).strip("\n").splitlines():
            if line.startswith(">"):
                blocks.append((line[2:], []))
            elif line.startswith(". "):
                blocks[-1] = (blocks[-1][0] + "\n" + line[2:], blocks[-1][1])
            else:
                blocks[-1][1].append(line)
        words = words or ("/orders/7", "-H", "X-Key: k-ann")
        # A text between any two answers says where each ends.
        said = "".join(f'{asked}\n"~~~"\n' for asked, _ in blocks)
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        assert run(["repl", "shop.pol", *words, "--at", "2026-01-01"]) == 0
        out, error = capsys.readouterr()
        assert not error
        got: list[list[str]] = [[]]
        for line in out.splitlines():
            if line == '"~~~"':
                got.append([])
            else:
                got[-1].append(line)
        for (asked, expected), found in zip(blocks, got, strict=False):
            assert found == expected, asked

    return hold


def test_expressions(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > request.method
        "GET"
        >
        > # a comment
        > path.id == "7" and client.ip in office
        false
        > length(request.header["Accept"] ?? "")
        3
        > map("clients").k1
        none
        > [1, { a: 1m }]
        [1, { a: 1m }]
        > if user == none then "nobody" else user.id
        "nobody"
        > request.header["X-Key"]
        [private]
        > request.json
        400 unreadable-body: not JSON: input is a zero-length, empty document at line 1, column 1
    """)


def test_statements_bind_names_which_can_be_bound_anew(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > known "k-ann" -> caller
        passed
            caller = { id: "ann", contract: "gold" }
        > api_key "k-ann", in: map("clients") -> caller
        passed
            caller = { id: "ann", contract: "gold" }
        > caller.contract
        "gold"
        > let n = 2
        passed
            n = 2
        > let n = 3
        passed
            n = 3
        > set n = n + 1
        passed
            n = 4
        > require n == 3
        403 requirement-not-met
        > known "k-eve" -> other
        403 requirement-not-met (shop.pol:11:5)
        > other
        error[unknown-name]: nothing here is called `other`
         --> <asked>:1:1
          |
        1 | other
          | ^^^^^
          |
        help: bind it before with `let other = …`, or write text in quotes
        more: pol explain unknown-name
    """)


def test_limits_count_and_time_passes_as_it_is_told_to(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > rate_limit 1/s, per: client.ip
        passed
        > rate_limit 1/s, per: client.ip
        429 rate-exceeded: more than 1/s
        > rate_limit 1/s, per: client.port
        passed
        > :advance soon
        `:advance` takes a time, as in `:advance 30s`
        > :advance
        `:advance` takes a time, as in `:advance 30s`
        > :advance 1s
        2026-01-01T00:00:01.000Z
        > rate_limit 1/s, per: client.ip
        passed
    """)


def test_what_a_request_holds_is_given_back_with_the_next(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > concurrency_limit 1, per: client.ip
        passed
        > concurrency_limit 1, per: client.ip
        429 too-many-concurrent: more than 1 at a time
        > :request /orders/8
        GET /orders/8
        Host: api.example
        User-Agent: pol
        Accept: */*

        service orders
        > concurrency_limit 1, per: client.ip
        passed
    """)


def test_the_whole_policy(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > response.status
        none
        > :tree
        nothing was asked yet: `:send` asks the policy
        > :send
        200
        > response.status
        200
        > response.json
        {}
        > caller.contract
        "gold"
        > user.id
        "ann"
        > :send
        200
        > :send
        429 rate-exceeded: more than 2/s
        > failure.name
        "rate-exceeded"
        > :advance 1s
        2026-01-01T00:00:01.000Z
        > :send
        200
        > failure
        none
    """)


def test_other_requests(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > :request
        GET /orders/7
        Host: api.example
        User-Agent: pol
        Accept: */*
        X-Key: [private]

        service orders
        > :request -X PUT /orders/8?a=1 -H 'X-A: b c' -d '{"n": 1}'
        PUT /orders/8?a=1
        Host: api.example
        Content-Type: application/x-www-form-urlencoded
        User-Agent: pol
        Accept: */*
        X-A: b c
        Content-Length: 8

        "{\\"n\\": 1}"

        service orders
        > request.json.n + 1
        2
        > :send
        401 no-api-key: the request carries no API key
        > :request /elsewhere
        GET /elsewhere
        Host: api.example
        User-Agent: pol
        Accept: */*

        no service
        > path.id
        error[unknown-name]: `path` is known in a service only
         --> <asked>:1:1
          |
        1 | path.id
          | ^^^^
          |
        help: read `request.path`, which every request has
        more: pol explain unknown-name
        > :send
        404 no-service
        > :request elsewhere
        `elsewhere` is neither a path nor a URL: write `/elsewhere` or `http://api.example/elsewhere`
        > :request --flag /
        unrecognized arguments: --flag
        > :request -d @nothing /
        cannot read `nothing`: no such file or directory
        > :request -d '
        the flags cannot be read: no closing quotation
        > request.path
        "/elsewhere"
    """)


def test_the_request_that_is_loaded_is_shown_as_it_came(talk, shop: Path) -> None:  # type: ignore[no-untyped-def]
    policy = 'service s "/**" {\nset request.header["X-A"] = "1"\nset request.json = { b: 2 }\nrespond 200\n}\n'
    (shop / "shop.pol").write_text(policy)
    loaded = """
        PUT /orders/7
        Host: api.example
        Content-Type: application/json
        Accept: application/json
        User-Agent: pol
        Content-Length: 8

        "{\\"a\\": 1}"

        service s"""
    talk(f"""
        > :request -X PUT --json '{{"a": 1}}' /orders/7{loaded}
        > :send
        200
        > request.json
        {{ b: 2 }}
        > :request{loaded}
        > request.header["X-A"]
        "1"
    """)


def test_a_defect_of_ours_is_told(talk, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    def send(self: object, exchange: object, call: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("policylang.testing.stubs.StubbedUpstream.send", send)
    talk("""
        > :request -H 'X-Key: k-ann' /orders/7
        GET /orders/7
        Host: api.example
        User-Agent: pol
        Accept: */*
        X-Key: [private]

        service orders
        > route orders
        500 defect: ZeroDivisionError: of nothing
        > :send
        500 defect: the log has it as defect-2: ZeroDivisionError: of nothing
    """)


def test_messages_can_be_written(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > set request.header["X-A"] = "1"
        passed
        > request.header["x-a"]
        "1"
        > route orders
        passed
        > set response.status = 299
        passed
        > response.status
        299
        > respond 201, json: [1]
        responded with 201
        > response.json
        [1]
        > fail 418, "no"
        418 failed: no
    """)


def test_several_lines(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > all {
        .     let a = 1
        .     let b = [
        .         "}"
        .     ]
        . }
        passed
            a = 1
            b = ["}"]
        > 1 + \\
        .   2
        3
        > for x in [1, 2] { require x < 2 }
        403 requirement-not-met
    """)


def test_names_and_commands(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > let a = [1]
        passed
            a = [1]
        > :names
        a = [1]
        client.…
        failure = none
        gateway.…
        now = 2026-01-01T00:00:00.000Z
        path.…
        request.…
        response.…
        service.…
        user = none
        > :nmes
        there is no command `:nmes`: did you mean `:names`?
        > :foo
        there is no command `:foo`; `:help` lists them
        > :quit
        > never said
    """)


def test_mistakes_are_told_as_in_a_policy(talk) -> None:  # type: ignore[no-untyped-def]
    talk("""
        > requre true
        error[unknown-assertion]: there is no assertion `requre`
         --> <asked>:1:1
          |
        1 | requre true
          | ^^^^^^
          |
        help: did you mean `require`?
        fix: write `require`
        more: pol explain unknown-assertion
        > request.methd
        error[unknown-member]: `request` has no member `methd`
         --> <asked>:1:9
          |
        1 | request.methd
          |         ^^^^^
          |
        help: did you mean `method`?
        more: pol explain unknown-member
        > let a = 1 let b = 2
        error[several-statements]: `let` belongs on a line of its own
         --> <asked>:1:11
          |
        1 | let a = 1 let b = 2
          |           ^^^
          |
        help: a line holds one statement; arguments are separated by commas
        more: pol explain several-statements
        > rate_limit 1/s }
        error[extra-brace]: this `}` closes nothing
         --> <asked>:1:16
          |
        1 | rate_limit 1/s }
          |                ^
          |
        help: remove `}`
        more: pol explain extra-brace
    """)


def test_no_policy(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "shop.pol").write_text("service {")
    assert run(["repl", "shop.pol"]) == 1
    assert "error[" in capsys.readouterr().out


def test_wrong_flags(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["repl", "shop.pol", "orders"]) == 2
    assert capsys.readouterr().err.startswith("pol: `orders` is neither a path nor a URL")


def test_at_a_terminal(shop: Path) -> None:
    """There is a prompt, lines are edited and names completed, and the end of input ends it."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", "from policylang.tools.main import main; main()", "repl", "shop.pol"]
    environ = {**os.environ, "TERM": "dumb", "PYTHONPATH": str(Path(__file__).parents[2])}
    left = [b"1 + \x01 2 * \x05 2\n", b":na\t\n", b"\x04"]
    shown = b""
    deadline = time.monotonic() + 30
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environ) as process:
        os.close(slave)
        while process.poll() is None and time.monotonic() < deadline:
            if not select.select([master], [], [], 0.05)[0]:
                continue
            try:
                shown += os.read(master, 4096)
            except OSError:  # the other side is closed
                break
            if left and shown.endswith(b"\n> " if len(left) < 3 else b"> "):
                os.write(master, left.pop(0))
        assert process.wait(20) == 0, shown.decode()
        os.close(master)
    lines = shown.decode().replace("\r", "").split("\n")
    assert "4" in lines and "user = none" in lines


def test_an_interrupt_drops_what_is_being_written(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = iter(["if true {", KeyboardInterrupt(), "1 + 1", EOFError()])

    def typed(prompt: str) -> str:
        found = next(said)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert run(["repl", "shop.pol"]) == 0
    assert capsys.readouterr().out == "\n2\n\n"


def test_texts_of_several_lines_and_declarations(talk) -> None:  # type: ignore[no-untyped-def]
    talk('''
        > let text = """
        .     a
        .     b
        .     """
        passed
            text = "a\\nb"
        > import "x.pol"
        error[unexpected-text]: `import` declares something, which only a policy's file can
         --> <asked>:1:1
          |
        1 | import "x.pol"
          | ^^^^^^^^^^^^^^
          |
        help: write it there and start again, or ask for a value of it
        more: pol explain unexpected-text
        > map("clients")["k-ann"].id
        "ann"
    ''')


def test_words_without_the_colon_are_understood(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("help\nexit\n1 + 1\n"))
    assert run(["repl", "shop.pol"]) == 0
    out = capsys.readouterr().out
    assert ":send" in out and out.splitlines()[-1] != "2", "nothing is worked out after the end"
