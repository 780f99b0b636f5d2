"""Opening a connection to a server: name to addresses, address to connection, TLS on it, all within one deadline."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from policylang.sdk import Failed, Waiter
from runtime.edge.transport import LoopTransport
from runtime.edge.wheel import NEVER, Wheel, ticks
from runtime.upstream.connection import UpstreamConnection
from runtime.upstream.failures import timeout, unreachable
from runtime.upstream.resolve import Places, names_of
from runtime.upstream.settings import UpstreamSettings

if TYPE_CHECKING:
    from runtime.tls import ClientTls
    from runtime.upstream.pool import UpstreamPool
    from runtime.upstream.server import Server

_LEAST_TRY: Final = 0.25
"""Seconds for one address while others are left: one that swallows everything must not take the whole time."""

_AGAIN: Final = 60.0
"""Seconds between two lines of the error log that say the same."""
_MOST_TOLD: Final = 100
_LATE: Final = "no connection to the server in time"


class Routes:
    """How the servers of one upstream are reached: their addresses, and TLS where one of them wants it."""

    def __init__(self, settings: UpstreamSettings, loop: asyncio.AbstractEventLoop) -> None:
        """Raises OSError where the files that TLS is made of are gone since the policy was loaded."""
        self._loop = loop
        self._places: dict[str, Places] = {}
        self._told: dict[str, float] = {}
        self.tls: ClientTls | None = None
        if any(address.secure for address in settings.servers):
            from runtime.tls import ClientTls

            try:
                self.tls = ClientTls(settings.tls)
            except ValueError as error:
                raise _Unready(str(error)) from None

    def places(self, host: str) -> Places:
        found = self._places.get(host)
        if found is None:
            found = self._places[host] = Places(names_of(self._loop), host, self._loop.time)
        return found

    @staticmethod
    def of(pool: UpstreamPool, loop: asyncio.AbstractEventLoop) -> Routes:
        """The one of a pool: a matter of whoever opens connections, so it is kept here."""
        found = _ROUTES.get(pool)
        if found is None:
            found = _ROUTES[pool] = Routes(pool.settings, loop)
        return found

    @staticmethod
    def close(pool: UpstreamPool) -> None:
        """The pool is closing: its names and files need not be looked after. (What it still begins finds new ones.)"""
        found = _ROUTES.pop(pool, None)
        if found is not None:
            for places in found._places.values():
                places.close()

    def tell(self, text: str) -> None:
        """Have the operator know, once in a while."""
        from runtime.tls import WATCH

        now = self._loop.time()
        if self._told.get(text, -_AGAIN) + _AGAIN <= now:
            if len(self._told) > _MOST_TOLD:
                self._told.clear()
            self._told[text] = now
            WATCH.tell(text)


_ROUTES: WeakKeyDictionary[UpstreamPool, Routes] = WeakKeyDictionary()


class Dial:
    """One attempt. `waiter` gets the connection, or Failed. Whoever waits and leaves sets it to None."""

    def __init__(
        self, pool: UpstreamPool, server: Server, waiter: Waiter[UpstreamConnection], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.due = self.seen = NEVER
        self.waiter: Waiter[UpstreamConnection] | None = waiter
        self._pool = pool
        self.server = server
        self._loop = loop
        self._wheel: Wheel = pool.wheel
        self.due = self._wheel.now + ticks(pool.settings.connect)
        self._wheel.hasten(self)
        self._task = loop.create_task(self._run())

    def expired(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            connection = await self._connect()
        except asyncio.CancelledError:
            self._pool.dial_failed(self, timeout(_LATE, "connection_timeout"))
        except (OSError, ValueError, TimeoutError) as error:  # ValueError: a name that cannot be one
            self._pool.dial_failed(self, self._failure(error))
        except Exception:
            # A mistake of ours, which the loop's own handler logs: who waits must not do so for ever, nor the pool
            # count a connection that will never be.
            said = "no connection to the server: an error of the gateway's own"
            self._pool.dial_failed(self, unreachable(said, "proxy_internal_error"))
            raise
        else:
            self._pool.dialled(self, connection)
        finally:
            self._wheel.forget(self)

    async def _connect(self) -> UpstreamConnection:
        """Try the server's addresses in turn. Raises OSError or TimeoutError of the last one."""
        routes = Routes.of(self._pool, self._loop)
        places = routes.places(self.server.address.host)
        try:
            addresses = await places.in_turn()
        except OSError as error:
            raise _Unnamed(str(error)) from None
        failure: OSError | TimeoutError = _Unnamed("the name has no address")
        for number, address in enumerate(addresses, 1):
            last = number == len(addresses)
            limit = None if last else max(_LEAST_TRY, self._pool.settings.connect / len(addresses))
            try:
                async with asyncio.timeout(limit):
                    connection = await self._to(address, routes)
            except (OSError, TimeoutError) as error:
                places.failed(address)
                failure = error
            else:
                places.connected(address, connection)
                return connection
        raise failure

    async def _to(self, address: str, routes: Routes) -> UpstreamConnection:
        pool, server, loop = self._pool, self.server, self._loop
        port = server.address.port
        connection = UpstreamConnection(pool, server)
        tls = routes.tls
        if tls is None or not server.address.secure:
            await loop.create_connection(lambda: LoopTransport(connection), address, port)
            return connection
        shaken: asyncio.Future[None] = loop.create_future()
        about = f"of upstream `{pool.name}` at {server.address.text}"

        def tell(reason: str) -> None:
            routes.tell(f"the server {about} has broken TLS off: {reason}")

        _, transport = await loop.create_connection(
            lambda: tls.transport(lambda: connection, server.address.host, shaken, tell), address, port
        )
        try:
            await shaken
        except BaseException:
            transport.abortConnection()
            raise
        return connection

    def _failure(self, error: OSError | ValueError | TimeoutError) -> Failed:
        """What the caller may know of it, and what the log may say."""
        text = self.server.address.text
        if isinstance(error, TimeoutError):
            return timeout(_LATE, "connection_timeout")
        if isinstance(error, ssl.SSLError):
            from runtime.tls.files import reason_of

            reason = reason_of(error)
            if isinstance(error, ssl.SSLCertVerificationError):
                said, kind = "the certificate of the server is not accepted", "tls_certificate_error"
            elif "ALERT" in (getattr(error, "reason", None) or ""):
                said, kind = "the server has refused the TLS handshake", "tls_alert_received"
            else:
                said, kind = "the TLS handshake with the server has failed", "tls_protocol_error"
            Routes.of(self._pool, self._loop).tell(f"no TLS with {text} of upstream `{self._pool.name}`: {reason}")
            return unreachable(said, kind, f"{text}: {reason}")
        if isinstance(error, _Unready):
            return unreachable("TLS with the server cannot be made", "proxy_configuration_error", str(error))
        if isinstance(error, (_Unnamed, ValueError)):
            return unreachable("the name of the server has no address", "dns_error", f"{text}: {error}")
        reason = (error.strerror or str(error)).lower()
        refused = isinstance(error, ConnectionRefusedError)
        kind = "connection_refused" if refused else "destination_unavailable"
        return unreachable(f"no connection to the server: {reason}", kind, f"{text}: {reason}")


class _Unnamed(OSError):
    """There is no address to connect to."""


class _Unready(OSError):
    """TLS cannot be made."""
