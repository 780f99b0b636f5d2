"""One spelling for each path; strict decoding of queries; segments that stay segments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk.paths import BadPath, normal_path
from runtime.wire.limits import WireError
from runtime.wire.path import encode_path, encode_segment, path_segments, query_pairs

NORMAL = [
    (b"/", b"/", ("",)),
    (b"/a", b"/a", ("a",)),
    (b"/a/", b"/a/", ("a", "")),
    (b"/a/b.c/d-e_f~g", b"/a/b.c/d-e_f~g", ("a", "b.c", "d-e_f~g")),
    (b"/a;x=1,2!$&'()*+:@", b"/a;x=1,2!$&'()*+:@", ("a;x=1,2!$&'()*+:@",)),
    # unreserved characters are decoded, all others keep their encoding, in upper case
    (b"/%61%7E%2D%2e%5F%30", b"/a~-._0", ("a~-._0",)),
    (b"/a%20b%3f%3B%25", b"/a%20b%3F%3B%25", ("a b?;%",)),
    (b"/%2561", b"/%2561", ("%61",)),
    (b"/%c3%bC", b"/%C3%BC", ("\xfc",)),
    (b"/%0d%0A", b"/%0D%0A", ("\r\n",)),
    (b'/"<>^`{|}[]', b"/%22%3C%3E%5E%60%7B%7C%7D%5B%5D", ('"<>^`{|}[]',)),
    # dot segments
    (b"/.", b"/", ("",)),
    (b"/..", b"/", ("",)),
    (b"/./a", b"/a", ("a",)),
    (b"/a/.", b"/a/", ("a", "")),
    (b"/a/..", b"/", ("",)),
    (b"/a/../", b"/", ("",)),
    (b"/a/../b", b"/b", ("b",)),
    (b"/a/b/../..", b"/", ("",)),
    (b"/a/b/../../c", b"/c", ("c",)),
    (b"/../../etc/passwd", b"/etc/passwd", ("etc", "passwd")),
    (b"/a/%2e%2E/b", b"/b", ("b",)),
    (b"/a/.%2e/b", b"/b", ("b",)),
    (b"/%2e/b", b"/b", ("b",)),
    (b"/.a/..b/...", b"/.a/..b/...", (".a", "..b", "...")),
    (b"/.well-known/x", b"/.well-known/x", (".well-known", "x")),
]

REFUSED = [
    b"", b"a", b"*", b"http://a/", b"%2f",
    b"//", b"//a", b"/a//b", b"/a//", b"/a//..", b"/a/..//b",
    b"/a%2Fb", b"/a%2fb", b"/a%5Cb", b"/a%5cb", b"/a%00", b"/..%2f", b"/%252f%2f",
    b"/%", b"/%2", b"/%zz", b"/%2g", b"/a%", b"/%%32", b"/% 20", b"/%u0041",
    b"/a\\b", b"/\\..\\a", b"/a b", b"/a\tb", b"/a\r\n", b"/a\0", b"/a\x7f", b"/\xc3\xbc", b"/a?b", b"/a#b",
    b"/%ff", b"/%c0%af", b"/%c0%ae%c0%ae/", b"/%ed%a0%80", b"/%c3", b"/%e2%82/x",
]  # fmt: skip


@pytest.mark.parametrize(("path", "normal", "segments"), NORMAL)
def test_normal_paths(path: bytes, normal: bytes, segments: tuple[str, ...]) -> None:
    assert normal_path(path) == normal
    assert normal_path(normal) == normal
    assert path_segments(normal) == segments


@pytest.mark.parametrize("path", REFUSED)
def test_refused_paths(path: bytes) -> None:
    with pytest.raises(BadPath):
        normal_path(path)


def test_a_plain_path_is_given_back_as_it_is() -> None:
    path = b"/api/v1/orders/4711"
    assert normal_path(path) is path


_pieces = st.sampled_from(
    [b"/", b".", b"..", b"a", b"%2e", b"%2E", b"%61", b"%2f", b"%", b"%25", b"%c3%bc", b"%ff", b"//", b"\\", b"{", b" "]
)


@given(st.lists(_pieces, max_size=12).map(lambda pieces: b"/" + b"".join(pieces)) | st.binary(max_size=20))
def test_normal_paths_stay_as_they_are(path: bytes) -> None:
    try:
        normal = normal_path(path)
    except BadPath:
        return
    assert normal_path(normal) == normal
    segments = path_segments(normal)
    assert not {"", ".", ".."} & set(segments[:-1])
    assert segments[-1] not in (".", "..")
    assert not any("/" in segment or "\\" in segment or "\0" in segment for segment in segments)
    assert path_segments(normal_path(encode_path("/" + "/".join(segments)))) == segments


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..") and not set(text) & set("/\\\0")))
def test_a_segment_comes_back(text: str) -> None:
    encoded = encode_segment(text)
    assert path_segments(normal_path(b"/a/" + encoded + b"/b")) == ("a", text, "b")


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a b", b"a%20b"),
        ("a/b", b"a%2Fb"),
        ("\xfc", b"%C3%BC"),
        ("a%2Fb", b"a%252Fb"),
        ("..;", b"..%3B"),
        ("?#", b"%3F%23"),
    ],
)
def test_encoded_segments(text: str, encoded: bytes) -> None:
    assert encode_segment(text) == encoded


@pytest.mark.parametrize("text", ["", ".", "..", "\ud800"])
def test_what_cannot_be_a_segment(text: str) -> None:
    with pytest.raises(ValueError):
        encode_segment(text)


@pytest.mark.parametrize(("text", "encoded"), [("/", b"/"), ("/a b/", b"/a%20b/"), ("/a/?", b"/a/%3F")])
def test_encoded_paths(text: str, encoded: bytes) -> None:
    assert encode_path(text) == encoded


@pytest.mark.parametrize("text", ["", "a", "//", "/a//b", "/a/../b", "/.", "/.."])
def test_what_cannot_be_a_path(text: str) -> None:
    with pytest.raises(ValueError):
        encode_path(text)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        (b"", []),
        (b"a", [("a", "")]),
        (b"a=", [("a", "")]),
        (b"=b", [("", "b")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"&&a=1&&a=2&", [("a", "1"), ("a", "2")]),
        (b"a+b=c+d%2B", [("a b", "c d+")]),
        (b"x=%C3%BC&y=%26", [("x", "\xfc"), ("y", "&")]),
        (b"a;b=1", [("a;b", "1")]),
        (b"a=%00%0d", [("a", "\0\r")]),
        (b'q="|\\', [("q", '"|\\')]),
    ],
)
def test_queries(query: bytes, pairs: list[tuple[str, str]]) -> None:
    assert query_pairs(query) == pairs


@pytest.mark.parametrize(
    "query", [b"%", b"a=%", b"a=%2", b"a=%zz", b"%2g=1", b"a=%ff", b"a=%c0%af", b"a=\xff", b"ok=1&%"]
)
def test_refused_queries(query: bytes) -> None:
    with pytest.raises(WireError) as refused:
        query_pairs(query)
    assert (refused.value.status, refused.value.name) == (400, "bad-query")
