"""RateLimit and RateLimit-Policy are what RFC 9651 and the draft's examples say.

The reader that judges is itself judged first, by the suite of structured fields.
"""

from __future__ import annotations

import base64
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from conformance.structured_fields import Date, Text, Token, parse
from hypothesis import given
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk.bench import BenchEnvironment, make_exchange, run
from policylang.sdk.limits_told import ALONE, EXCEEDED, UNCOUNTED, LimitPolicy, add_limit_fields, tell
from policylang.tree import compile_program

SUITES = Path(os.environ.get("POLGATE_SUITES", Path(__file__).parents[3] / "shared/suites"))
with_suites = pytest.mark.skipif(not SUITES.is_dir(), reason=f"no conformance suites at {SUITES}: set POLGATE_SUITES")

# --- the reader ---


def plain(value: Any) -> Any:
    """As the suite writes it."""
    if isinstance(value, Token):
        return {"__type": "token", "value": value.text}
    if isinstance(value, Date):
        return {"__type": "date", "value": value.seconds}
    if isinstance(value, Text):
        return {"__type": "displaystring", "value": value.text}
    if isinstance(value, bytes):
        return {"__type": "binary", "value": base64.b32encode(value).decode()}
    return float(value) if isinstance(value, Decimal) else value


def item(found: Any) -> Any:
    value, parameters = found
    shown = [item(each) for each in value] if isinstance(value, list) else plain(value)
    return [shown, [[key, plain(each)] for key, each in parameters.items()]]


def shown(kind: str, found: Any) -> Any:
    if kind == "item":
        return item(found)
    if kind == "list":
        return [item(each) for each in found]
    return [[key, item(each)] for key, each in found.items()]


@with_suites
def test_the_reader_reads_what_the_suite_says() -> None:
    wrong, count = [], 0
    for path in sorted((SUITES / "structured-field-tests").glob("*.json")):
        for case in json.loads(path.read_text()):
            count += 1
            try:
                found = shown(case["header_type"], parse(case["header_type"], case["raw"]))
            except ValueError as error:
                if not case.get("must_fail") and not case.get("can_fail"):
                    wrong.append(f"{path.stem}, {case['name']}: refused, {error}")
                continue
            if case.get("must_fail"):
                wrong.append(f"{path.stem}, {case['name']}: accepted as {found}")
            elif found != case["expected"]:
                wrong.append(f"{path.stem}, {case['name']}: {found}, not {case['expected']}")
    assert count > 1500
    assert not wrong, "\n".join(wrong)


# --- the draft's examples ---

_LINE = re.compile(r"^ *(RateLimit(?:-Policy)?): ?(\S.*)$", re.M)


def examples() -> list[tuple[str, str]]:
    texts = json.loads((SUITES / "ratelimit-headers/examples.json").read_text())["examples"]
    return [found for text in texts for found in _LINE.findall(text)]


@with_suites
def test_what_the_draft_shows_is_what_we_would_write() -> None:
    """Each example that names its limits by strings and says no more than we ever do, written from its numbers."""
    ours, others = 0, []
    for name, text in examples():
        members = parse("list", [text])
        written = []
        for value, parameters in members:
            if name == "RateLimit-Policy" and isinstance(value, str) and parameters.keys() == {"q", "w"}:
                written.append(LimitPolicy(value, parameters["q"], parameters["w"]).said.decode())
            elif name == "RateLimit" and isinstance(value, str) and parameters.keys() == {"r", "t"}:
                exchange = make_exchange(BenchEnvironment())
                tell(exchange, LimitPolicy(value, 1, 1), parameters["r"], parameters["t"])
                written.append(field_of(exchange, "RateLimit"))
        if len(written) < len(members):
            others.append(text)
            continue
        ours += 1
        assert parse("list", [", ".join(written)]) == members
        assert ", ".join(written) == re.sub(", *", ", ", text)
    # Those with a partition key, another unit, a parameter of their own, or tokens for names.
    assert ours >= 20 and len(others) <= 12, others


