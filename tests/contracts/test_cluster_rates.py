"""Rates that holders lease from real members: by the clock, with the members there, frozen, and back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from typing import Any

import pytest
from members import Members
from opened_entries import Opened, in_cluster

from policylang.sdk import Unavailable
from policylang.sdk.store import Limit
from runtime.cluster.entries import ClusterEntries
from runtime.leases.rates import ClusterRates

S = 10**9
DEADLINE = 0.1
SLACK = 1.0
"""Seconds that a busy machine may add to a deadline."""


class Offer:
    """`holders` that are asked in turn. `log`: when something passed; `slowest`: seconds that a decision took."""

    def __init__(self, opened: Opened, holders: int = 3) -> None:
        assert opened.cluster is not None
        self.opened = opened
        self.said: list[str] = []
        self.rates = [
            ClusterRates(
                ClusterEntries(opened.cluster, opened.clock), None, opened.clock, opened.loop,  # type: ignore[arg-type]
                secrets.token_bytes(8), holders, DEADLINE, self.said.append,
            )
            for _ in range(holders)
        ]  # fmt: skip
        self.key = secrets.token_bytes(8)
        self.log: list[int] = []
        self.refused = self.away = self.alone = 0
        self.slowest = 0.0

    async def go(self, limit: int, pace: float, seconds: float, burst: int = 0) -> None:
        loop = self.opened.loop
        end, turn, tasks = loop.time() + seconds, 0, []
        at = loop.time()
        while at < end:
            turn += 1
            tasks.append(loop.create_task(self.ask(self.rates[turn % len(self.rates)], limit, burst)))
            at += 1 / pace
            await asyncio.sleep(max(0.0, at - loop.time()))
        await asyncio.gather(*tasks)

    async def ask(self, rates: ClusterRates, limit: int, burst: int) -> None:
        began = time.monotonic_ns()
        try:
            decision: Any = await self.opened.drive(rates.admit(self.key, limit, S, burst, began))
        except Unavailable:
            self.away += 1
            decision = rates.alone.admit(self.key, limit, S, burst, time.monotonic_ns())
            self.alone += decision.admitted
        self.slowest = max(self.slowest, (time.monotonic_ns() - began) / S)
        if decision.admitted:
            self.log.append(time.monotonic_ns())
        else:
            self.refused += 1

    def most(self) -> int:
        """The most that passed in any window."""
        window: deque[int] = deque()
        most = 0
        for at in sorted(self.log):
            window.append(at)
            while window[0] + S <= at:
                window.popleft()
            most = max(most, len(window))
        return most

    def close(self) -> None:
        for one in self.rates:
            one.close()


@pytest.mark.parametrize("limit", [20, 200])
def test_holders_of_one_limit_keep_to_it(one_member: Members, limit: int) -> None:
    with in_cluster(one_member) as opened:
        offer = Offer(opened)
        opened.loop.run_until_complete(asyncio.wait_for(offer.go(limit, 2.5 * limit, 2.5), 30))
        offer.close()
    assert offer.away == 0 and offer.refused > limit
    assert offer.most() <= limit
    assert len(offer.log) >= 2 * limit


def test_a_bucket_of_several_holders_keeps_to_its_size(one_member: Members) -> None:
    limit, burst, seconds = 50, 2 * S, 2.0
    with in_cluster(one_member) as opened:
        offer = Offer(opened)
        opened.loop.run_until_complete(asyncio.wait_for(offer.go(limit, 4 * limit, seconds, burst), 30))
        offer.close()
    log = sorted(offer.log)
    assert 2 * limit <= len(log)
    for first in range(0, len(log), 7):
        for last in range(first, len(log), 7):
            assert (last - first + 1) * S <= limit * (log[last] - log[first] + burst) + S


def test_several_limits_count_together(one_member: Members) -> None:
    limits = [Limit(10, S, suffix=b"s"), Limit(6, 60 * S, suffix=b"m")]
    with in_cluster(one_member) as opened:
        offer = Offer(opened)
        passed = 0
        for turn in range(12):
            rates = offer.rates[turn % 3]
            decisions = opened.ask(rates.admit_all(offer.key, limits, time.monotonic_ns()))
            passed += all(one.admitted for one in decisions)
        left = opened.ask(offer.rates[0].admit(offer.key + b"m", 6, 60 * S, 0, time.monotonic_ns(), count=False))
        offer.close()
    assert passed == 6 and left.remaining == 0


def test_frozen_members_hold_up_nobody_and_each_keeps_to_its_share(one_member: Members) -> None:
    limit = 30
    with in_cluster(one_member, DEADLINE) as opened:
        offer = Offer(opened)
        for one in offer.rates:
            one.start()

        async def story() -> None:
            await offer.go(limit, 2 * limit, 1.0)
            one_member[0].freeze()
            await offer.go(limit, 3 * limit, 3.0)
            assert offer.alone > 0 and all(one.away for one in offer.rates)
            one_member[0].resume()
            end = opened.loop.time() + 20
            while any(one.away for one in offer.rates):
                assert opened.loop.time() < end, "the rates do not come back"
                await asyncio.sleep(0.05)
            before = offer.away
            await offer.go(limit, 2 * limit, 1.0)
            assert offer.away - before < limit

        opened.loop.run_until_complete(asyncio.wait_for(story(), 60))
        offer.close()
    assert offer.slowest < DEADLINE + SLACK
    assert offer.most() < 2 * limit
    assert {"the store answers again: rates are shared"} < set(offer.said)
