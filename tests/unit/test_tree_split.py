"""`split`: who takes which arm, and who changes sides when the shares do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policylang.check import check_text
from policylang.sdk import Failed
from policylang.sdk.bench import BenchEnvironment, make_exchange, run
from policylang.tree import compile_program
from policylang.tree.shares import edges_of, point_of
from policylang.tree.tree import Tree

KEYS = [f"user-{number}" for number in range(1000)]


def compiled(arms: str) -> Tree:
    checked = check_text(f'service s "/" {{\n{arms}\nrespond 200, body: arm }}')
    assert checked.program is not None, checked.diagnostics
    return compile_program(checked.program)


def arms_taken(arms: str, environment: BenchEnvironment) -> list[bytes]:
    tree = compiled(arms)
    return [
        run(tree.handle(make_exchange(environment, headers={"X-User": key}))).body or b"" for key in KEYS
    ]  # fmt: skip


def by_user(*shares: float) -> str:
    arms = "\n".join(f'{share} -> let arm = "{number}"' for number, share in enumerate(shares))
    return f'split by: request.header["X-User"], name: "t" {{\n{arms}\n}}'


def test_a_larger_share_takes_keys_from_its_neighbour_only() -> None:
    environment = BenchEnvironment()
    before, after = arms_taken(by_user(95, 5), environment), arms_taken(by_user(90, 10), environment)
    moved = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert set(moved) == {(b"0", b"1")}
    assert 25 <= len(moved) <= 85  # 50 are expected; this is farther off once in a hundred thousand times
    assert before == arms_taken(by_user(95, 5), environment)


def test_each_arm_gets_its_share() -> None:
    taken = arms_taken(by_user(50, 30, 20), BenchEnvironment())
    assert [round(taken.count(arm) / 100) for arm in (b"0", b"1", b"2")] == [5, 3, 2]


def test_what_is_drawn_anew_asks_the_surroundings() -> None:
    environment = BenchEnvironment()
    drawn = iter([0.0, 0.949, 0.95, 0.999] * 250)
    environment.draw = drawn.__next__
    taken = arms_taken('split {\n95 -> let arm = "0"\n5 -> let arm = "1"\n}', environment)
    assert taken[:4] == [b"0", b"0", b"1", b"1"]


def test_each_split_has_its_own_trial_unless_named() -> None:
    two = '{{\n50 -> let {0} = "0"\n50 -> let {0} = "1"\n}}\n'
    apart = "split by: client.ip " + two.format("a") + "split by: client.ip " + two.format("b")
    named = apart.replace("client.ip", 'client.ip, name: "one"')
    environment = BenchEnvironment()
    pairs = {}
    for text in (apart, named):
        tree = compiled(text + 'let arm = "${a}${b}"')
        pairs[text] = {
            run(tree.handle(make_exchange(environment, client=f"192.0.2.{n}"))).body for n in range(60)
        }  # fmt: skip
    assert pairs[apart] == {b"00", b"01", b"10", b"11"}
    assert pairs[named] == {b"00", b"11"}


@given(st.binary())
@settings(max_examples=200)
def test_a_point_lies_below_one(key: bytes) -> None:
    assert 0 <= point_of(key) < 1


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=8))
def test_edges_ascend_and_leave_the_last_arm_its_share(parts: list[int]) -> None:
    shares = [100 * part / sum(parts) for part in parts]
    edges = edges_of(shares)
    assert len(edges) == len(shares) - 1
    assert all(before <= after for before, after in pairwise(edges))
    assert edges[0] > 0


def test_what_an_upstream_hashes() -> None:
    checked = check_text("""
upstream one {
    server "http://127.0.0.1:9000"
    balance hash, on: [request.header["X-User"], client.ip]
}
upstream two {
    server "http://127.0.0.1:9000"
    balance hash, on: request.bearer
}
upstream three { server "http://127.0.0.1:9000" }
service s "/" { route one else route two else route three }
""")
    assert checked.program is not None, checked.diagnostics
    keys = compile_program(checked.program).upstream_keys
    assert sorted(keys) == ["one", "two"]
    environment = BenchEnvironment()
    ann, bob = (
        make_exchange(environment, headers={"X-User": name, "Authorization": f"Bearer {name}-s3cr3t"})
        for name in ("ann", "bob")
    )
    assert keys["one"](ann) == keys["one"](ann) != keys["one"](bob)
    assert "s3cr3t" not in keys["two"](ann) != keys["two"](bob)
    with pytest.raises(Failed):
        keys["two"](make_exchange(environment))
