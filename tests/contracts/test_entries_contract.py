"""What every store of entries keeps to: in memory, on this machine, in a cluster of one member and of three."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from types import CoroutineType

import pytest
from opened_entries import Opened, in_cluster, in_memory, on_machine

from policylang.sdk.store import UNKNOWN, Change, Changed, Space

IMPLEMENTATIONS = ("memory", "machine", "one member", "three members")
KINDS = ("passing", "lasting", "cache")


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    if request.param == "memory":
        made = in_memory()
    elif request.param == "machine":
        made = on_machine(tmp_path_factory.mktemp("entries"))
    else:
        members = request.getfixturevalue("_one" if request.param == "one member" else "_three")
        members.heal()
        made = in_cluster(members)
    with made as found:
        yield found


@pytest.fixture
def store(opened: Opened) -> Opened:
    opened.clock.offset = 0.0
    return opened


@pytest.fixture(params=KINDS)
def space(request: pytest.FixtureRequest) -> Space:
    """One that no other test uses: clusters are shared."""
    return Space(f"t-{secrets.token_hex(6)}", request.param, 60.0)


def put(value: bytes | None, ttl: float | None = None) -> Change:
    return lambda before: Changed(before, value, ttl)


def add_one(before: bytes | None) -> Changed:
    number = int(before or b"0") + 1
    return Changed(number, b"%d" % number)


def keep(before: bytes | None) -> Changed:
    return Changed("kept", before)


def test_what_was_put_is_read_and_what_was_not_is_not(store: Opened, space: Space) -> None:
    entries = store.entries
    assert store.ask(entries.read(space, b"ann")) is None
    assert store.ask(entries.update(space, b"ann", put(b"1"))) is None
    assert store.ask(entries.update(space, b"ann", put(b"2"))) == b"1"
    assert store.ask(entries.read(space, b"ann")) == b"2"
    assert store.ask(entries.read(space, b"an")) is None
    assert type(store.ask(entries.read(space, b"ann"))) is bytes


def test_spaces_and_kinds_are_apart(store: Opened) -> None:
    name = secrets.token_hex(6)
    spaces = [Space(name, kind, 60.0) for kind in KINDS] + [Space(name + "x", "passing", 60.0)]  # type: ignore[arg-type]
    for number, each in enumerate(spaces):
        store.ask(store.entries.update(each, b"k", put(b"%d" % number)))
    assert [store.ask(store.entries.read(each, b"k")) for each in spaces] == [b"0", b"1", b"2", b"3"]


def test_concurrent_changes_are_all_made_once(store: Opened, space: Space) -> None:
    answers = store.all(*(store.entries.update(space, b"n", add_one) for _ in range(300)))
    assert sorted(answers) == list(range(1, 301))
    assert store.ask(store.entries.read(space, b"n")) == b"300"


def test_the_bytes_are_exact(store: Opened, space: Space) -> None:
    for value in (b"", b"\0", bytes(range(256)), "Zoë €".encode(), b"\x80\x04N."):
        store.ask(store.entries.update(space, b"k", put(value)))
        assert store.ask(store.entries.read(space, b"k")) == value
    # Nothing and something empty are two things.
    assert store.ask(store.entries.update(space, b"k", put(None))) == b"\x80\x04N."
    assert store.ask(store.entries.read(space, b"k")) is None
    assert store.ask(store.entries.update(space, b"k", put(b""))) is None
    assert store.ask(store.entries.update(space, b"k", put(b"x"))) == b""


@pytest.mark.parametrize("length", [1, 2, 511, 512, 10_000])
def test_keys_of_any_length_are_kept_apart(store: Opened, space: Space, length: int) -> None:
    one, other = b"\xff" * (length - 1) + b"1", b"\xff" * (length - 1) + b"\0"
    store.ask(store.entries.update(space, one, put(b"one")))
    assert store.ask(store.entries.read(space, other)) is None
    assert store.ask(store.entries.read(space, one)) == b"one"


@pytest.mark.parametrize("size", [100_000, 1 << 20])
def test_large_values(store: Opened, space: Space, size: int) -> None:
    value = secrets.token_bytes(size)
    store.ask(store.entries.update(space, b"k", put(value)))
    assert store.ask(store.entries.read(space, b"k")) == value
    assert store.ask(store.entries.update(space, b"k", put(value[::-1]))) == value
    assert store.ask(store.entries.read(space, b"k")) == value[::-1]


@pytest.mark.parametrize("guess", [None, b"5", b"wrong", UNKNOWN], ids=["nothing", "right", "wrong", "none"])
@pytest.mark.parametrize("there", [b"5", None], ids=["there", "not there"])
def test_no_guess_changes_the_outcome(store: Opened, space: Space, guess: object, there: bytes | None) -> None:
    entries = store.entries
    if there is not None:
        store.ask(entries.update(space, b"k", put(there)))
    assert store.ask(entries.update(space, b"k", keep, guess)) == "kept"  # type: ignore[arg-type]
    assert store.ask(entries.read(space, b"k")) == there
    expected = int(there or b"0") + 1
    assert store.ask(entries.update(space, b"k", add_one, guess)) == expected  # type: ignore[arg-type]
    assert store.ask(entries.read(space, b"k")) == b"%d" % expected
    assert store.ask(entries.update(space, b"k", put(None), guess)) == b"%d" % expected  # type: ignore[arg-type]
    assert store.ask(entries.read(space, b"k")) is None


def test_a_change_that_only_the_wrong_guess_cannot_take_is_made(store: Opened, space: Space) -> None:
    def needs(before: bytes | None) -> Changed:
        assert before is not None
        return Changed(before, before + b"!")

    store.ask(store.entries.update(space, b"k", put(b"a")))
    assert store.ask(store.entries.update(space, b"k", needs, None)) == b"a"
    assert store.ask(store.entries.read(space, b"k")) == b"a!"


def test_what_a_change_raises_reaches_its_caller_and_changes_nothing(store: Opened, space: Space) -> None:
    def fail(_: bytes | None) -> Changed:
        raise ZeroDivisionError

    store.ask(store.entries.update(space, b"k", put(b"a")))
    with pytest.raises(ZeroDivisionError):
        store.ask(store.entries.update(space, b"k", fail))
    assert store.ask(store.entries.read(space, b"k")) == b"a"


def test_an_entry_lives_as_long_as_its_space_or_its_own_time(store: Opened, space: Space) -> None:
    entries = store.entries
    store.ask(entries.update(space, b"short", put(b"1", 10.0)))
    store.ask(entries.update(space, b"long", put(b"1")))
    store.ask(entries.update(space, b"longer", put(b"1", 1e9)))
    store.clock.offset = 9.0
    assert store.ask(entries.read(space, b"short")) == b"1"
    store.ask(entries.update(space, b"short", keep))  # what is left as it is lives no longer
    store.clock.offset = 11.0
    assert store.ask(entries.read(space, b"short")) is None
    assert store.ask(entries.update(space, b"short", add_one)) == 1
    assert store.ask(entries.read(space, b"long")) == b"1"
    store.clock.offset = 59.0
    assert store.ask(entries.read(space, b"longer")) == b"1"
    store.clock.offset = 61.5
    assert store.ask(entries.read(space, b"long")) is None
    assert store.ask(entries.read(space, b"longer")) is None
    assert store.ask(entries.read(space, b"short")) == b"1"


@pytest.mark.parametrize("value", [b"", b"1", b"12"])
def test_an_equal_value_lives_anew_and_the_very_one_that_was_given_does_not(
    store: Opened, space: Space, value: bytes
) -> None:
    # Of a value of one byte or none Python has one object only.
    entries = store.entries
    for name in (b"kept", b"renewed"):
        store.ask(entries.update(space, name, put(value, 10.0)))
    store.clock.offset = 6.0
    store.ask(entries.update(space, b"kept", keep))
    store.ask(entries.update(space, b"renewed", put(value, 10.0)))
    store.clock.offset = 12.0
    assert store.ask(entries.read(space, b"kept")) is None
    assert store.ask(entries.read(space, b"renewed")) == value


def test_removed_and_made_again(store: Opened, space: Space) -> None:
    entries = store.entries
    for _ in range(3):
        assert store.ask(entries.update(space, b"k", put(b"a"))) is None
        assert store.ask(entries.update(space, b"k", put(None))) == b"a"
    assert store.ask(entries.update(space, b"k", put(None))) is None
    assert store.ask(entries.read(space, b"k")) is None


def test_a_listing_goes_on_where_it_left_off(store: Opened, space: Space) -> None:
    entries = store.entries
    store.all(*(entries.update(space, b"%03d" % number, put(b"v%d" % number)) for number in range(120)))
    store.ask(entries.update(space, b"gone", put(None)))
    store.ask(entries.update(space, b"zz", put(b"old", 1.0)))
    store.clock.offset = 2.0
    found: list[tuple[bytes, bytes]] = []
    while page := store.ask(entries.scan(space, found[-1][0] if found else b"", 50)):
        assert len(page) <= 50
        found += page
    assert found == [(b"%03d" % number, b"v%d" % number) for number in range(120)]
    assert store.ask(entries.scan(Space("nothing", space.kind, 60.0))) == []


def test_a_caller_may_leave(store: Opened, space: Space) -> None:
    """Its evaluation was cancelled: the change is made or not, and the next one is made all the same."""

    async def leave() -> None:
        coroutine = store.entries.update(space, b"n", add_one)
        if isinstance(coroutine, CoroutineType):
            with contextlib.suppress(StopIteration):
                coroutine.send(None)
            coroutine.close()

    store.loop.run_until_complete(leave())
    left = store.ask(store.entries.update(space, b"n", add_one))
    assert left in (1, 2)
