"""What may be kept, and how long."""

from __future__ import annotations

from typing import Any

import pytest

from assertions.caching.freshness import date, directives, lifetime, varied
from policylang.sdk import Response
from policylang.sdk.bench import make_fields, make_request
from policylang.sdk.caches import asked, selecting, storable

NOW = 1_795_262_400.0  # Sat, 21 Nov 2026 12:00:00 GMT
DATE = "Sat, 21 Nov 2026 12:00:00 GMT"


def life(request: dict[str, str] | None = None, status: int = 200, ttl: float = 60.0, **fields: str) -> Any:
    answer = Response(status, make_fields({name.replace("_", "-"): value for name, value in fields.items()}))
    return lifetime(make_request(headers=request or {}), answer, ttl, NOW, shared=False, override=False)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 60), ("public", 60), ("max-age=10", 10), ("max-age=3600", 60), ("MAX-AGE=10", 10), ("max-age=\"10\"", 10),
        ("s-maxage=5, max-age=10", 5), ("max-age=10, s-maxage=50", 50), ("max-age=10, max-age=20", 10),
        ("max-age=010", 10), ("max-age=" + "9" * 5000, 60), ("x=\"no-store, max-age=1\"", 60), ("must-revalidate", 60),
        ("max-age=20, x=\"a\\\"b\"", 20), (", ,max-age=7,,", 7), ("max-age =9", 9),
        ("max-age=0", None), ("max-age=x", None), ("max-age", None), ("max-age=-1", None), ("max-age=1.5", None),
        ("max-age=10, max-age=x", None), ("no-store", None), ("No-Cache", None), ("private=\"x-a\"", None),
        ("max-age=10; public", None), ("x=\"open", None), ("\x01", None),
    ],
)  # fmt: skip
def test_the_upstream_shortens_and_forbids(said: str, seconds: float | None) -> None:
    found = life(Cache_Control=said)
    assert (None if found is None else found.seconds) == seconds


def test_expires_counts_from_date_and_only_where_nothing_else_says_how_long() -> None:
    later = "Sat, 21 Nov 2026 12:00:30 GMT"
    assert life(Expires=later, Date=DATE).seconds == 30
    assert life(Expires=later, Date=DATE, Cache_Control="max-age=50").seconds == 50
    for wrong in ("0", "-1", "", "Sat, 21 Nov 2026 12:00:30", "Saturday, 21-Nov-26 12:00:30 GMT", DATE):
        assert life(Expires=wrong, Date=DATE) is None


def test_age_is_what_others_say_or_what_date_shows() -> None:
    assert life(Age="20", Cache_Control="max-age=50")[:2] == (30, 20)
    assert life(Age="20, 40", Cache_Control="max-age=50")[:2] == (30, 20)
    assert life(Age="twenty", Cache_Control="max-age=50")[:2] == (50, 0)
    assert life(Age="60", Cache_Control="max-age=50") is None
    assert life(Age="9" * 30, Cache_Control="max-age=50") is None
    assert life(Age="20")[:2] == (60, 20)  # the policy's ttl is how long it is kept here
    assert life(Date="Sat, 21 Nov 2026 11:59:50 GMT", Cache_Control="max-age=50")[:2] == (40, 10)
    assert life(Date="Sat, 21 Nov 2026 12:30:00 GMT", Cache_Control="max-age=50")[:2] == (50, 0)


@pytest.mark.parametrize("status", [206, 304])
def test_what_is_no_whole_answer_is_not_kept(status: int) -> None:
    assert life(status=status) is None


def test_what_is_for_one_is_not_kept_for_others() -> None:
    alone = {"Authorization": "Basic eA=="}
    assert life(alone) is None
    for said in ("public", "s-maxage=10", "must-revalidate"):
        assert life(alone, Cache_Control=said) is not None
    assert life(Set_Cookie="a=b") is None
    answer = Response(200, make_fields({"Cache-Control": "no-store", "Expires": "0"}))
    kept = lifetime(make_request(headers=alone), answer, 60.0, NOW, shared=True, override=True)
    assert kept is not None and kept.seconds == 60
    answer = Response(200, make_fields({"Set-Cookie": "a=b"}))
    assert lifetime(make_request(), answer, 60.0, NOW, shared=True, override=True) is None


def test_what_varies_on_the_gateways_own_word_is_not_kept() -> None:
    assert varied([b"Accept, accept-language", b"X-Y , Accept"]) == (b"accept", b"accept-language", b"x-y")
    assert varied([b"Host", b"", b" , X-Forwarded-Proto"]) == ()
    for wrong in (b"*", b"accept, *", b"Forwarded", b"X-Forwarded-For", b"X-Request-ID", b"x-forwarded-host", b"a b",
                  b", ".join(b"x-%d" % n for n in range(17))):  # fmt: skip
        assert varied([wrong]) is None


def test_a_field_is_compared_with_all_that_it_says() -> None:
    names = (b"accept", b"x")

    def said(*pairs: tuple[str, str]) -> Any:
        return selecting(asked(make_request(headers=list(pairs))), names)

    assert said(("Accept", " a "), ("accept", "b")) == said(("ACCEPT", "a, b"))
    assert said(("Accept", "a")) != said(("X", "a"))
    assert said(("Accept", "")) != said()
    edited = make_request(headers=[("Accept", "a")])
    edited.set_header(b"accept", b"Accept", b"b")
    assert selecting(asked(edited), names) not in (said(("Accept", "a")), said(("Accept", "b")))


def test_cache_control_is_read_or_forbids() -> None:
    assert directives([b"a, b=1", b'c="2,3"']) == {b"a": None, b"b": b"1", b"c": b"2,3"}
    assert b"no-store" in directives([b"a b"])


@pytest.mark.parametrize("wrong", [b"", b"0", b"Sat, 31 Feb 2026", b"Xxx, 21 Nov 2026 12:00:00 GMT",
                                   b"Sat, 21 Nov 2026 25:00:00 GMT", b"Sat, 21 Nov 2026 12:00:00 UTC"])  # fmt: skip
def test_only_one_form_of_date_is_one(wrong: bytes) -> None:
    assert date(wrong) is None
    assert date(DATE.encode()) == NOW


def test_what_belongs_to_a_connection_is_not_stored() -> None:
    fields = make_fields({"Age": "1", "Connection": "close", "Trailer": "x", "Proxy-Authenticate": "y", "ETag": "z"})
    assert [lower for lower, _, _ in storable(fields)] == [b"etag"]
