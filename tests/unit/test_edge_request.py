"""What a policy does to a known head is what it does to any other."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.sdk import Field, Request
from runtime.edge.request import ReceivedRequest
from runtime.upstream.heads import lines_of
from runtime.wire.memo import RESTS, KnownFields

NAMES = [b"A", b"a", b"X-Key", b"Cookie", b"Via", b"Accept"]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([b"1", b"2", b"k=v"])), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(NAMES), st.sampled_from([b"7", b"8"])),
        st.tuples(st.just("add"), st.sampled_from(NAMES), st.just(b"9")),
        st.tuples(st.just("remove"), st.sampled_from(NAMES)),
        st.tuples(st.just("read"), st.sampled_from(NAMES)),
        st.tuples(st.just("mark")),
        st.tuples(st.just("back")),
    ),
    max_size=9,
)


def received(headers: list[Field], known: KnownFields | None) -> ReceivedRequest:
    request = ReceivedRequest("GET", "/", None, headers)
    request.known = known
    request.edits = None
    return request


def play(request: Request, steps: list[tuple[Any, ...]]) -> list[Any]:
    seen: list[Any] = []
    marks = [request.snapshot()]
    for word, *words in steps:
        if word == "set":
            request.set_header(words[0].lower(), words[0], words[1])
        elif word == "add":
            request.add_header(words[0].lower(), words[0], words[1])
        elif word == "remove":
            request.remove_header(words[0].lower())
        elif word == "mark":
            marks.append(request.snapshot())
        elif word == "back":
            request.restore(marks[-1])
        else:
            seen.append((request.header(words[0].lower()), request.cookie("k") if words[0] == b"Cookie" else None))
    return [*seen, request.headers]


@settings(max_examples=800, deadline=None)
@given(FIELDS, st.lists(STEPS, min_size=1, max_size=4))
def test_a_known_head_is_edited_as_any_other(fields: list[tuple[bytes, bytes]], policies: list[Any]) -> None:
    headers = [(name.lower(), name, value) for name, value in fields]
    headers = [field for place, field in enumerate(headers) if field[0] != b"cookie" or place == 0]
    before = list(headers)
    known = KnownFields(headers, b"a", True, frozenset(), ())
    for steps in policies:
        ours, plain = received(headers, known), received(headers, None)
        assert play(ours, steps) == play(plain, steps)
        assert lines_of(ours) == lines_of(plain)
        assert headers == before


def test_what_is_kept_of_a_head_is_bounded() -> None:
    known = KnownFields([], b"a", True, frozenset(), ())
    for number in range(4 * RESTS):
        request = received(known.headers, known)
        request.set_header(b"x-%d" % number, b"X-%d" % number, b"1")
        assert len(request.headers) == 1
        request.header(b"y-%d" % number)
        received(known.headers, known).header(b"y-%d" % number)
    assert len(known.rests) <= RESTS
    assert len(known.texts) <= 32
