"""What a permit costs: `python tests/bench/permits_cost.py` (CPU of this process, the best of some rounds).

Prints microseconds of CPU for taking and giving back one permit in LMDB: of a key that nobody else has, of a hot one of
which others have many, and of one that has none left.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policylang.sdk.permits import Wish
from runtime.edge.environment import SystemClock
from runtime.permits.permits import StoredPermits
from runtime.stores.folder import FolderClaim
from runtime.stores.opened import Stores
from runtime.workers.settings import StoreSettings

ROUNDS, CALLS = 7, 20_000


def best(call: Callable[[], object], loop: asyncio.AbstractEventLoop) -> float:
    least = float("inf")
    for _ in range(ROUNDS):
        loop.run_until_complete(asyncio.sleep(0))  # a holder has to be seen to live
        started = time.process_time()
        for _ in range(CALLS):
            call()
        least = min(least, time.process_time() - started)
    return least / CALLS * 1e6


class NoExchange:
    origin = unanswered = None


def main() -> None:
    loop = asyncio.new_event_loop()
    clock = SystemClock(loop)
    with tempfile.TemporaryDirectory() as place:
        claim = FolderClaim.take(Path(place) / "store")
        stores = Stores.open(claim.folder, StoreSettings(), 2, loop, clock, print)
        entries = stores.entries
        exchange: Any = NoExchange()

        def made() -> StoredPermits:
            return StoredPermits(entries, clock, lambda _: None, print, print)

        permits, other = made(), made()
        permits.start()
        other.start()
        wish = Wish(1000)

        def once() -> None:
            permit: Any = permits.acquire(b"12345678sa", wish, exchange)
            permit.release()

        print(f"a key of one's own, taken and given back: {best(once, loop):.1f} us")
        held = [other.acquire(b"12345678sa", wish, exchange) for _ in range(100)]
        print(f"a key that another worker has, too: {best(once, loop):.1f} us")
        more: Any = permits.acquire(b"12345678sa", wish, exchange)
        print(f"a key that both have: {best(once, loop):.1f} us")
        one = Wish(1)
        none = best(lambda: permits.acquire(b"12345678sb", one, exchange), loop)
        first: Any = permits.acquire(b"12345678sb", one, exchange)
        print(f"a key that has none left: {none:.1f} us")
        del held, more, first
        stores.close()
        claim.release()
    loop.close()


if __name__ == "__main__":
    main()
