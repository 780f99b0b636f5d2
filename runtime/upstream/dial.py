"""Opening a connection to a server: name to addresses, address to connection, all within one deadline."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from policylang.sdk import Waiter
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import NEVER, Wheel, ticks
from runtime.upstream.connection import UpstreamConnection
from runtime.upstream.failures import timeout, unreachable
from runtime.upstream.settings import ServerAddress

if TYPE_CHECKING:
    from runtime.upstream.pool import Server, UpstreamPool


class Dial:
    """One attempt. `waiter` gets the connection, or Failed. Whoever waits and leaves sets it to None."""

    def __init__(
        self, pool: UpstreamPool, server: Server, waiter: Waiter[UpstreamConnection], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.due = self.seen = NEVER
        self.waiter: Waiter[UpstreamConnection] | None = waiter
        self._pool = pool
        self._server = server
        self._wheel: Wheel = pool.wheel
        self.due = self._wheel.now + ticks(pool.settings.connect)
        self._wheel.hasten(self)
        self._task = loop.create_task(self._run(loop))

    def expired(self) -> None:
        self._task.cancel()

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        address = self._server.address
        try:
            connection = await _connect(loop, address, lambda: UpstreamConnection(self._pool, self._server))
        except asyncio.CancelledError:
            self._pool.dial_failed(self, timeout(f"no connection to {address.text} in time"))
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            self._pool.dial_failed(self, unreachable(f"no connection to {address.text}: {_reason(error)}"))
        else:
            self._pool.dialled(self, connection)
        finally:
            self._wheel.forget(self)


async def _connect(
    loop: asyncio.AbstractEventLoop, address: ServerAddress, factory: Callable[[], UpstreamConnection]
) -> UpstreamConnection:
    """Try the addresses of the server in the resolver's order. Raises OSError of the last one."""
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("the name has no address")
    for _, _, _, _, place in found:
        try:
            _, transport = await loop.create_connection(lambda: LoopTransport(factory()), str(place[0]), int(place[1]))
            return cast(UpstreamConnection, transport.protocol)
        except OSError as error:
            failure = error
    raise failure


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        return (error.strerror or str(error)).lower()
    return "the name has no address"
