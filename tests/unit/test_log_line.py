"""The line of the log that most exchanges get: it says what the careful one does, and costs less."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from exchanges_over import ENTRIES, MANY, MS, PASSED, PLACES, ROUTES, TEXT, Head, Kept, over, tell
from hypothesis import given
from hypothesis import strategies as st

from policylang.sdk import Exchange, Failure, Principal
from policylang.sdk.limits_told import ALONE, EXCEEDED, UNCOUNTED, LimitPolicy
from policylang.tree.outcome import Entry
from runtime.edge.peer import Peer
from runtime.observe.access_log import AccessLog
from runtime.observe.observer import Observer

NAME_CHARACTERS = st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\')


def lines_of(made: Exchange, status: int, took: int, head: Any, host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The exchange's line as it is written usually, and with care."""
    kept = Kept()
    log = AccessLog(1, wall=lambda: 1_767_225_600.5, sink=kept)  # type: ignore[arg-type]
    policy = log.for_policy("0123456789ab", ROUTES)
    Observer(None, policy, ROUTES).done(made, status, 7, 181, made.started + took, head, host)
    request: Any = made.request
    policy.write(
        made, status, 7, 181, made.started + took, request.trace.upstream, method=head.method,
        path=head.path.decode("latin-1"), host=host, trace=request.trace,
    )  # fmt: skip
    usual, careful = kept.lines
    assert usual.count(b"\n") == careful.count(b"\n") == 1 and len(usual) <= 4096
    assert list(orjson.loads(usual)) == list(orjson.loads(careful)), "the order of the fields"
    return orjson.loads(usual), orjson.loads(careful)


LIMITS = st.one_of(
    st.none(),
    st.lists(
        st.tuples(
            st.builds(LimitPolicy, st.text(NAME_CHARACTERS, min_size=1, max_size=300), st.integers(1, 10**9),
                      st.just(60)),
            st.integers(0, 10**9), st.floats(0, 1e6), st.sampled_from(["", "", EXCEEDED, ALONE, UNCOUNTED]),
        ),
        min_size=1, max_size=32,
    ),
)  # fmt: skip
SANE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)


@MANY
@given(
    status=st.integers(200, 599), took=st.integers(0, 3_000 * MS), waited=st.integers(0, 3_000 * MS),
    path=st.binary(min_size=1, max_size=30), host=st.one_of(SANE, TEXT).filter(bool), id=st.one_of(SANE, TEXT),
    journal=ENTRIES,
    user=st.one_of(st.none(), SANE, TEXT), failed=st.booleans(), attempts=st.integers(0, 3),
    answered=st.sampled_from([0, 200, 503]), tls=st.sampled_from(["", "TLSv1.3"]), name=st.one_of(SANE, TEXT),
    trace_id=st.sampled_from(["", "4bf92f3577b34da6a3ce929d0e0e4736"]), version=st.sampled_from(["1.1", "1.0"]),
    limits=LIMITS,
    service=st.sampled_from(["orders", "carts", ""]), method=st.sampled_from(["GET", "PROPFIND", "M-SEARCH"]),
)  # fmt: skip
def test_the_usual_line_says_what_the_careful_one_does(
    status: int, took: int, waited: int, path: bytes, host: str, id: str, journal: list[Entry], user: str | None,
    failed: bool, attempts: int, answered: int, tls: str, name: str, trace_id: str, version: str,
    limits: Any, service: str, method: str,
) -> None:  # fmt: skip
    failure = Failure("rate-exceeded", 429, "secret", assertion="rate_limit", span=PLACES[1].span)
    made = over(
        journal=journal, service=service, user=None if user is None else Principal(user), upstream=waited,
        failure=failure if failed else None, version=version, id=id, trace_id=trace_id, attempts=attempts,
        limits=limits,
        peer=Peer("10.1.2.3", 4000, "https" if tls else "http", None, tls, name),
        **({"pool": "orders", "server": "127.0.0.1:9000"} if attempts else {}),
    )  # fmt: skip
    request: Any = made.request
    request.trace.status = answered if attempts else 0
    usual, careful = lines_of(made, status, took, Head(method, path), host)
    assert usual == careful
    told = [(policy.name, policy.quota) for policy, _, _, _ in limits or ()]
    kept = [(one["name"], one["limit"]) for one in usual.get("limits", ())]
    assert kept == (told[len(told) - len(kept):] if "limits" in usual.get("cut", ()) else told)
    assert usual["own_duration"] == max(0, took - waited) / 1e9
    began = 1_767_225_600_500 * MS - took
    assert usual["time"].endswith(f".{began // MS % 1000:03d}Z") and usual["time"].startswith("202")


def test_a_usual_request_has_the_usual_line(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    policy = AccessLog(1, wall=lambda: 0.0, sink=kept).for_policy("0123456789ab", ROUTES)  # type: ignore[arg-type]
    monkeypatch.setattr(policy, "write", lambda *_, **__: pytest.fail("written with care"))
    failure = Failure("rate-exceeded", 429, assertion="rate_limit", span=PLACES[1].span)
    retried = over(attempts=2, server="x")
    limited = over(limits=[(LimitPolicy("gold", 500, 1), 499, 1.0, ""), (LimitPolicy("all", 9, 1), 0, 1.0, UNCOUNTED)])
    for made in (over(journal=PASSED), over(user=Principal("ann")), over(failure=failure), retried, limited):
        tell(Observer(None, policy, ROUTES), made)
    assert len(kept.lines) == 5
    assert orjson.loads(kept.lines[-1])["limits"] == [
        {"name": "gold", "limit": 500, "remaining": 499},
        {"name": "all", "limit": 9, "remaining": None, "outcome": "uncounted"},
    ]


def test_of_what_went_well_a_share_is_written_and_of_the_rest_all() -> None:
    kept = Kept()
    policy = AccessLog(1, wall=lambda: 0.0, sink=kept).for_policy("0123456789ab", ROUTES)  # type: ignore[arg-type]
    observer = Observer(None, policy, ROUTES, sample=0.1)
    for _ in range(3000):
        tell(observer, over())
    assert 150 < len(kept.lines) < 500
    kept.lines.clear()
    none = Observer(None, policy, ROUTES, sample=0.0)
    tell(none, over())
    tell(none, over(failure=Failure("x", 403)), 403)
    tell(none, over(), 503)
    assert [orjson.loads(line)["status"] for line in kept.lines] == [403, 503]


def test_the_stamp_follows_a_clock_that_was_set() -> None:
    wall = [1_767_225_600.0]
    log = AccessLog(1, wall=lambda: wall[0], sink=Kept())  # type: ignore[arg-type]
    assert log.began(0, 0) == "2026-01-01T00:00:00.000Z"
    assert log.began(5 * MS, 40 * MS) == "2026-01-01T00:00:00.005Z"
    wall[0] -= 3600
    assert log.began(60 * MS, 60 * MS) == "2025-12-31T23:00:00.000Z"
