"""Who is asked while somebody does not answer, and what no map may be named."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest

from policylang.sdk.store import Space
from runtime.cluster.silence import MOST_WATCHED, PROBE, PROBE_GAP, Silence
from runtime.cluster.spaces import TTL_CLASSES, map_name

ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
READ, WRITE = False, True


def test_a_short_stall_silences_nobody() -> None:
    silence = Silence(0.1)
    for number in range(100):
        silence.missed(ONE, number % 3, WRITE, 1.0 + number / 1200)
    assert silence.may_ask(ONE, 0, WRITE, 1.09)
    silence.answered(ONE, 0, WRITE)
    silence.missed(ONE, 0, WRITE, 1.5)
    assert silence.may_ask(ONE, 0, WRITE, 1.5)


def test_a_member_that_hangs_is_asked_now_and_then() -> None:
    silence = Silence(0.1)
    silence.missed(ONE, 1, READ, 1.0)
    silence.missed(ONE, 2, READ, 1.1)
    assert not silence.may_ask(ONE, 3, READ, 1.1), "all that it has"
    assert silence.may_ask(OTHER, 4, READ, 1.1)
    assert silence.may_ask(ONE, 3, WRITE, 1.1), "nobody has missed a change yet"
    asked = [now for now in range(1100, 3100) if silence.may_ask(ONE, now % 7, READ, now / 1000)]
    assert 7 <= len(asked) <= 8 and asked[1] - asked[0] == PROBE * 1000
    silence.answered(ONE, 5, READ)
    assert silence.may_ask(ONE, 3, READ, 3.2) and silence.may_ask(ONE, 3, READ, 3.2)


def test_changes_whose_copy_nobody_takes_are_missed_by_partition() -> None:
    """The owner answers reads and other changes; those of some partitions wait for a copy."""
    silence = Silence(0.1)
    for now in (1.0, 1.1, 1.2):
        for partition in range(20):
            silence.missed(ONE, partition, WRITE, now)
            silence.answered(ONE, partition + 100, WRITE)
    assert silence.may_ask(ONE, 200, WRITE, 1.2) and silence.may_ask(ONE, 5, READ, 1.2)
    probes = [(now, partition) for now in range(1200, 2200, 10) for partition in range(20)
              if silence.may_ask(ONE, partition, WRITE, now / 1000)]  # fmt: skip
    assert len(probes) <= 1 / PROBE_GAP + 1, "however many are silent, few calls wait for them"
    silence.answered(ONE, probes[-1][1], WRITE)
    assert all(silence.may_ask(ONE, partition, WRITE, 2.2) for partition in range(1)), "who answers speaks for others"


def test_misses_long_after_each_other_are_no_silence() -> None:
    silence = Silence(0.1)
    for now in (1.0, 5.0, 9.0):
        silence.missed(ONE, 1, READ, now)
        assert silence.may_ask(ONE, 1, READ, now)
    silence.missed(ONE, 1, READ, 9.5)
    assert not silence.may_ask(ONE, 1, READ, 9.5)


def test_it_does_not_grow_for_ever() -> None:
    silence = Silence(0.1)
    for number in range(3 * MOST_WATCHED):
        silence.missed(None, number, READ, 1.0)
    assert len(silence) <= MOST_WATCHED + 2


@pytest.mark.parametrize(
    ("ttl", "name"), [(0.0, "10s"), (8.0, "10s"), (8.1, "2m"), (86_400.0, "2d"), (366 * 86_400.0, "400d")]
)
def test_a_space_is_in_the_map_that_keeps_it_long_enough(ttl: float, name: str) -> None:
    assert map_name(Space("orders#1", "passing", ttl)) == f"polgate.passing.{name}.orders#1"


def test_nothing_lives_longer_than_any_map() -> None:
    with pytest.raises(ValueError, match="34559998"):
        map_name(Space("x", "lasting", 400 * 86_400))


def test_the_shipped_configuration_has_every_map() -> None:
    text = (Path(__file__).parents[2] / "packaging/hazelcast/member.xml").read_text()
    found = re.findall(r'<map name="polgate\.(\w+)\.(\w+)\.\*">\s*<time-to-live-seconds>(\d+)<.*?<backup-count>(\d)<.*?'
                       r'eviction-policy="(\w+)".*?<merge-policy>(\w+)<(.*?)</map>', text, re.S)  # fmt: skip
    assert {(kind, name, int(ttl)) for kind, name, ttl, *_ in found} == {
        (kind, name, ttl) for kind in ("passing", "lasting", "cache") for name, ttl in TTL_CLASSES.items()
    }
    for kind, _, _, backups, eviction, merge, rest in found:
        assert merge == "PutIfAbsentMergePolicy"
        assert (backups, eviction) == (("0", "LRU") if kind == "cache" else ("1", "NONE"))
        assert ("majority" in rest) == (kind != "cache")
