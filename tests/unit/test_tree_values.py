"""What expressions give: comparisons, members, arithmetic, interpolation, keys."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hypothesis import given, settings
from hypothesis import strategies as st
from tree_policies import Policy, value_of

from policylang.check import program as p
from policylang.check.fold import RESULTS
from policylang.sdk import Duration, Failed, Ip, Size
from policylang.sdk import static_types as t
from policylang.sdk.bench import BenchEnvironment, make_exchange, run
from policylang.source import Source, Span
from policylang.tree import arithmetic
from policylang.tree import values as v
from policylang.tree.emit import compiled
from policylang.tree.keys import encoded

WRONG = ("wrong-type", 400)


def of_json(expression: str, value: Any) -> Any:
    """With `request.json` as the value; `a` and `b` are members of it."""
    expression = re.sub(r"\$(?=[a-z])", "request.json.", expression)
    return value_of(expression, method="POST", body=orjson.dumps(value))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.0, True), (1, 2, False), ("a", "a", True), (True, True, True), ([1], [1.0], True), ([1], [True], False),
        ({"x": [1, {"y": None}]}, {"x": [1.0, {"y": None}]}, True), ({"x": 1}, {"x": 1, "y": 2}, False),
        (None, None, True), (None, 1, False), (False, None, False), ([], [[]], False),
        (True, 1, WRONG), ("1", 1, WRONG), ([1], {"0": 1}, WRONG), (0, False, WRONG), ("", [], WRONG),
    ],
)  # fmt: skip
def test_json_is_compared_by_value(a: Any, b: Any, equal: Any) -> None:
    assert of_json("$a == $b", {"a": a, "b": b}) == equal
    assert of_json("$a != $b", {"a": a, "b": b}) == (equal if equal == WRONG else not equal)


@pytest.mark.parametrize(
    ("a", "expression", "found"),
    [
        ("gold", '$a == "gold"', True), ("tin", '$a == "gold"', False), (1, '$a == "gold"', WRONG),
        (None, '$a == "gold"', False), ("gold", '"gold" != $a', False), (None, '$a != "gold"', True),
        (True, "$a == 1", WRONG), (None, "$a == none", True), (0, "$a == none", False), (0, "$a != none", True),
    ],
)  # fmt: skip
def test_json_beside_constants(a: Any, expression: str, found: Any) -> None:
    assert of_json(expression, {"a": a}) == found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("not true", False), ("true and false", False), ("false or true", True),
        ("false and $a", False), ("true or $a", True), ("true and $a", WRONG), ("not $a", WRONG),
        ("$missing ?? 5", 5), ("$a ?? 5", "x"), ("$missing ?? $missing", None),
        ("if $b then 1 else 2", 1), ("if $a then 1 else 2", WRONG),
        ("1 + 2 * 3", 7), ("$n + 1", 8), ("$n / 2", 3.5), ("$n % 4", 3), ("-$n", -7), ("$n - 1 < 7", True),
        ("$n / 0 == 1", WRONG), ("$n % ($n - 7)", WRONG), ("$n + $a", WRONG), ("$n + $missing", WRONG),
        ("$n < 8", True), ("$n >= 7", True), ("$n > $a", WRONG), ("$n < $missing", WRONG), ("$a < \"y\"", True),
        ("$n in 1..7", True), ("$n in 1..$n", True), ("$n in 8..9", False), ("7.5 in 7..8", True),
        ("$a in 1..7", WRONG),
        ("$n in [1, 7]", True), ("$b in [1]", False), ("$a in $list", True), ("$n in $list", False),
        ('"k" in $map', True), ('"z" in $map', False), ("$n in $map", WRONG), ("1 in $a", WRONG),
        ("1 in $missing", WRONG),
        ("$list contains \"x\"", True), ("$list contains 1", False), ("$a contains \"x\"", WRONG),
        ('request.path contains "/"', True), ('request.path contains $n', WRONG),
        ('$a starts_with "x"', True), ('request.path starts_with "/"', True), ('request.method ends_with "ST"', True),
        ('$n starts_with "x"', WRONG), ('request.path ends_with $missing', WRONG),
        ('request.method matches r"^P"', True), ('$a matches r"^y"', False), ('$n matches r"7"', WRONG),
        ('$a matches $a', True), ('$a matches "${$a}("', WRONG),
        ("$list[0]", "x"), ("$list[9]", None), ("$list[-1]", None),
        ("$map.k", 1), ("$map[\"k\"]", 1), ("$map.z.y", None),
        ("$a.b", None), ("$list.k", None), ("$map[$n]", None), ("$map[$a]", 2), ("$list[$zero]", "x"),
        ("[1, $n, [$a]]", [1, 7, ["x"]]), ("{ a: $n, \"b c\": $a }", {"a": 7, "b c": "x"}),
        ('"${$n}-${$b}-${1s}-${$a}"', "7-true-1s-x"), ('"${$a}${$a}"', "xx"),
        ('"${$missing}"', ("missing-value", 400)), ('"a${$list}"', WRONG), ('"${$missing ?? "none"}"', "none"),
    ],
)  # fmt: skip
def test_operators(expression: str, found: Any) -> None:
    facts = {"a": "x", "b": True, "n": 7, "zero": 0.0, "list": ["x", "y"], "map": {"k": 1, "x": 2}}
    assert of_json(expression, facts) == found


def test_deep_expressions() -> None:
    """Deeper than Python's parser goes."""
    span = Span(Source("deep", ""), 0, 0)
    one = p.SlotRef(span, t.NUMBER, False, 0, "n")
    expr: p.Expr = one
    for _ in range(400):
        expr = p.BinaryOp(span, t.NUMBER, False, "+", expr, one, False)
    exchange = make_exchange(BenchEnvironment())
    exchange.slots = [1]
    assert compiled(expr)(exchange) == 401


