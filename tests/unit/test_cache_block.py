"""`cache` around a block that does what no policy should have it do."""

from __future__ import annotations

from typing import Any

import pytest

from assertions.caching.cache import Cache
from policylang.sdk import Duration, Exchange, Failed, Failure, Known, Principal, Size
from policylang.sdk.bench import BenchEnvironment, make_exchange, make_response, run


def cache(**more: Any) -> Cache:
    given: dict[str, Any] = {
        "ttl": Duration(60), "key": Known(b"12345678"), "vary": [], "shared": True, "collapse": True,
        "wait": Duration(5), "max_size": Size(1000), "statuses": range(200, 300), "override": False,
    }  # fmt: skip
    return Cache(**given | more)


def ask(one: Cache, environment: BenchEnvironment, block: Any, **request: Any) -> tuple[Exchange, Any]:
    exchange = make_exchange(environment, "GET", "/x", **request)
    outcome = one.evaluate(exchange, block)
    return exchange, None if outcome is None else run(outcome, environment.clock)


async def answering(exchange: Exchange) -> None:
    exchange.response = make_response(200, b"made")


def test_nothing_is_kept_of_a_block_that_has_found_out_who_asks() -> None:
    async def authenticating(exchange: Exchange) -> None:
        exchange.user = Principal("ann")
        await answering(exchange)

    environment, one = BenchEnvironment(), cache()
    for _ in range(2):
        exchange, _ = ask(one, environment, authenticating)
        assert exchange.response is not None
        assert exchange.response.header(b"cache-status") == "polgate; fwd=uri-miss"


def test_nothing_is_kept_that_varies_on_what_the_block_has_set() -> None:
    async def translating(exchange: Exchange) -> None:
        exchange.request.set_header(b"accept-language", b"Accept-Language", b"en")
        exchange.response = make_response(200, b"made", {"Vary": "Accept-Language"})

    environment, one = BenchEnvironment(), cache()
    for _ in range(2):
        exchange, _ = ask(one, environment, translating, headers={"Accept-Language": "de"})
        assert exchange.response is not None
        assert exchange.response.header(b"cache-status") == "polgate; fwd=uri-miss"


def test_a_defect_in_the_block_keeps_nobody_waiting() -> None:
    async def broken(exchange: Exchange) -> None:
        raise KeyError("x")

    async def failing(exchange: Exchange) -> None:
        raise Failed(Failure("upstream-broken", 502))

    environment, one = BenchEnvironment(), cache()
    with pytest.raises(KeyError):
        ask(one, environment, broken)
    with pytest.raises(Failed):
        ask(one, environment, failing)
    assert not environment.caches.flights.under_way
    exchange, outcome = ask(one, environment, answering)
    assert outcome is None and exchange.response is not None


def test_an_answer_that_was_there_before_is_not_kept() -> None:
    async def nothing(exchange: Exchange) -> None:
        pass

    environment, one = BenchEnvironment(), cache()
    exchange = make_exchange(environment, "GET", "/x")
    before = exchange.response = make_response(200, b"before")
    assert run(one.evaluate(exchange, nothing), environment.clock) is None
    assert exchange.response is before and before.header(b"cache-status") is None
    later, _ = ask(one, environment, answering)
    assert later.response is not None and later.response.body == b"made"


def test_a_lowered_ttl_holds_for_what_is_kept_already() -> None:
    environment = BenchEnvironment()
    ask(cache(), environment, answering)
    environment.clock.advance(10)
    exchange, _ = ask(cache(ttl=Duration(5)), environment, answering)
    assert exchange.response is not None
    assert exchange.response.header(b"cache-status") == "polgate; fwd=uri-miss; stored"


def test_a_request_with_a_body_passes_by() -> None:
    environment, one = BenchEnvironment(), cache()
    ask(one, environment, answering)
    exchange, _ = ask(one, environment, answering, body=b"x")
    assert exchange.response is not None
    assert exchange.response.header(b"cache-status") == "polgate; fwd=bypass"


def test_while_the_store_is_away_the_log_says_so_once_a_second() -> None:
    environment, one = BenchEnvironment(), cache()
    environment.store.down = True
    for _ in range(5):
        exchange, _ = ask(one, environment, answering)
        assert exchange.response is not None
        assert exchange.response.header(b"cache-status") == "polgate; fwd=bypass"
    assert environment.logs == [("warning", "the store is away: the cache is left out")]
    environment.clock.advance(1)
    ask(one, environment, answering)
    assert len(environment.logs) == 2
