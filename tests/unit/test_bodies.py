"""Bodies: what is read, what is refused, and in what time."""

from __future__ import annotations

import time

import pytest

from policylang.sdk.outcome import Failed
from policylang.sdk.parse import parse_json, parse_xml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "b": {"a": 2}}', {"a": 1, "b": {"a": 2}}),
        (b'{"a:b": ":", "c": "\\u003a"}', {"a:b": ":", "c": ":"}),
        (b'{"\\"": 1, ":": 2}', {'"': 1, ":": 2}),
        (b"[1, 2.5, true, null]", [1, 2.5, True, None]),
        (b'"text: colon"', "text: colon"),
        (b'{"\\\\": 1}', {"\\": 1}),
    ],
)
def test_json_is_read(text: bytes, value: object) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'{"a": 1, "a": 2}', "`a` twice"),
        (b'{"a": 1, "\\u0061": 2}', "`a` twice"),
        (b'[{"x": {"b": ":", "b": ":"}}]', "`b` twice"),
        (b'{"a": "\\u003a", "a": 1}', "`a` twice"),
        (b"[" * 129 + b"]" * 129, "deeper than 128"),
        (b'{"a":' * 129 + b"1" + b"}" * 129, "deeper than 128"),
        (b"{'a': 1}", "not JSON"),
        (b"", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"NaN", "not JSON"),
        (b'"\xff"', "not JSON"),
    ],
)
def test_json_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(Failed) as refused:
        parse_json(text)
    assert refused.value.failure.status == 400
    assert says in refused.value.failure.detail


def test_json_as_deep_as_allowed_is_read() -> None:
    assert parse_json(b"[" * 128 + b"]" * 128)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "empty"),
        (b"<a>", "not XML"),
        (b"<!DOCTYPE a><a/>", "DOCTYPE"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><!-- x --><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "DOCTYPE"),
        ("<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a><a/>".encode("utf-16"), "DOCTYPE"),
        (b"<a>" * 129 + b"</a>" * 129, "deeper than 128"),
        (b"<a>&b;</a>", "not XML"),
    ],
)
def test_xml_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(Failed) as refused:
        parse_xml(text, 502)
    assert refused.value.failure.status == 502
    assert says in refused.value.failure.detail


def test_xml_is_read() -> None:
    assert parse_xml(b"<a><![CDATA[<!DOCTYPE b>]]></a>").text == "<!DOCTYPE b>"
    assert parse_xml(b"<a>" * 128 + b"</a>" * 128).tag == "a"


def test_what_is_refused_is_refused_fast() -> None:
    laughs = b"<!DOCTYPE a [" + b"".join(
        b"<!ENTITY e%d '%s'>" % (i, b"&e%d;" % (i - 1) * 10) for i in range(1, 12)
    ) + b"]><a>&e11;</a>"  # fmt: skip
    started = time.process_time()
    for text in (laughs, b"<?" * 200_000, b"<!--" * 200_000, b" " * 1_000_000 + b"<!DOCTYPE a>"):
        with pytest.raises(Failed):
            parse_xml(text)
    for text in (b'{"' * 300_000, b'"\\' * 300_000, b"[" * 1_000_000):
        with pytest.raises(Failed):
            parse_json(text)
    assert time.process_time() - started < 0.5
