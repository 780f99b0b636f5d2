"""Data made by others, through a running gateway: bodies, strings that break things, patterns that explode."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemons import Daemon, daemon

from policylang.sdk.patterns import Pattern

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
pytestmark = pytest.mark.skipif(not SUITES.is_dir(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")

NAMED_TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
"""RFC 8259 lets them stand; the language refuses them (language.md, 4: a duplicate JSON member is 400)."""

POLICY = r"""
gateway {
    listen "127.0.0.1:0"
}

service bodies "/json", methods: ["POST"] {
    let found? = request.json
    respond 200, json: { found: json(found) }
}

service documents "/xml", methods: ["POST"] {
    let found? = xpath("string(/*)", in: request)
    respond 200, json: { found: found }
}

service strings "/strings/**" {
    log "header ${request.header["X-Text"] ?? "none"}, query ${request.query.text ?? "none"}"
    log "body ${request.text}"
    respond 200, body: request.text, header: { "X-Length": string(length(request.text)) ?? "" }
}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, int]]:
    folder = tmp_path_factory.mktemp("suites")
    patterns = json.loads((SUITES / "regexploit/patterns.json").read_text())
    services = []
    for number, case in enumerate(patterns):
        pattern = case["pattern"]
        try:
            Pattern(pattern)
        except ValueError:
            continue  # refused when the policy is loaded
        assert not set(pattern) & {'"', "\n"}, pattern
        services.append(
            f'service p{number} "/pattern/{number}", methods: ["POST"] {{\n'
            f'    let found? = regex(r"{pattern}", in: request.text)\n'
            "    respond 200, json: { found: found != none }\n}\n"
        )
    (folder / "policy.pol").write_text(POLICY + "\n".join(services))
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as started:
        yield started, started.ready()


def post(port: int, path: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("POST", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_json_through_a_policy(gateway: tuple[Daemon, int]) -> None:
    _, port = gateway
    wrong = []
    for file in sorted((SUITES / "JSONTestSuite/test_parsing").glob("*.json")):
        status, _ = post(port, "/json", file.read_bytes())
        expected = 200 if file.name.startswith("y_") and file.name not in NAMED_TWICE else 400
        if status >= 500 or (not file.name.startswith("i_") and status != expected):
            wrong.append((file.name, status))
    assert not wrong


def test_xml_attacks_through_a_policy(gateway: tuple[Daemon, int]) -> None:
    _, port = gateway
    for file in sorted((SUITES / "xml-attack").glob("*.xml")):
        started = time.monotonic()
        status, _ = post(port, "/xml", file.read_bytes())
        assert status == (400 if b"<!DOCTYPE" in file.read_bytes() else 200), file.name
        assert time.monotonic() - started < 1  # the wire's time too; the reading itself is held to 50 ms elsewhere


def test_naughty_strings(gateway: tuple[Daemon, int]) -> None:
    started, port = gateway
    before = len(started.output)
    count = 0
    for text in json.loads((SUITES / "naughty-strings/blns.json").read_text()):
        raw = text.encode("utf-8", "surrogatepass")
        quoted = "".join(f"%{byte:02X}" for byte in raw)
        status, answer = post(port, f"/strings/{'x'}?text={quoted}", raw)
        assert status in (200, 400), (text, status)
        if status == 200:
            assert answer == raw
        header = raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
        status, _ = post(port, "/strings/h", b"", {"X-Text": header.decode("latin-1")})
        assert status in (200, 400), (text, status)
        count += 2
    assert count > 900
    started.await_line('"path":"/strings/h"', before, started.output)
    post(port, "/json", b"1")
    started.await_line('"path":"/json"', before, started.output)
    for line in started.output[before:]:
        assert json.loads(line)["status"] in (200, 400)
        assert len(line.encode()) <= 4096


def test_exploding_patterns(gateway: tuple[Daemon, int]) -> None:
    _, port = gateway
    cases = json.loads((SUITES / "regexploit/patterns.json").read_text())
    asked = 0
    for number in range(len(cases)):
        for text in (b"a" * 50_000, b"0" * 50_000 + b"!", b"ab-_ " * 10_000):
            started = time.monotonic()
            status, _ = post(port, f"/pattern/{number}", text)
            assert status in (200, 404)
            asked += status == 200
            assert time.monotonic() - started < 1
    assert asked >= 30
