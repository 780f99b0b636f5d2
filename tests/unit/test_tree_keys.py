"""Keys of counters and entries: bounded, and no two values have one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk.bench import BenchEnvironment, make_exchange
from policylang.tree.keys import LONGEST, PREFIX_BYTES, key_function, prefix_of, prefixed

PREFIX = prefix_of("c")


def key_of(text: str, **request: Any) -> bytes:
    """The key that `per:` of this text gives."""
    checked = check_text(f'service s "/" {{ rate_limit 1/s, per: {text}\nrespond 204 }}')
    assert checked.program is not None, checked.diagnostics
    (per,) = [b.value for b in checked.program.services[0].body.statements[0].args if b.param.name == "per"]  # type: ignore[union-attr]
    found = key_function(per, "c")(make_exchange(BenchEnvironment(), **request))
    assert isinstance(found, bytes)
    return found


VALUES = st.recursive(
    st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text(min_size=240, max_size=280),
    lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=8,
)  # fmt: skip


def alike(value: Any) -> Any:
    """What is one key: types apart, numbers by value."""
    if isinstance(value, list):
        return "list", tuple(alike(each) for each in value)
    if isinstance(value, (bool, str)):
        return type(value).__name__, value
    return "number", value


@given(VALUES, VALUES)
def test_a_key_is_bounded_and_tells_values_apart(one: Any, other: Any) -> None:
    key = prefixed(PREFIX)
    assert len(key(one)) <= LONGEST and key(one).startswith(PREFIX)
    assert (key(one) == key(other)) == (alike(one) == alike(other))


@pytest.mark.parametrize("size", [LONGEST - PREFIX_BYTES - 2, LONGEST - PREFIX_BYTES - 1, LONGEST - PREFIX_BYTES])
def test_both_ways_to_make_a_key_agree(size: int) -> None:
    text = "x" * size
    known = key_of('"${request.method}/"', method=text)
    perhaps = key_of('request.header["X-Key"] ?? ""', headers={"X-Key": text + "/"})
    assert known == perhaps == prefixed(prefix_of("c"))(text + "/")


def test_a_header_of_32_kib_costs_a_hash() -> None:
    keys = {key_of('request.header["X-Key"] ?? ""', headers={"X-Key": "a" * 32_768 + end}) for end in ("", "b", "c")}
    assert len(keys) == 3
    assert max(map(len, keys)) == PREFIX_BYTES + 1 + 32


def test_a_long_key_is_no_short_one_that_somebody_writes() -> None:
    long = prefixed(PREFIX)("a" * 1000)
    written = prefixed(PREFIX)(long[PREFIX_BYTES:].decode("latin-1"))
    assert long != written
