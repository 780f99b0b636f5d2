"""How the client's connections end: at once.

The client's own way waits until all is written, which a member that hangs never takes: its connection would stay.
"""

from __future__ import annotations

from typing import Any

from hazelcast.internal.asyncio_reactor import AsyncioConnection, HazelcastProtocol


class _Protocol(HazelcastProtocol):
    _transport: Any

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _do_write(self) -> None:
        """What was to be written in this turn of the loop, unless the connection has ended in it."""
        if not self._transport.is_closing():
            super()._do_write()  # type: ignore[no-untyped-call]


class _Connection(AsyncioConnection):
    def _create_protocol(self) -> _Protocol:
        return _Protocol(self)


def connect_with(client: Any) -> None:
    """Let this client make its connections so."""
    reactor = client._reactor

    def connection_factory(manager: Any, number: int, address: Any, config: Any, callback: Any) -> Any:
        return _Connection.create_and_connect(reactor._loop, reactor, manager, number, address, config, callback)

    reactor.connection_factory = connection_factory
