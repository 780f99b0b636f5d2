"""What a reload replaces is gone: gc.freeze would keep for ever what only the collector could free."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.edge.environment import SystemClock
from runtime.edge.loop import new_loop
from runtime.observe.events import EventLog
from runtime.stores.folder import FolderClaim
from runtime.stores.opened import Stores
from runtime.upstream.pool import UpstreamPool
from runtime.workers.gateway import Gateway, compile_policy
from runtime.workers.policy import Reader, pack
from runtime.workers.settings import StoreSettings

POLICY = """
gateway {
    access_log "off"
    admin "off"
}

upstream one {
    server "http://127.0.0.1:PORT"
    health path: "/health"
}

service a "/a/{id}" {
    match request.header["X-Tier"] {
        "gold" -> rate_limit 500/s, per: path.id
        else -> any {
            require request.query.page == "NUMBER"
            require path.id matches r"[a-z]+"
        }
    }
    for x in [1, 2, 3] { require x < 9 }
    try { route one } catch e { respond 503, body: "${e.name}" }
}
"""


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[FolderClaim]:
    taken = FolderClaim.take(tmp_path / "store", rates_bytes=1 << 20)
    yield taken
    taken.release()


@pytest.mark.parametrize("moving", [False, True], ids=["same upstream", "another upstream"])
def test_policies_and_pools_that_were_replaced_are_freed(tmp_path: Path, claim: FolderClaim, moving: bool) -> None:
    loop = new_loop()
    stores = Stores.open(claim.folder, StoreSettings(), 1, loop, SystemClock(loop), print)
    enabled = gc.isenabled()
    gc.disable()

    def policy(number: int) -> None:
        port = 1000 + (number if moving else 0)
        text = POLICY.replace("NUMBER", str(number)).replace("PORT", str(port))
        (tmp_path / "policy.pol").write_text(text)
        compiled = compile_policy(pack(Reader([str(tmp_path / "policy.pol")]).load()))
        if number:
            gateway.prepare(compiled)
            gateway.install(compiled)
        else:
            made.append(Gateway(loop, stores, EventLog("test"), compiled))

    made: list[Gateway] = []
    try:
        policy(0)
        gateway = made[0]
        counts = []
        for number in range(1, 13):
            policy(number)
            counts.append(gc.get_freeze_count())
        # What is remembered of places, numbers and texts may grow a little at first.
        assert counts[-1] - counts[5] < 60, counts
        gc.unfreeze()
        assert sum(type(one) is UpstreamPool for one in gc.get_objects()) == 1
        loop.run_until_complete(gateway.cut())
        gateway.telemetry.close()
    finally:
        stores.close()
        loop.close()
        gc.unfreeze()
        if enabled:
            gc.enable()
