"""The judgement of tiers.py, on answers whose limiter is known, and the open-loop client against a scripted server."""

import shutil
import socketserver
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import load
import provision
import tiers
from load import Answer
from promises import SECOND, Promise, judge, wholly_within, wrong_fields

LATENCY = 2_000_000


def window(limit: int) -> Callable[[int], bool]:
    passed: deque[int] = deque()

    def admit(now: int) -> bool:
        while passed and passed[0] <= now - SECOND:
            passed.popleft()
        if len(passed) >= limit:
            return False
        passed.append(now)
        return True

    return admit


def fixed_window(limit: int) -> Callable[[int], bool]:
    counts: dict[int, int] = {}

    def admit(now: int) -> bool:
        turn = (now + SECOND // 2) // SECOND
        counts[turn] = counts.get(turn, 0) + 1
        return counts[turn] <= limit

    return admit


def bucket(limit: int, burst: float, refill: float = 1.0) -> Callable[[int], bool]:
    state = [limit * burst, 0.0]

    def admit(now: int) -> bool:
        state[0] = min(limit * burst, state[0] + (now - state[1]) / SECOND * limit * refill)
        state[1] = now
        if state[0] < 1:
            return False
        state[0] -= 1
        return True

    return admit


def answer(at: int, admitted: bool, policy: str = "", limit: str = "", retry: str = "1", late: int = LATENCY) -> Answer:
    status = 200 if admitted else 429
    return Answer(0, at, at, at + late, status, "" if admitted else retry, policy, limit)


def run(
    promise: Promise, admit: Callable[[int], bool], late: Callable[[int], int] = lambda _at: LATENCY
) -> list[Answer]:
    """Ten seconds at twice the limit, decided halfway between sending and answer."""
    answers = []
    for at, _ in tiers.schedule([promise], 2, 10):
        admitted = admit(at + LATENCY // 2)
        policy = f'"gold";q={promise.limit};w=1'
        answers.append(answer(at, admitted, policy, f'"gold";r={int(admitted)};t=1', late=late(at)))
    return answers


def test_a_window_that_keeps_its_word_is_found_to_keep_it() -> None:
    verdict = judge(run(Promise(100), window(100)), Promise(100), 10)
    assert verdict.faults == []
    assert (verdict.admitted, verdict.refused, verdict.certain, verdict.seen) == (1000, 1000, 100, 100)
    assert sum(verdict.seconds) == 1000


def test_twice_the_limit_at_the_edge_of_fixed_windows_is_found() -> None:
    verdict = judge(run(Promise(100), fixed_window(100)), Promise(100), 10)
    assert any("within 1 s, 100 promised" in fault for fault in verdict.faults)


def test_answers_that_arrive_together_are_no_fault_of_the_limit() -> None:
    def late(at: int) -> int:
        """What is decided in the first half of the second second arrives with the third's."""
        return 2 * SECOND - at if SECOND <= at < 2 * SECOND else LATENCY

    verdict = judge(run(Promise(100), window(100), late), Promise(100), 10)
    assert verdict.seen > 100
    assert verdict.certain <= 100
    assert verdict.faults == []


def test_a_bucket_gives_its_burst_once_and_then_its_rate() -> None:
    promise = Promise(1000, 2)
    verdict = judge(run(promise, bucket(1000, 2)), promise, 10)
    assert verdict.faults == []
    assert verdict.admitted in range(11_990, 12_001)
    assert verdict.drained in range(990, 1002)


def test_a_bucket_that_refills_too_fast_is_found_before_its_burst_hides_it() -> None:
    verdict = judge(run(Promise(1000, 2), bucket(1000, 2, refill=1.1)), Promise(1000, 2), 10)
    assert any("in the second after a refusal" in fault for fault in verdict.faults)


def test_too_little_is_found() -> None:
    verdict = judge(run(Promise(100), window(97)), Promise(100), 10)
    assert verdict.faults == ["970 admitted of 1000 promised: 3.0% under"]


def test_other_statuses_and_lost_answers_are_found() -> None:
    lost = Answer(0, 5, 5, 0, 0, "", "", "")
    failed = Answer(0, 6, 6, 9, 502, "", "", "")
    verdict = judge([*run(Promise(100), window(100)), lost, failed], Promise(100), 10)
    assert verdict.faults == ["2 answers of status 0, 502 (0 is none)"]


def test_a_request_longer_than_the_window_is_counted_in_none() -> None:
    requests = [answer(10, True), answer(0, True, late=3 * SECOND), answer(2 * SECOND, True)]
    assert wholly_within(requests, SECOND, [0, 10, SECOND]) == [1, 1, 0]


@pytest.mark.parametrize(
    ("retry", "policy", "limit", "wrong"),
    [
        ("1", '"gold";q=500;w=1', '"gold";r=0;t=1', []),
        ("1", '"gold";q=500;w=1, "day";q=9;w=86400', '"gold";r=0;t=1', []),
        ("0", '"gold";q=500;w=1', '"gold";r=0;t=1', ["Retry-After is `0`, not 1"]),
        ("", '"gold";q=500;w=1', '"gold";r=0;t=1', ["Retry-After is ``, not 1"]),
        ("1", '"gold";q=400;w=1', '"gold";r=0;t=1', ['RateLimit-Policy is `"gold";q=400;w=1`, not 500 a second']),
        ("1", '"gold";q=500;w=1', '"gold";r=3;t=1', ["no r of RateLimit is 0"]),
        ("1", '"gold";q=500;w=1', '"gold";r=0;t=7', ["t of RateLimit is not within the window"]),
        ("1", '"gold";q=500;w=1', '"tin";r=0;t=1', ['RateLimit `"tin";r=N;t=N` names no policy of RateLimit-Policy']),
        ("1", '"gold";q=500;w=1', "nonsense", ["RateLimit `nonsense` names no policy of RateLimit-Policy"]),
    ],
)
def test_fields_of_a_refusal(retry: str, policy: str, limit: str, wrong: list[str]) -> None:
    assert wrong_fields(answer(0, False, policy, limit, retry), Promise(500)) == wrong


def test_fields_of_an_admission_may_be_absent_but_not_wrong() -> None:
    assert wrong_fields(answer(0, True), Promise(500)) == []
    assert wrong_fields(answer(0, True, '"g";q=500;w=1', '"g";r=501;t=1'), Promise(500)) != []


@pytest.mark.parametrize(
    ("text", "key"),
    [("k1=1000+2", ("k1", Promise(1000, 2))), ("k1=1000+2s", ("k1", Promise(1000, 2))), ("a=b=7", ("a=b", Promise(7)))],
)
def test_keys_of_the_command_line(text: str, key: tuple[str, Promise]) -> None:
    assert tiers.parse_key(text) == key


class Scripted(socketserver.StreamRequestHandler):
    """Answers by path; /slow holds its connection for 0.3 s."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            path = line.split()[1].decode()
            if path == "/gone":
                return
            if path == "/slow":
                threading.Event().wait(0.3)
            self.wfile.write({
                "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                "/closes": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
                "/over": b'HTTP/1.1 429 -\r\nretry-after: 1\r\nratelimit: "g";r=0;t=1\r\nContent-Length: 0\r\n'
                         b'RateLimit-Policy: "g";q=5;w=1\r\n\r\n',
                "/more": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
            }.get(path, b"HTTP/1.1 204 -\r\n\r\n"))
            if path == "/closes":
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def port() -> Iterator[int]:
    if not shutil.which("cc") and "gcc" in (absent := provision.absent("gcc")):
        pytest.skip(absent["gcc"])
    with Server(("127.0.0.1", 0), Scripted) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_the_open_loop_client_reads_every_kind_of_answer(port: int, tmp_path: Path) -> None:
    paths = ["/plain", "/chunked", "/closes", "/over", "/gone", "/more", "/plain"]
    requests = [load.get(path, port) for path in paths]
    schedule = [(number * 10_000_000, number) for number in range(len(paths))]
    answers = load.open_loop(port, requests, schedule, 2, None, tmp_path)
    assert [one.status for one in answers] == [204, 200, 200, 429, 0, 0, 204]
    assert (answers[3].retry_after, answers[3].limit, answers[3].policy) == ("1", '"g";r=0;t=1', '"g";q=5;w=1')
    assert all(one.due <= one.sent <= one.done for one in answers)


def test_waiting_for_a_connection_counts_as_latency(port: int, tmp_path: Path) -> None:
    requests = [load.get("/slow", port), load.get("/plain", port)]
    schedule = [(0, 0), *((number * 10_000_000, 1) for number in range(1, 5))]
    answers = load.open_loop(port, requests, schedule, 1, None, tmp_path)
    assert [one.status for one in answers] == [204] * 5
    assert all(one.done >= 300_000_000 for one in answers)
    assert answers[1].sent - answers[1].due > 200_000_000
