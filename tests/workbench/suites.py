"""Tests of policies from text, for the tests of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent

from policylang.diagnostics.text import render
from policylang.testing.results import Result
from policylang.testing.running import run
from policylang.testing.suite import Suite, load_suite

ORDERS = """
map clients, file: "clients.json"
upstream orders { server "http://127.0.0.1:9000" }
service orders "/orders/**" {
    api_key request.header["X-API-Key"], in: map("clients") -> caller
    match caller.contract {
        "gold" -> rate_limit 500/s, per: caller.id
        else   -> rate_limit 100/s, per: caller.id
    }
    route orders
}
"""
CLIENTS = b'{ "k1": { "id": "ann", "contract": "gold" }, "k2": { "id": "bob", "contract": "basic" } }'


def suite_of(
    tests: str, policy: str = ORDERS, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None
) -> Suite:
    """The file `orders_test.pol`, which imports `orders.pol`."""
    there = {
        "clients.json": CLIENTS, **(files or {}), "orders.pol": policy.encode(),
        "orders_test.pol": ('import "orders.pol"\n' + dedent(tests)).encode(),
    }  # fmt: skip

    def load(path: str) -> bytes:
        if path not in there:
            raise FileNotFoundError(2, "No such file or directory", path)
        return there[path]

    return load_suite("orders_test.pol", load, environ or {})


def results(
    tests: str, policy: str = ORDERS, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None
) -> list[Result]:
    suite = suite_of(tests, policy, files, environ)
    assert suite.diagnostics == [], render(suite.diagnostics)
    assert suite.tests
    return [run(test) for test in suite.tests]


def passes(
    body: str, policy: str = ORDERS, files: Mapping[str, bytes] | None = None, environ: Mapping[str, str] | None = None
) -> Result:
    """The one test with this body passes."""
    (result,) = results('test "it" {\n' + dedent(body) + "\n}", policy, files, environ)
    assert result.outcome == "passed", render(result.findings) + result.picture
    return result


def said(body: str, policy: str = ORDERS) -> str:
    """What is said of the one test with this body, which does not pass."""
    (result,) = results('test "it" {\n' + dedent(body).strip("\n") + "\n}", policy)
    assert result.outcome != "passed"
    return f"{result.outcome}: " + render(result.findings)


def wrong(tests: str, policy: str = ORDERS) -> list[tuple[str, str, str]]:
    """Name, message and help of each finding in the file."""
    suite = suite_of(tests, policy)
    assert suite.tests == ()
    return [(found.name, found.message, found.help) for found in suite.diagnostics]
