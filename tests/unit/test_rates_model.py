"""The embedded store against an exact counter on a virtual clock: generated arrivals, and a skewed trace of clients.

Of the arrivals 40,000 are generated here; with POLGATE_SOAK=1 it is a million.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest
from lease_runs import Exact

from policylang.sdk.store import Limit
from runtime.stores.embedded import EmbeddedStore
from runtime.stores.folder import FolderClaim
from runtime.stores.machine import SWEEP_BUSY, MachineStore

S = 10**9
HOUR = 3600 * S
START = 86_400 * S
ARRIVALS = 1_000_000 if os.environ.get("POLGATE_SOAK") == "1" else 40_000

SCENES: dict[str, tuple[tuple[Limit, ...], tuple[int, ...], float]] = {
    # Limits, costs, how much of the first one is offered.
    "sixty-four": ((Limit(64, S),), (1,), 1.3),
    "a few": ((Limit(5, 60 * S),), (1, 1, 3), 1.5),
    "a thousand": ((Limit(1000, S),), (1,), 1.5),
    "a thousand, and costs": ((Limit(1000, S),), (1, 7, 40), 3.0),
    "a bucket": ((Limit(100, S, 2 * S),), (1,), 1.5),
    "a slow bucket": ((Limit(7, 60 * S, 90 * S),), (1, 2), 1.5),
    "several": ((Limit(20, S, suffix=b"s"), Limit(300, 60 * S, suffix=b"m"), Limit(15, S, 4 * S, b"b")), (1,), 1.2),
    "several large": ((Limit(900, S, suffix=b"s"), Limit(20_000, 60 * S, suffix=b"m")), (1, 2), 1.5),
}
SHARE = ARRIVALS // len(SCENES) + 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MachineStore]:
    claim = FolderClaim.take(tmp_path_factory.mktemp("rates") / "store")
    made = MachineStore(EmbeddedStore.open(claim.folder), lambda text: None)
    yield made
    made.close()
    claim.release()


@pytest.mark.parametrize("name", SCENES)
def test_it_decides_as_an_exact_limiter_does_or_below(store: MachineStore, name: str) -> None:
    limits, costs, offered = SCENES[name]
    key, draw, now = name.encode(), random.Random(name), START
    due, real = Exact(limits), Exact(limits)
    wished = passed = differ = 0
    gap = limits[0].window / limits[0].most / offered * sum(costs) / len(costs)
    for _ in range(SHARE):
        now += int(draw.random() * 3 * limits[0].window if draw.random() < 0.002 else draw.expovariate(1 / gap))
        cost = draw.choice(costs)
        fits = due.fits(now, cost)
        if fits:
            due.take(now, cost)
            wished += cost
        if len(limits) == 1:
            admitted = store.admit(key, *limits[0][:3], now, cost).admitted
        else:
            admitted = all(one.admitted for one in store.admit_all(key, limits, now, cost))
        if admitted:
            assert real.fits(now, cost), "above the limit"
            real.take(now, cost)
            passed += cost
        differ += admitted != fits
    assert passed < sum(costs) / len(costs) * SHARE * 0.98, "nothing was over the limit"
    if all(limit.most <= 64 or limit.burst for limit in limits):
        assert differ == 0
    assert passed >= 0.98 * wished


# --- a trace ---

CLIENTS, REQUESTS, HOURS = 1750, 10_000, 83


def trace(seed: int = 4) -> list[tuple[int, int]]:
    """When who asks: a few clients mostly, most clients hardly ever; in sessions, by day more than by night."""
    draw = random.Random(seed)
    weights = [1 / rank**1.1 for rank in range(1, CLIENTS + 1)]
    counts = Counter(draw.choices(range(CLIENTS), weights, k=REQUESTS - CLIENTS))
    found = []
    for client in range(CLIENTS):
        left = counts[client] + 1
        while left:
            hour = draw.randrange(HOURS)
            if draw.random() > (1.0 if 8 <= hour % 24 < 20 else 0.25):
                continue
            now = hour * HOUR + draw.randrange(HOUR)
            for _ in range(min(left, int(draw.expovariate(1 / 12)) + 1)):
                if now < HOURS * HOUR:
                    found.append((now, client))
                    left -= 1
                now += int(draw.expovariate(1 / (2 * S)))
    return sorted(found)


@pytest.mark.parametrize(
    ("limit", "window"), [(1, S), (3, S), (5, 60 * S), (20, 60 * S), (10, HOUR), (64, HOUR), (40, 24 * HOUR)]
)
def test_a_skewed_trace_passes_exactly_what_an_exact_limiter_passes(
    store: MachineStore, limit: int, window: int
) -> None:
    requests = trace()
    seen = Counter(client for _, client in requests)
    assert len(requests) == REQUESTS and len(seen) == CLIENTS
    assert seen.most_common(1)[0][1] > 500 and sum(1 for count in seen.values() if count <= 3) > CLIENTS // 2
    exact = {client: Exact([Limit(limit, window)]) for client in seen}
    refused, swept = 0, START
    for at, client in requests:
        now = START + at
        while swept < now:
            swept += int((SWEEP_BUSY if store.sweep(now) == SWEEP_BUSY else 60.0) * S)
        fits = exact[client].fits(now, 1)
        if fits:
            exact[client].take(now, 1)
        key = b"%d per %d: client %d" % (limit, window, client)
        assert store.admit(key, limit, window, 0, now).admitted == fits
        refused += not fits
    assert refused > 50