@with_suites
def test_a_refusal_is_the_problem_that_the_draft_shows() -> None:
    texts = json.loads((SUITES / "ratelimit-headers/examples.json").read_text())["examples"]
    example = next(text for text in texts if "violated-policies" in text)
    ask = answers('rate_limit 1/s, per: "", name: "default"\nrespond 204')
    ask()
    status, fields, body = ask()
    assert status == 429 and int(fields["retry-after"][0]) >= 1
    assert orjson.loads(body)["type"] in example
    assert orjson.loads(body)["violated-policies"] == ["default"]
    assert f'"violated-policies": {json.dumps(orjson.loads(body)["violated-policies"])}' in example


# --- what we write ---


def field_of(exchange: Any, name: str) -> str:
    add_limit_fields(exchange, exchange.limits)
    return next(value.decode() for _, field, value in exchange.fields if field.decode() == name)


NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), min_size=1, max_size=20)
POLICIES = st.lists(
    st.builds(
        LimitPolicy, st.one_of(st.sampled_from(["default", "default-2", "gold"]), NAMES), st.integers(1, 2**31 - 1),
        st.one_of(st.none(), st.integers(1, 86_400)), shown=st.booleans(), also_x=st.booleans(),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(POLICIES, st.data())
def test_whatever_limits_there_are_the_fields_can_be_read(policies: list[LimitPolicy], data: st.DataObject) -> None:
    exchange = make_exchange(BenchEnvironment())
    for _ in range(data.draw(st.integers(1, 12))):
        policy = data.draw(st.sampled_from(policies))
        word = data.draw(st.sampled_from(["", "", EXCEEDED, ALONE, UNCOUNTED]))
        tell(exchange, policy, data.draw(st.integers(0, policy.quota)), data.draw(st.floats(0, 86_400)), word)
    assert exchange.limits is not None
    add_limit_fields(exchange, exchange.limits)
    fields = [name.decode() for _, name, _ in exchange.fields or ()]
    assert len(fields) == len(set(fields)), "one field each"
    values = {name.decode(): value.decode() for _, name, value in exchange.fields or ()}
    told = parse("list", [values.get("RateLimit-Policy", "")])
    left = parse("list", [values.get("RateLimit", "")])
    names = [name for name, _ in told]
    assert len(names) == len(set(names)), "no name stands for two"
    quotas = {name: parameters["q"] for name, parameters in told}
    for name, parameters in left:
        assert 0 <= parameters["r"] <= quotas[name] and isinstance(parameters["t"], int) and parameters["t"] >= 0
    assert len({name for name, _ in left}) == len(left)
    for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
        assert name not in values or isinstance(parse("item", [values[name]])[0], int)


def answers(body: str) -> Any:
    checked = check_text(f'service s "/x" {{\n{body}\n}}')
    assert checked.program is not None, [d.message for d in checked.diagnostics]
    tree, environment = compile_program(checked.program), BenchEnvironment()

    def ask() -> tuple[int, dict[str, list[str]], bytes]:
        response = run(tree.handle(make_exchange(environment, path="/x")), environment.clock)
        fields: dict[str, list[str]] = {}
        for name, _, value in response.headers:
            fields.setdefault(name.decode(), []).append(value.decode())
        return response.status, fields, response.body or b""

    return ask


def test_all_limits_of_an_answer_stand_in_one_field_each() -> None:
    ask = answers(
        'rate_limit [5/s, 50/min], name: "tiers"\n'
        'parallel {\n    rate_limit 7/s, per: "a"\n    rate_limit 8/s, per: "b"\n}\n'
        'for each in [1, 2, 3] { rate_limit 9/hour, per: each, name: "each" }\n'
        'respond 204'
    )
    status, fields, _ = ask()
    assert status == 204
    assert parse("list", fields["ratelimit-policy"]) == [
        ("tiers-s", {"q": 5, "w": 1}), ("tiers-min", {"q": 50, "w": 60}), ("default", {"q": 7, "w": 1}),
        ("default-2", {"q": 8, "w": 1}), ("each", {"q": 9, "w": 3600}),
    ]  # fmt: skip
    assert [(name, found["r"]) for name, found in parse("list", fields["ratelimit"])] == [
        ("tiers-s", 4), ("tiers-min", 49), ("default", 6), ("default-2", 7), ("each", 8)
    ]  # fmt: skip
    assert len(fields["ratelimit"]) == len(fields["ratelimit-policy"]) == 1
