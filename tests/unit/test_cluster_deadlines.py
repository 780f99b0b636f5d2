"""Deadlines that are all equally long."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from runtime.cluster.deadlines import GRAIN, Deadlines


class Awaited:
    def __init__(self, clock: asyncio.AbstractEventLoop) -> None:
        self.over = False
        self.expired: list[float] = []
        self._clock = clock

    def expire(self) -> None:
        self.over = True
        self.expired.append(self._clock.time())


def test_each_ends_once_and_in_time_unless_it_is_over() -> None:
    seconds = 0.08

    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, seconds)
        began, made = [], []
        for number in range(10):
            one = Awaited(loop)
            began.append(loop.time())
            made.append(one)
            deadlines.add(one)
            one.over = number % 3 == 0
            await asyncio.sleep(0.01)
        end = loop.time() + 10
        while not all(one.over for one in made):
            assert loop.time() < end
            await asyncio.sleep(0.01)
        for number, one in enumerate(made):
            assert len(one.expired) == (number % 3 != 0)
            # A busy machine may be later; it is never earlier.
            assert all(moment - began[number] >= seconds * 0.99 for moment in one.expired)

    asyncio.run(run())
    assert GRAIN > 1


def test_what_is_over_is_not_kept() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, 60.0)
        one = Awaited(loop)
        kept = weakref.ref(one)
        deadlines.add(one)
        one.over = True
        del one
        deadlines.add(Awaited(loop))
        assert kept() is None

    asyncio.run(run())


def test_a_defect_after_one_deadline_leaves_the_others() -> None:
    class Broken(Awaited):
        def expire(self) -> None:
            self.over = True
            raise ZeroDivisionError

    async def run() -> None:
        loop = asyncio.get_running_loop()
        defects: list[Any] = []
        loop.set_exception_handler(lambda _, context: defects.append(context["exception"]))
        deadlines = Deadlines(loop, 0.01)
        broken, last = Broken(loop), Awaited(loop)
        deadlines.add(broken)
        deadlines.add(last)
        end = loop.time() + 10
        while not last.over:
            assert loop.time() < end
            await asyncio.sleep(0.005)
        assert [type(one) for one in defects] == [ZeroDivisionError]

    asyncio.run(run())
