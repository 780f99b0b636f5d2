"""What a quota costs: `python tests/bench/quota_cost.py` (CPU of this process, the best of some rounds).

Prints microseconds of CPU for one request against a quota on LMDB: granted out of a lease, granted among many keys, and
refused; and how many leases were written for the granted ones, and what one of them takes with its sync.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policylang.sdk import settled
from policylang.sdk.periods import Calendar
from runtime.edge.environment import SystemClock
from runtime.quotas.ledger import Ledger
from runtime.stores.folder import FolderClaim
from runtime.stores.opened import Stores
from runtime.upstream.alone import Alone
from runtime.workers.settings import StoreSettings

ROUNDS, REQUESTS, KEYS = 5, 40_000, 10_000
PLENTY = 10**9


async def run(stores: Stores, clock: SystemClock, loop: asyncio.AbstractEventLoop) -> None:
    ledger = Ledger(stores.entries, stores.machine, stores.gateway, clock, print)
    month = Calendar("month", "Europe/Istanbul").at(clock.wall())

    async def finished(value: Any) -> Any:
        """Drive what may wait, as an exchange would be."""
        done: asyncio.Future[Any] = loop.create_future()

        async def work() -> None:
            done.set_result(await settled(value))

        Alone(work(), lambda error: None if error is None else done.set_exception(error)).advance()
        return await done

    async def spend(key: bytes, limit: int, units: int = 1) -> Any:
        return await finished(ledger.take(key, month, limit, units))

    def best(ask: Callable[[int], object]) -> float:
        least = float("inf")
        for _ in range(ROUNDS):
            started = time.process_time()
            for number in range(REQUESTS):
                ask(number)
            least = min(least, time.process_time() - started)
        return least / REQUESTS * 1e6

    # A lease that holds what the rounds need: what is measured is the request, not the lease.
    for _ in range(30):
        await spend(b"nameless" + b"shot", PLENTY, 1_000_000)
    hot = best(lambda number: ledger.take(b"nameless" + b"shot", month, PLENTY, 1))
    keys = [b"nameless" + b"s%d" % number for number in range(KEYS)]
    for key in keys:
        await spend(key, PLENTY, 1000)
        ledger.give_back(key, month, 1000, 0)
    many = best(lambda number: ledger.take(keys[number % KEYS], month, PLENTY, 1))
    while (await spend(b"nameless" + b"sfull", 10)).granted:
        pass
    refused = best(lambda number: ledger.take(b"nameless" + b"sfull", month, 10, 1))
    print(f"{hot:6.2f} us  granted, one key")
    print(f"{many:6.2f} us  granted, among {KEYS} keys")
    print(f"{refused:6.2f} us  refused, one key")

    calls, began = stores.machine.calls, time.perf_counter()
    for _ in range(20_000):
        await spend(b"nameless" + b"snew", 1_000_000)
    seconds = time.perf_counter() - began
    leases = (stores.machine.calls - calls - 20_000) / 4  # read, record, what is held, and asked once more
    print(f"{leases:6.0f}     leases for 20000 requests of a new key in {seconds:.2f} s, limit 1000000")
    began = time.perf_counter()
    for number in range(200):
        await spend(b"nameless" + b"scold%d" % number, 1_000_000)
    each = (time.perf_counter() - began) / 200 * 1e6
    print(f"{each:6.0f} us  by the clock, the first request of a key, one at a time")


def main() -> None:
    loop = asyncio.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        settings = StoreSettings(path=folder)
        claim = FolderClaim.take(Path(folder), rates_bytes=settings.rates)
        clock = SystemClock(loop)
        stores = Stores.open(claim.folder, settings, 1, loop, clock, print)
        try:
            loop.run_until_complete(run(stores, clock, loop))
        finally:
            stores.close()
            claim.release()


if __name__ == "__main__":
    main()
