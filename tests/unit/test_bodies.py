"""Bodies: what is read, what is refused, and in what time."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk.limits import BodyLimits
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


@given(
    st.recursive(
        st.one_of(
            st.integers(-(10**40), 10**40), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(),
            st.text(max_size=30).filter(lambda text: text.isprintable()),
        ),
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text("ab:", max_size=2), inner)),
        max_leaves=12,
    ),
    st.sampled_from([None, 1]),
)  # fmt: skip
def test_json_is_read_exactly(value: object, indent: int | None) -> None:
    """As a reader does that knows no limit of a machine word."""
    text = json.dumps(value, indent=indent)
    found = parse_json(text.encode())
    assert json.dumps(found) == json.dumps(value)  # which tells 1 from 1.0


@pytest.mark.parametrize("lead", range(8))
@pytest.mark.parametrize("digits", [18, 19, 20, 21, 40, 300])
@pytest.mark.parametrize("sign", ["", "-"])
def test_long_integers_are_exact_wherever_they_stand(lead: int, digits: int, sign: str) -> None:
    number = int(sign + "9" * digits)
    assert parse_json(b"[%b%d]" % (b" " * lead, number)) == [number]


def test_a_number_that_no_reader_can_hold_is_refused() -> None:
    for text in (b"1" * 310, b"[1e400]", b"-" + b"9" * 10_000_000):
        with pytest.raises(Failed):
            parse_json(text)


def test_limits_are_those_that_are_set() -> None:
    deep = BodyLimits(json_depth=900, xml_depth=255)
    assert parse_json(b"[" * 900 + b"1" * 30 + b"]" * 900, 400, deep)
    for text in (b"[" * 901 + b"]" * 901, b"[" * 1100 + b"]" * 1100):
        with pytest.raises(Failed):
            parse_json(text, 400, deep)
    assert parse_xml(b"<a>" * 255 + b"</a>" * 255, 400, deep).tag == "a"
    with pytest.raises(Failed):
        parse_xml(b"<a>" * 256 + b"</a>" * 256, 400, deep)


@pytest.mark.parametrize("pattern", [b"<a>%b</a>", b"<a b='%b'/>", b"<a><b/>%b<b/></a>", b"<a><![CDATA[%b]]></a>"])
@pytest.mark.parametrize("most", [1, 100, 10_000_000, 10_485_760, 12_000_000])
def test_a_text_is_as_long_as_the_setting_says(pattern: bytes, most: int) -> None:
    limits = BodyLimits(xml_text=most)
    assert parse_xml(pattern % (b"x" * most), 400, limits).tag == "a"
    with pytest.raises(Failed) as refused:
        parse_xml(pattern % (b"x" * (most + 1)), 502, limits)
    assert refused.value.failure.status == 502


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16"])
def test_a_text_counts_in_utf_8(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><a>éé</a>".encode(encoding)
    assert parse_xml(text, 400, BodyLimits(xml_text=4)).text == "éé"
    with pytest.raises(Failed):
        parse_xml(text, 400, BodyLimits(xml_text=3))


def test_a_huge_document_has_other_bounds_too() -> None:
    limits = BodyLimits(xml_text=64 << 20)
    started = time.process_time()
    for text in (b"<a>" * 4_000_000, b"<" + b"x" * 11_000_000 + b"/>"):
        with pytest.raises(Failed):
            parse_xml(text, 400, limits)
    assert time.process_time() - started < 1


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
