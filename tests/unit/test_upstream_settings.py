"""What an upstream's settings may be, and what they become."""

from __future__ import annotations

import pytest

from policylang.check import check_files
from policylang.sdk.circuit import CircuitSettings
from runtime.upstream.condition import HealthSettings, OutlierSettings
from runtime.upstream.settings import RetrySettings, ServerAddress, UpstreamSettings, server_address, upstream_settings


def declared(*lines: str) -> UpstreamSettings:
    text = "upstream u {\n" + "\n".join(lines) + "\n}\nservice s \"/**\" { route u }\n"
    checked = check_files(["u.pol"], lambda path: text.encode())
    assert checked.program is not None, checked.diagnostics
    return upstream_settings(checked.program.upstreams[0].settings)


def test_server_addresses() -> None:
    assert server_address("http://10.0.0.1:9000", 2) == ServerAddress("10.0.0.1", 9000, 2)
    assert server_address("http://orders.internal") == ServerAddress("orders.internal", 80)
    assert server_address("https://orders.internal") == ServerAddress("orders.internal", 443, secure=True)
    assert server_address("http://[::1]:81/", backup=True) == ServerAddress("::1", 81, backup=True)
    assert server_address("http://[::1]:81").text == "[::1]:81"
    for bad in ("ftp://a", "http://", "a:80", "http://a/b", "http://a:0", "http://a:99999", "http://a@b", "http://a?x"):
        with pytest.raises(ValueError, match="is no server"):
            server_address(bad)
    with pytest.raises(ValueError, match="weight"):
        server_address("http://a", 0)


def test_what_is_not_written_has_its_default() -> None:
    assert declared('server "http://a"') == UpstreamSettings((ServerAddress("a", 80),))


def test_settings_of_a_checked_program() -> None:
    settings = declared(
        'server "http://a:1", weight: 2',
        'server "http://b", backup: true',
        "balance least_connections",
        'health "/up", every: 1s, timeout: 500ms, rise: 1, fall: 2, status: 200..204, host: "h"',
        "outliers failures: 3, slower_than: 2s, pause: 1s, longest: 4s, most: 0.25",
        "slow_start 30s",
        "retries 2, statuses: [503, 429], per_try: 1s, budget: 0.1, wait: 5ms, longest_wait: 10ms",
        "circuit_breaker errors: 0.2, slower_than: 1s, slow: 0.3, requests: 4, window: 2s, pause: 3s, probes: 1",
        "circuit_breaker per_server: true",
        "timeouts connect: 1s, head: 2s, between: 3s, idle: 4500ms",
        "connections 7, per_server: 2, queue: 3, wait: 1s, mirrored: 9",
    )
    assert settings == UpstreamSettings(
        servers=(ServerAddress("a", 1, 2), ServerAddress("b", 80, backup=True)),
        connect=1, head=2, between=3, idle=4.5, balance="least_connections",
        health=HealthSettings("/up", 1, 0.5, 1, 2, 200, 204, "h"),
        outliers=OutlierSettings(3, 2, 1, 4, 0.25),
        slow_start=30,
        retries=RetrySettings(2, frozenset({429, 503}), 1, 0.1, 0.005, 0.01),
        circuit=CircuitSettings(0.2, 0.3, 1_000_000_000, 4, 2_000_000_000, 3_000_000_000, 1),
        server_circuit=CircuitSettings(),
        connections=7, per_server=2, queue=3, wait=1, mirrored=9,
    )  # fmt: skip
    one_status = declared('server "http://a"', 'health "/", status: 204')
    assert one_status.health == HealthSettings("/", least=204, greatest=204)


def test_an_upstream_needs_a_server() -> None:
    with pytest.raises(ValueError, match="at least one server"):
        upstream_settings([])
