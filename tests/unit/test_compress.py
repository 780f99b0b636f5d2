"""`compress`: what it packs, for whom, what the fields say, and what later statements make of it."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tree_policies import Answer, Policy

from assertions.content.compress import choose
from policylang.sdk import BodyLimits
from policylang.sdk.bench import make_response
from policylang.sdk.coding import decode

ALL = ("zstd", "br", "gzip")
TEXT = b"a text that is said again and again; " * 60
FIELDS = {"Content-Type": "text/plain", "ETag": '"v1"', "Accept-Ranges": "bytes", "Digest": "x", "X-Other": "kept"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", ""),
        ("identity", ""),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP ; Q=0.5", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1, br;q=0.9", "gzip"),
        ("gzip;q=0, br;q=0.000", ""),
        ("*", "zstd"),
        ("*;q=0", ""),
        ("*;q=0.5, zstd;q=0", "br"),
        ("gzip;q=0.5, *;q=0", "gzip"),
        ("gzip;q=0.5, identity", ""),
        ("gzip, identity", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("gzip;q=2, br;q=", ""),
        ("gzip;q=0.5;x=1", ""),
        ("compress, pack200-gzip", ""),
        ("identity;q=0", ""),
        ("identity;q=0, gzip;q=0.2", "gzip"),
        (",, ,gzip,", "gzip"),
    ],
)
def test_what_accept_encoding_asks_for(accept: str, chosen: str) -> None:
    assert choose(accept, ALL) == chosen


def answer_to(accept: str | None, policy: str = "route one\ncompress response", **answer: Any) -> Answer:
    made = Policy(policy)
    given: dict[str, Any] = {"status": 200, "body": TEXT, "headers": FIELDS} | answer
    made.one.answers = [make_response(**given)]
    return made.handle(headers={} if accept is None else {"Accept-Encoding": accept})


@pytest.mark.parametrize("coding", ALL)
def test_a_held_body_is_packed(coding: str) -> None:
    answer = answer_to(coding)
    body = answer.body
    assert body is not None and len(body) < len(TEXT) / 5
    assert decode(body, coding, len(TEXT)) == TEXT
    assert answer.header("Content-Encoding") == coding
    assert answer.header("Vary") == "Accept-Encoding"
    assert answer.header("ETag") == 'W/"v1"'
    assert answer.header("X-Other") == "kept"
    assert answer.header("Accept-Ranges") is answer.header("Digest") is None


@pytest.mark.parametrize("coding", ALL)
def test_a_body_that_streams_is_packed_as_it_goes(coding: str) -> None:
    answer = answer_to(coding, streams=True, headers={**FIELDS, "Content-Length": str(len(TEXT))})
    assert answer.body is None and answer.response.coder is not None
    packing = answer.response.coder()
    assert decode(packing.feed(TEXT) + packing.end(), coding, len(TEXT)) == TEXT
    assert answer.header("Content-Encoding") == coding and answer.header("Content-Length") is None


@pytest.mark.parametrize("accept", [None, "", "identity", "deflate"])
def test_who_takes_none_is_told_that_others_do(accept: str | None) -> None:
    answer = answer_to(accept)
    assert answer.body == TEXT
    assert answer.header("Content-Encoding") is None and answer.header("ETag") == '"v1"'
    assert answer.header("Vary") == "Accept-Encoding"


@pytest.mark.parametrize(
    "given",
    [
        {"status": 206}, {"status": 204, "body": b""}, {"body": b"short"}, {"headers": {}},
        {"headers": {"Content-Type": "image/png"}}, {"headers": {**FIELDS, "Content-Encoding": "br"}},
        {"headers": {**FIELDS, "Cache-Control": "max-age=5, No-Transform"}},
        {"body": b"short", "streams": True, "headers": {**FIELDS, "Content-Length": "5"}},
    ],
)  # fmt: skip
def test_what_is_left_alone(given: dict[str, Any]) -> None:
    whole: dict[str, Any] = {"status": 200, "body": TEXT, "headers": FIELDS} | given
    before = make_response(**whole)
    after = answer_to("gzip", **given).response
    assert after.headers == before.headers and after.body == before.body and after.coder is None


def test_vary_is_not_said_twice() -> None:
    assert answer_to("gzip", headers={**FIELDS, "Vary": "Origin, accept-encoding"}).headers("Vary") == [
        "Origin, accept-encoding"
    ]
    assert answer_to("gzip", headers={**FIELDS, "Vary": "*"}).headers("Vary") == ["*"]
    assert answer_to("gzip", headers={**FIELDS, "Vary": "Origin"}).header("Vary") == "Origin, Accept-Encoding"


def test_head_has_the_fields_of_get() -> None:
    policy = Policy("route one\ncompress response")
    for length, coded in ((str(len(TEXT)), "gzip"), ("10", None), (None, "gzip")):
        fields = FIELDS if length is None else {**FIELDS, "Content-Length": length}
        policy.one.answers = [make_response(200, b"", fields)]
        answer = policy.handle("HEAD", headers={"Accept-Encoding": "gzip"})
        assert answer.header("Content-Encoding") == coded and answer.body == b""
        assert answer.header("Content-Length") == ("10" if coded is None else None)


def test_not_modified_speaks_of_the_packed_answer() -> None:
    answer = answer_to("gzip", status=304, body=b"")
    assert answer.header("ETag") == 'W/"v1"' and answer.header("Vary") == "Accept-Encoding"
    assert answer.header("Content-Encoding") is None


def test_the_clients_own_word_counts() -> None:
    policy = 'set request.header["Accept-Encoding"] = "identity"\nroute one\ncompress response'
    assert answer_to("gzip", policy).header("Content-Encoding") == "gzip"
    assert answer_to(None, 'set request.header["Accept-Encoding"] = "gzip"\nroute one\ncompress response').body == TEXT


def test_what_does_not_shrink_stays() -> None:
    body = bytes(range(256)) * 4
    answer = answer_to("gzip", body=gzip.compress(body * 9)[:300] * 4, policy="route one\ncompress response, min: 1B")
    assert answer.header("Content-Encoding") is not None  # repeated, it shrinks
    answer = answer_to("gzip", body=b"abc", policy="route one\ncompress response, min: 1B")
    assert answer.body == b"abc" and answer.header("Vary") == "Accept-Encoding"
    assert answer.header("Content-Encoding") is None and answer.header("ETag") == '"v1"'


def test_a_large_held_body_lets_others_in_between() -> None:
    body = TEXT * 1000
    text = 'route one\nrequire response.text != ""\ncompress response'
    answer = answer_to("br", text, body=body, streams=True)
    assert decode(answer.body or b"", "br", len(body)) == body


@pytest.mark.parametrize("streams", [False, True])
def test_later_statements_read_what_was_there(streams: bool) -> None:
    text = "route one\ncompress response\nrequire response.json.a == 1\nrequire response.json.a == 1"
    body = b'{"a": 1, "b": "%b"}' % TEXT
    answer = answer_to("gzip", text, body=body, streams=streams, headers={"Content-Type": "application/json"})
    assert answer.status == 200 and answer.response.coder is None
    assert answer.header("Content-Encoding") == "gzip" and decode(answer.body or b"", "gzip", 1 << 20) == body


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    "write", ['set response.text = "new"', 'remove response.body\nset response.body = "new"', 'set response.json = 7']
)
def test_a_later_writer_sends_plainly(streams: bool, write: str) -> None:
    answer = answer_to("gzip", f"route one\ncompress response\n{write}", streams=streams)
    assert answer.body in (b"new", b"7") and answer.header("Content-Encoding") is None and answer.response.coder is None


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("before", ["", "compress response\n"])
@pytest.mark.parametrize("inside", ["compress response", 'require response.text == ""'])
def test_a_branch_takes_it_back(streams: bool, before: str, inside: str) -> None:
    text = f"route one\n{before}try {{\n{inside}\nrequire request.size == 1B\n}} catch e {{\nignore\n}}"
    response = answer_to("gzip", text, streams=streams).response
    body = response.body
    if body is None:
        assert streams and response.source is not None
        body = response.source.data  # type: ignore[attr-defined]
        if response.coder is not None:
            packing = response.coder()
            body = packing.feed(body) + packing.end()
    coding = response.header(b"content-encoding")
    assert coding == ("gzip" if before else None)
    assert (decode(body, coding, len(TEXT)) if coding else body) == TEXT


def test_limits_count_what_was_received() -> None:
    limit = f"limit_size response, {len(TEXT) - 1}B"
    for streams in (False, True):
        for policy in (f"{limit}\ncompress response", f"compress response\n{limit}"):
            answer = answer_to("gzip", f"route one\n{policy}", streams=streams)
            if streams:  # its length is not known: it is cut
                assert answer.response.limit == len(TEXT) - 1
            else:
                assert answer.name == "response-too-large"


def test_in_parallel() -> None:
    text = "route one\nparallel {\ncompress response\nset request.header[\"X-A\"] = \"a\"\n}"
    for streams in (False, True):
        answer = answer_to("gzip", text, streams=streams)
        assert answer.header("Content-Encoding") == "gzip"
        assert (answer.response.coder is not None) is streams


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ('codings: ["deflate"]', "`deflate` is no coding that can be made"), ("codings: []", "`codings` names none"),
        ('types: ["text"]', "`text` is no media type"), ('types: ["*/*"]', "`*/*` is no media type"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_be(arguments: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        Policy(f"route one\ncompress response, {arguments}")
    assert says in str(refused.value)


# --- reading what came compressed ---


@pytest.mark.parametrize("streams", [False, True])
def test_what_goes_on_is_what_came(streams: bool) -> None:
    policy = Policy('require request.json.a == 1\nrequire request.text contains "again"\nroute one')
    packed = gzip.compress(b'{"a": 1, "b": "%b"}' % TEXT)
    answer = policy.handle("POST", body=packed, headers={"Content-Encoding": "gzip"}, streams=streams)
    assert answer.status == 200
    sent = policy.one.calls[0]
    assert sent.body == packed and (b"content-encoding", b"Content-Encoding", b"gzip") in sent.headers


def test_its_size_is_that_of_what_came() -> None:
    packed = gzip.compress(TEXT)
    for size, status in ((len(packed), 200), (len(TEXT), 403)):
        policy = Policy(f'require request.text != ""\nrequire request.size == {size}B\nrespond 200')
        assert policy.handle("POST", body=packed, headers={"Content-Encoding": "gzip"}).status == status


def test_what_is_written_goes_on_plainly() -> None:
    policy = Policy("set request.body = request.body\nroute one")
    assert policy.handle("POST", body=gzip.compress(TEXT), headers={"Content-Encoding": "gzip"}).status == 200
    sent = policy.one.calls[0]
    assert sent.body == TEXT and not any(field[0] == b"content-encoding" for field in sent.headers)


def test_limits_and_faults() -> None:
    policy = Policy('require request.text != ""\nroute one\nrequire response.text != ""')
    policy.environment.bodies = BodyLimits(body=10_000, decoded=100)
    gzipped = {"Content-Encoding": "gzip"}

    def post(body: bytes, headers: dict[str, str] = gzipped) -> tuple[int, str]:
        answer = policy.handle("POST", body=body, headers=headers)
        return answer.status, answer.name

    assert post(gzip.compress(b"x" * 100)) == (200, "")
    assert post(gzip.compress(b"x" * 101)) == (413, "body-too-large")
    assert post(gzip.compress(b"x")[:-1]) == (400, "unreadable-body")
    assert post(b"x", {"Content-Encoding": "lzma"}) == (415, "unsupported-coding")
    assert post(b"x" * 200, {}) == (200, "")  # `decoded` is for what is unpacked
    for body, name in (
        (gzip.compress(b"x" * 101), "body-too-large"), (gzip.compress(b"x") + b"y", "unreadable-body"),
    ):  # fmt: skip
        policy.one.answers = [make_response(200, body, gzipped, streams=True)]
        assert post(b"x", {}) == (502, name)
    policy.one.answers = [make_response(200, b"x", {"Content-Encoding": "lzma"})]
    assert post(b"x", {}) == (502, "unsupported-coding")


def test_what_cannot_be_decoded_is_tried_once() -> None:
    branches = "\n".join('require request.text == "x"' for _ in range(3))
    policy = Policy(f"any {{\n{branches}\n}}\nrespond 200")
    answer = policy.handle("POST", body=b"x", headers={"Content-Encoding": "gzip"}, streams=True)
    assert (answer.status, answer.name) == (400, "unreadable-body")
    assert [name for name, _ in answer.journal[:3]] == ["require"] * 3
    content = answer.exchange.request.content
    assert content is not None and content.failure is not None


def test_a_coding_that_the_policy_writes_counts() -> None:
    policy = Policy(
        'require request.text != ""\nremove request.header["content-encoding"]\nrequire request.json == 1\nrespond 200'
    )
    answer = policy.handle("POST", body=gzip.compress(b"1"), headers={"Content-Encoding": "gzip"})
    assert answer.name == "unreadable-body"
    policy = Policy('set request.header["Content-Encoding"] = "gzip"\nrequire request.json == 1\nrespond 200')
    assert policy.handle("POST", body=gzip.compress(b"1")).status == 200


def test_depths_are_the_operators() -> None:
    policy = Policy('require request.json != none\nrespond 200')
    policy.environment.bodies = BodyLimits(json_depth=3)
    assert policy.handle("POST", body=b"[[[1]]]").status == 200
    assert policy.handle("POST", body=b"[[[[1]]]]").name == "unreadable-body"
    policy = Policy('require xpath("count(//a)", in: request) >= 1\nrespond 200')
    policy.environment.bodies = BodyLimits(xml_depth=2, xml_text=5)
    assert policy.handle("POST", body=b"<a><a>12345</a></a>").status == 200
    assert policy.handle("POST", body=b"<a><a><a/></a></a>").name == "unreadable-body"
    assert policy.handle("POST", body=b"<a>123456</a>").name == "unreadable-body"


def test_a_coding_that_a_branch_of_parallel_writes_counts() -> None:
    text = 'require request.text != ""\nparallel {\nset request.header["Content-Encoding"] = "gzip"\nignore\n}\n'
    policy = Policy(f"{text}require request.json == 1\nrespond 200")
    assert policy.handle("POST", body=b"1").name == "unreadable-body"
