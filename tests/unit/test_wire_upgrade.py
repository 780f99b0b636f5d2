"""Changing protocols, as the readers see it: where the last HTTP message ends, however its bytes were split."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.wire.fields import Field
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.request import RequestHead, RequestReader
from runtime.wire.response import ResponseHead, ResponseReader
from runtime.wire.upgrade import agreed, offered, protocols

ASKED = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x/1, h2c\r\nUpgrade: y\r\n\r\n"
CHANGED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\n"
EARLY = b"HTTP/1.1 200 OK\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n\x00\x01"


class Noted:
    """Takes what readers say, and can change to another protocol."""

    def __init__(self) -> None:
        self.heads: list[RequestHead] = []
        self.offers: list[bytes] = []
        self.answers: list[ResponseHead] = []
        self.interim: list[int] = []
        self.body = b""
        self.ends = 0
        self.error: WireError | None = None

    def request_head(self, head: RequestHead) -> None:
        self.heads.append(head)

    def request_offers(self, head: RequestHead) -> None:
        self.heads.append(head)
        self.offers.append(head.offered)

    def request_body(self, data: bytes) -> None:
        self.body += data

    def request_end(self) -> None:
        self.ends += 1

    def request_error(self, error: WireError) -> None:
        self.error = error

    def informational(self, status: int, headers: list[Field]) -> None:
        self.interim.append(status)

    def response_head(self, head: ResponseHead) -> None:
        self.answers.append(head)

    response_body, response_end, response_error = request_body, request_end, request_error


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places) if start < end]


CUTS = st.lists(st.integers(0, 300), max_size=6)


@given(CUTS, st.booleans())
def test_what_comes_behind_an_offer_stays_bytes(cuts: list[int], first: bool) -> None:
    noted = Noted()
    reader = RequestReader(noted, WireLimits(), noted)
    before = b"" if first else b"GET /0 HTTP/1.1\r\nHost: a\r\n\r\n"
    for piece in pieces(before + ASKED + EARLY, cuts):
        reader.feed(piece)
    assert (noted.offers, noted.ends, noted.error) == ([b"x/1, y"], 1 + (not first), None)
    assert reader.pending == len(EARLY)
    assert reader.take() == EARLY
    reader.feed(b"more")
    assert reader.done and noted.ends == 1 + (not first)


@given(CUTS)
def test_or_it_is_read_as_requests(cuts: list[int]) -> None:
    noted = Noted()
    reader = RequestReader(noted, WireLimits(), noted)
    behind = b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + ASKED
    for piece in pieces(ASKED + behind, cuts):
        reader.feed(piece)
        if noted.offers and noted.ends == 1:
            reader.resume()
    assert [head.path for head in noted.heads] == [b"/chat", b"/2", b"/chat"]
    assert (noted.body, noted.ends, len(noted.offers), noted.error) == (b"abc", 3, 2, None)


@pytest.mark.parametrize(
    "asked",
    [
        ASKED.replace(b"x/1, h2c", b"h2c").replace(b"Upgrade: y\r\n", b""),
        ASKED.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ASKED.replace(b"Connection: Upgrade", b"Connection: upgrade, close"),
        ASKED.replace(b"Connection: Upgrade\r\n", b""),
        ASKED.replace(b"Host: a", b"Host: a\r\nContent-Length: 1"),
        ASKED.replace(b"x/1, h2c", b"x y"),
    ],
)
def test_what_is_no_offer_pauses_nothing(asked: bytes) -> None:
    noted = Noted()
    reader = RequestReader(noted, WireLimits(), noted)
    reader.feed(asked)
    assert noted.offers == [] and len(noted.heads) == 1 and noted.heads[0].offered == b""


def test_who_cannot_change_is_offered_nothing() -> None:
    noted = Noted()
    reader = RequestReader(noted, WireLimits())
    reader.feed(ASKED + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert noted.ends == 2 and noted.offers == []


@given(CUTS, st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]), st.sampled_from([b"", EARLY]))
def test_the_answer_ends_with_its_head(cuts: list[int], before: bytes, early: bytes) -> None:
    noted = Noted()
    reader = ResponseReader(noted, WireLimits())
    reader.expect("GET", True)
    rest = b""
    for piece in pieces(before + CHANGED + early, cuts):
        if noted.answers:
            rest += piece  # not for the reader any more
        else:
            reader.feed(piece)
            rest += reader.rest
    assert [head.status for head in noted.answers] == [101] and noted.error is None
    assert (rest, noted.interim) == (early, [103] if before else [])
    assert not reader.reusable and not reader.waiting


@pytest.mark.parametrize(
    "answer",
    [
        CHANGED.replace(b"Upgrade: x/1", b"Content-Length: 0"),
        CHANGED.replace(b"Upgrade: x/1", b"Upgrade: x/1\r\nTransfer-Encoding: chunked"),
        CHANGED.replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_a_101_with_a_body_is_malformed(answer: bytes) -> None:
    for cut in range(len(answer)):
        noted = Noted()
        reader = ResponseReader(noted, WireLimits())
        reader.expect("GET", True)
        for piece in (answer[:cut], answer[cut:]):
            reader.feed(piece)
        assert noted.error is not None and noted.error.name == "malformed-response" and not noted.answers


def test_a_101_that_nobody_asked_for_stays_an_error() -> None:
    noted = Noted()
    reader = ResponseReader(noted, WireLimits())
    reader.expect("GET", True)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert noted.ends == 1 and reader.reusable
    reader.expect("GET")
    reader.feed(CHANGED)
    assert noted.error is not None and noted.error.name == "unexpected-upgrade"


def test_offers_and_agreements() -> None:
    assert offered([(b"upgrade", b"Upgrade", b"WebSocket, HTTP/2.0, H2C")]) == b"WebSocket"
    assert offered([(b"upgrade", b"Upgrade", b"websocket,")]) == b""
    assert agreed(b"websocket, x/1", b"WebSocket") == b"WebSocket"
    assert agreed(b"websocket, x/1", b"x/1, websocket") == b"x/1, websocket"
    for answer in (b"", b"x", b"x/1, z", b"websocket x/1", b"x/2"):
        assert agreed(b"websocket, x/1", answer) == b""


@given(st.binary(max_size=40))
def test_protocols_never_end_a_line(field: bytes) -> None:
    for protocol in protocols(field):
        assert protocol.isascii() and not set(protocol) & set(b"\r\n\0 ,;")