@pytest.mark.parametrize(
    ("expression", "ip", "found"),
    [
        ('client.ip == "10.0.0.1"', "10.0.0.1", True), ('client.ip != "10.0.0.1"', "10.0.0.1", False),
        ('client.ip in ["10.0.0.0/8", "2001:db8::/32"]', "10.9.9.9", True),
        ('client.ip in ["10.0.0.0/8", "2001:db8::/32"]', "2001:db8::1", True),
        ('client.ip in ["10.0.0.0/8"]', "11.0.0.1", False),
        ('not (client.ip in ["10.0.0.0/8"])', "::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_addresses(expression: str, ip: str, found: bool) -> None:
    assert value_of(expression, client=ip) is found


def test_match_on_an_address() -> None:
    policy = Policy('match client.ip {\n"10.0.0.0/8", "192.0.2.7" -> respond 201\nelse -> respond 202\n}')
    assert [policy.handle(client=ip).status for ip in ("10.1.1.1", "192.0.2.7", "192.0.2.8")] == [201, 201, 202]


def test_repeated_values() -> None:
    twice = {"headers": [("X-A", "1"), ("x-a", "2"), ("Host", "a"), ("Host", "b")]}
    assert value_of('request.header["X-A"]', **twice) == "1, 2"
    assert value_of('all(request.header["x-A"])', **twice) == ["1", "2"]
    assert value_of('request.header["Host"]', **twice) == ("repeated-field", 400)
    assert value_of("request.query.a", path="/?a=1&a=2") == ("repeated-field", 400)
    assert value_of("all(request.query.a)", path="/?a=1&b=3&a=2") == ["1", "2"]
    assert value_of("all(request.cookie.a)", headers={"Cookie": "a=1; b=2; a=3"}) == ["1", "3"]
    assert value_of("request.query[request.query.name]", path="/?name=x&x=%C3%A9") == "é"
    assert value_of("request.header[request.query.name]", path="/?name=X-A", **twice) == "1, 2"
    assert value_of("request.query.a", path="/?a=%FF") == ("unreadable-query", 400)


def test_context() -> None:
    policy = Policy("""
        tell.login "ann"
        respond 200, json: [
            user.id, user.roles, user.claims.tier, service.name, gateway.name, gateway.node, client.port, request.host
        ]
    """)
    assert policy.handle().json == ["ann", ["a", "b"], "gold", "s", "bench", "bench-1", 40000, "api.example"]
    assert value_of("[user.id, user.roles, user == none]") == [None, None, True]
    clock = Policy('tell.pause 2s\nrespond 200, json: ["${now}"]').handle()
    assert clock.json == ["2026-01-01T00:00:02.000Z"]


def test_stray_bytes_are_no_defect() -> None:
    """A header's bytes that are no UTF-8."""
    headers = [("X-A", "x")]
    for test in (' matches r"(a|b)c"', "", ' == "x"'):
        expression = f'request.header["X-A"]{test}'
        policy = Policy(f"respond 200, json: {expression}")
        exchange = policy.exchange(headers=headers)
        exchange.request.headers = [(b"x-a", b"X-A", b"\xff\xfe")]
        response = run(policy.tree.handle(exchange))
        assert response.status in (200, 400)
        assert policy.environment.defects == []


# --- keys ---

VALUES = st.recursive(
    st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
    | st.builds(Duration, st.floats(0, 1e6)) | st.builds(Size, st.integers(0, 1 << 40)) | st.binary(),
    lambda inner: st.lists(inner, max_size=4), max_leaves=8,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(VALUES, VALUES)
def test_keys_collide_only_where_values_are_equal(a: Any, b: Any) -> None:
    assert (encoded(a) == encoded(b)) == _same(a, b)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return v.kind_of(a) == v.kind_of(b) and v.same(a, b)


def test_keys() -> None:
    def key(expression: str, **request: Any) -> Any:
        answer = Policy(f"tell.key {expression} -> k\nrespond 200, json: k").handle(**request)
        return answer.json if not answer.name else (answer.name, answer.status)

    assert key("client.ip")[16:] == (b"s" + b"192.0.2.1").hex()
    assert key("request.query.a", path="/?a=1")[16:] == b"s1".hex()
    assert key("request.query.a") == ("missing-value", 400)
    assert key("[request.method, request.query.a]") == ("missing-value", 400)
    assert key("[request.method, request.query.a]", path="/?a=b")[16:] == key("[request.method, \"b\"]")[16:]

    def of(body: bytes) -> Any:
        return key("request.json.a", method="POST", body=body)

    assert of(b'{"a": {}}') == ("wrong-type", 400)
    assert of(b'{"a": 1}') == of(b'{"a": 1.0}') != of(b'{"a": "1"}')
    hidden = key("request.bearer", headers={"Authorization": "Bearer s3cr3t"})
    assert len(hidden) == 50 and b"s3cr3t".hex() not in hidden
    assert hidden != key("request.bearer", headers={"Authorization": "Bearer other"})


def test_same_secret_says_what_equal_says() -> None:
    for a, b in (("x", "x"), ("x", "y"), ("", ""), ("é", "e"), (None, "x"), (Ip("::1"), Ip("::1"))):
        assert v.same_secret(a, b) == v.equal(a, b)


OF_A_MESSAGE = {
    "number": "length(request.path)", "string": "request.path", "list": "all(request.query.l)",
    "duration": "(now - (now - 6s))", "size": "(request.size + 6B)", "time": "(now - 0s)",
}  # fmt: skip
LITERALS = {"number": "4", "string": '"x"', "list": "[1]", "duration": "4s", "size": "4B", "time": "time(4)"}


@pytest.mark.parametrize(("op", "left", "right"), [(op, *pair) for op, pairs in RESULTS.items() for pair in pairs])
def test_what_the_checker_lets_stand_can_be_worked_out(op: str, left: str, right: str) -> None:
    for a, b in ((OF_A_MESSAGE, LITERALS), (LITERALS, OF_A_MESSAGE), (OF_A_MESSAGE, OF_A_MESSAGE)):
        expression = f"{a[left]} {op} {b[right]}"
        found = value_of(expression if left == "list" else f'"${{{expression}}}"')
        assert isinstance(found, list if left == "list" else str), found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('"a" + request.path + "b"', "a/b"), ("[request.path] + [1]", ["/", 1]), ("string(now - (now - 90s))", "90s"),
        ("string(now + 1s - now)", "1s"), ("(now - (now - 3s)) / 2s", 1.5), ("string(2 * (now - (now - 3s)))", "6s"),
        ("string((now - (now - 3s)) / 2)", "1500ms"), ("string(request.size + 1KiB)", "1KiB"),
        ("string((request.size + 10B) * 2.5)", "25B"), ("(request.size + 10B) / 4B", 2.5),
        ("1s + now == now + 1s", True), ("string(0s - (now - (now - 3s)))", "-3s"), ("now - (now - 3s) < 4s", True),
        ("request.size / request.size", WRONG), ("1s / (now - now)", WRONG), ("string(now + 90_000_000h)", WRONG),
        ("string(time(length(request.path) * 253_402_300_800))", WRONG),
    ],
)  # fmt: skip
def test_measures_and_texts_of_a_message(expression: str, found: Any) -> None:
    assert value_of(expression, path="/") == found


def test_what_grows_stays_bounded() -> None:
    with pytest.raises(Failed):
        arithmetic.add("x" * arithmetic.LARGEST_TEXT, "x")
    with pytest.raises(Failed):
        arithmetic.add([1] * arithmetic.LONGEST_LIST, [1])


def test_numbers_stay_bounded() -> None:
    huge = 1 << 1000
    for wrong in (
        lambda: arithmetic.multiply(huge, huge), lambda: arithmetic.add(1e308, 1e308), lambda: arithmetic.divide(1, 0),
        lambda: arithmetic.modulo(1.5, 0), lambda: arithmetic.add(True, 1), lambda: arithmetic.negate(False),
    ):  # fmt: skip
        with pytest.raises(Failed):
            wrong()
    assert arithmetic.divide(huge, huge) == 1
