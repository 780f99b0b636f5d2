"""The access log: what a line says, how long it may be, and what happens when nobody reads it."""

from __future__ import annotations

import os
import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk import Client, Exchange, Failure, Principal, Request
from policylang.source import Source, Span
from runtime.observe.access_log import MAX_LINE, AccessLog, escaped, printable
from runtime.observe.events import EventLog, quoted
from runtime.observe.sink import Sink

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Spot:
    name: str
    file: str
    line: int
    column: int = 1


class Kept:
    """A sink that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)


def exchange(**changed: Any) -> Exchange:
    request = Request("GET", "/orders/7", b"token=abc", [(b"authorization", b"Authorization", b"Bearer abc")])
    request.host, request.id = "api.example", "r-1"
    made = Exchange(request, Client("127.0.0.1", 4000), None, started=1_000_000_000)  # type: ignore[arg-type]
    made.service = "orders"
    for name, value in changed.items():
        setattr(request if name in Request.__slots__ else made, name, value)
    return made


def written(made: Exchange, **given: Any) -> dict[str, Any]:
    kept = Kept()
    log = AccessLog(1, wall=lambda: 1_767_225_600.5, sink=kept)  # type: ignore[arg-type]
    policy = log.for_policy("0123456789ab", {"orders": "/orders/{id}"})
    policy.write(made, 200, 0, 181, 1_250_000_000, 200_000_000, **given)
    (line,) = kept.lines
    assert line.endswith(b"}\n") and line.count(b"\n") == 1 and len(line) <= MAX_LINE
    assert not CONTROL.search(line[:-1].decode())
    fields = orjson.loads(line)
    assert isinstance(fields, dict)
    return fields


def test_a_plain_answer() -> None:
    assert written(exchange()) == {
        "time": "2026-01-01T00:00:00.250Z", "duration": 0.25, "upstream_duration": 0.2, "own_duration": 0.05,
        "client": "127.0.0.1", "method": "GET", "host": "api.example", "path": "/orders/7", "protocol": "HTTP/1.1",
        "status": 200, "received": 0, "sent": 181, "service": "orders", "route": "/orders/{id}",
        "policy": "0123456789ab", "request": "r-1",
    }  # fmt: skip


def test_the_path_of_the_verdict_and_the_failure_with_its_place() -> None:
    source = Source("policy.pol", "service orders {\n    rate_limit 5/s\n}\n")
    failure = Failure("rate-exceeded", 429, "key k-secret", assertion="rate_limit", span=Span(source, 21, 35))
    journal = [(Spot("api_key", "policy.pol", 1), None), (Spot("rate_limit", "policy.pol", 2), failure)]
    line = written(exchange(journal=journal, failure=failure, user=Principal("ann")))
    assert line["user"] == "ann"
    assert (line["failure"], line["assertion"], line["file"], line["line"]) == (
        "rate-exceeded", "rate_limit", "policy.pol", 2,
    )  # fmt: skip
    assert line["verdict"] == [
        {"assertion": "api_key", "file": "policy.pol", "line": 1, "outcome": "passed"},
        {"assertion": "rate_limit", "file": "policy.pol", "line": 2, "outcome": "failed", "failure": "rate-exceeded"},
    ]


def test_what_the_caller_is_not_told_of_a_failure_stands_in_the_log() -> None:
    failure = Failure("upstream-unreachable", 502, "no connection to the server", reason="10.0.0.1:9000: refused")
    assert written(exchange(failure=failure))["reason"] == "10.0.0.1:9000: refused"


def test_neither_query_nor_credentials_nor_details_are_written() -> None:
    made = exchange(failure=Failure("wrong-type", 400, "the value `abc` is secret"))
    assert "abc" not in str(written(made))


def test_what_the_client_asked_for_is_written_not_what_the_policy_made_of_it() -> None:
    line = written(exchange(method="POST", path="/inner"), method="GET", path="/outer")
    assert (line["method"], line["path"]) == ("GET", "/outer")


def test_a_service_that_nothing_knows_leaves_service_and_route_out() -> None:
    line = written(exchange(service=""))
    assert "service" not in line and line["policy"] == "0123456789ab"


@pytest.mark.parametrize("text", ["a\nb", "\x00", "\x7f", "\x9b31m", "\udc80x", "\u2028", "ünïcode", "😀", '"\\'])
def test_awkward_text_stays_one_line_of_json(text: str) -> None:
    line = written(exchange(path="/" + text, user=Principal(text)))
    assert line["path"] == ("/" + text if text != "\udc80x" else "/\\udc80x")
    assert len(line["user"]) >= len(text)


def test_long_fields_are_cut_and_named() -> None:
    line = written(exchange(path="/" + "a" * 8000, host="h" * 3000))
    assert line["cut"] == ["host", "path"]
    assert line["path"].startswith("/aaa") and line["status"] == 200


def test_of_a_long_verdict_the_end_stays() -> None:
    journal = [(Spot(f"step_{number}", "policy.pol", number), None) for number in range(1, 200)]
    line = written(exchange(journal=journal))
    assert line["cut"] == ["verdict"]
    assert line["verdict"][-1]["line"] == 199 and len(line["verdict"]) > 5


@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=5000))
def test_any_text_makes_a_line_of_json_within_the_limit(short: str, long: str) -> None:
    written(exchange(path=long, host=short, method=short, id=short, user=Principal(long)))


@given(st.text(st.characters()))
def test_escaped_text_reads_as_itself(text: str) -> None:
    data = escaped(orjson.dumps(printable(text)))
    assert not CONTROL.search(data.decode())
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert orjson.loads(data) == text


def test_a_refusal_of_the_wire_is_a_line_too() -> None:
    kept = Kept()
    AccessLog(1, wall=lambda: 0.0, sink=kept).refused("::1", 400, "bad-host")  # type: ignore[arg-type]
    assert orjson.loads(kept.lines[0]) == {
        "time": "1970-01-01T00:00:00.000Z", "client": "::1", "status": 400, "failure": "bad-host",
    }  # fmt: skip


# --- the sink ------------------------------------------------------------------------------------


def notice(count: int) -> bytes:
    return b"lost %d\n" % count


def drain(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    data = b""
    try:
        while piece := os.read(descriptor, 1 << 20):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_a_full_pipe_never_blocks_and_the_loss_is_counted_when_it_works_again() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, notice, backlog=100_000)
    line = b"x" * 99 + b"\n"
    began = time.monotonic()
    for _ in range(10_000):
        sink.write(line)
    sink.flush()
    assert time.monotonic() - began < 5
    assert os.get_blocking(writer), "the descriptor that others share was changed"
    read = b""
    for _ in range(100):
        read += drain(reader)
        sink.flush()
    read += drain(reader)
    lines = read.splitlines(keepends=True)
    announced = [int(found.split()[1]) for found in lines if found.startswith(b"lost")]
    assert announced and sink.lost == 0
    assert lines.count(line) + sum(announced) == 10_000
    assert set(lines) == {line, *(notice(count) for count in announced)}
    sink.close()
    os.close(reader)
    os.close(writer)


def test_a_reader_that_left_costs_lines_not_the_process() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, notice)
    os.close(reader)
    for _ in range(1000):
        sink.write(b"x" * 99 + b"\n")
        sink.flush()
    assert sink.lost == 1000
    sink.close()
    os.close(writer)


def test_no_write_to_a_pipe_is_longer_than_what_is_written_whole() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, notice)
    sizes: list[int] = []
    put = sink._put
    sink._put = lambda batch: sizes.append(len(batch)) or put(batch)  # type: ignore[method-assign, func-returns-value]
    for size in (100, 3000, 1200, 4096, 1, 4095, 1):
        sink.write(b"y" * (size - 1) + b"\n")
    sink.flush()
    assert max(sizes) <= 4096 and sum(sizes) == 100 + 3000 + 1200 + 4096 + 1 + 4095 + 1
    assert len(drain(reader)) == sum(sizes)
    sink.close()
    os.close(reader)
    os.close(writer)


def test_a_file_is_opened_anew_after_it_was_moved_away(tmp_path: Path) -> None:
    place = tmp_path / "access.log"
    sink = Sink(str(place), notice)
    sink.write(b"one\n")
    sink.flush()
    place.rename(tmp_path / "access.log.1")
    sink.write(b"two\n")
    sink.reopen()
    sink.write(b"three\n")
    sink.close()
    assert (tmp_path / "access.log.1").read_bytes() == b"one\ntwo\n"
    assert place.read_bytes() == b"three\n"
    assert place.stat().st_mode & 0o077 == 0o040 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_full_disk_drops_lines_and_what_follows_begins_a_line_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / "access.log"
    sink = Sink(str(place), notice)
    full = True

    def put(batch: bytes, taken: list[int] = []) -> int:  # noqa: B006
        if full and taken:
            raise OSError(28, "No space left on device")
        if full:
            batch = batch[:7]
            taken.append(7)
        return os.write(sink._descriptor, batch)

    sink._put = put  # type: ignore[method-assign]
    sink.write(b"1234\n")
    sink.write(b"5678\n")
    sink.flush()
    sink.write(b"gone\n")
    sink.flush()
    full = False
    sink.write(b"back\n")
    sink.flush()
    assert place.read_bytes() == b"1234\n56\nlost 2\nback\n"
    sink.close()


def test_a_socket_that_is_full_never_blocks() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours.fileno(), notice, backlog=50_000)
        for _ in range(20_000):
            sink.write(b"z" * 99 + b"\n")
        assert sink.lost > 0
        assert ours.gettimeout() is None
        sink.close()


# --- the error log -------------------------------------------------------------------------------


def test_a_defect_is_one_line_with_its_id_and_traceback(tmp_path: Path) -> None:
    place = tmp_path / "error.log"
    log = EventLog("worker-1", str(place))
    try:
        raise ValueError("line one\nline two")
    except ValueError as error:
        number = log.defect(error, request="r-1", service="orders")
    log.write("info", "ready")
    log.close()
    first, second = place.read_text().splitlines()
    assert f"id={number}" in first and "request=r-1" in first and "test_access_log.py" in first
    assert "ValueError: line one\\nline two" in first
    assert second.endswith("level=info process=worker-1 text=ready")


def test_a_defect_that_repeats_shows_its_traceback_once(tmp_path: Path) -> None:
    place = tmp_path / "error.log"
    log = EventLog("worker-1", str(place))
    numbers = []
    for turn in range(3):
        try:
            raise KeyError(turn)
        except KeyError as error:
            numbers.append(log.defect(error, request=f"r-{turn}"))
    log.close()
    first, *others = place.read_text().splitlines()
    assert "traceback=" in first and len(set(numbers)) == 3
    assert [f"id={number} request=r-{turn} same_as={numbers[0]}" in line for turn, (number, line) in
            enumerate(zip(numbers[1:], others, strict=True), 1)] == [True, True]  # fmt: skip


@given(st.text(st.characters()))
def test_a_value_cannot_end_the_line(text: str) -> None:
    value = quoted(text)
    assert not CONTROL.search(value)
    assert " " not in value or (value[0] == value[-1] == '"')


def test_a_long_event_is_cut(tmp_path: Path) -> None:
    place = tmp_path / "error.log"
    log = EventLog("supervisor", str(place))
    log.write("error", "ü" * 5000)
    log.close()
    assert len(place.read_bytes()) <= 4096 and place.read_text().endswith("...\n")
