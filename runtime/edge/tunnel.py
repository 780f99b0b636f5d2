"""What a connection becomes when client and server have agreed to speak another protocol (RFC 9110 7.8).

The policy has seen the request, and the answer 101. From then on bytes go both ways as they come; whoever is slow has
the other side read no more. Nothing of HTTP is left: a policy that is reloaded changes nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from policylang.sdk import Failure, Field, Kind, Response
from policylang.sdk.hop_by_hop import HOP_BY_HOP
from runtime.edge.stream import WINDOW
from runtime.edge.wheel import NEVER, Wheel
from runtime.wire.write import response_head_bytes

if TYPE_CHECKING:
    from runtime.edge.connection import ServerConnection

STALLED: Final = 300
"""Ticks that the last bytes have to go out."""

_FRAMING: Final = HOP_BY_HOP | {b"content-length"}


class Server(Protocol):
    """The connection to the upstream's server."""

    transport: Any


class Tunnel:
    """Made with the 101, in use from `join` on. `received` and `sent`: bytes from and to the client."""

    __slots__ = (
        "_client", "_client_done", "_early", "_idle", "_life", "_over", "_server", "_server_done", "_server_gone",
        "_wheel", "due", "protocol", "received", "seen", "sent",
    )  # fmt: skip

    def __init__(self, server: Server, protocol: bytes, early: bytes) -> None:
        """`protocol`: of the answer's Upgrade; `early`: what came behind the answer's head."""
        self.due = self.seen = NEVER
        self.protocol = protocol
        self.received = self.sent = 0
        self._server = server
        self._client: ServerConnection | None = None
        self._early = early
        self._server_done = self._client_done = False  # sends no more
        self._server_gone = False
        self._over = False
        self._idle = 0
        self._life = NEVER
        self._wheel: Wheel | None = None  # from `join` on

    def join(self, client: ServerConnection, response: Response, early: bytes) -> None:
        """Answer the client with 101 and connect the two. `early`: what the client has sent behind its request."""
        edge = client.edge
        self._client = client
        self._wheel = wheel = edge.wheel
        self._idle = edge.upgrade_idle_ticks
        self._life = wheel.now + edge.upgrade_life_ticks
        self.due = min(wheel.now + self._idle, self._life)
        wheel.hasten(self)
        lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % self.protocol
        _transport(client).post(response_head_bytes(101, response.headers, lines, drop=_FRAMING))
        if early:
            self.from_client(early)
        if self._early:
            data, self._early = self._early, b""
            self.from_server(data)
        if self._over:
            self._end()
        elif self._server_done:
            _transport(client).loseWriteConnection()
            self._half()
        elif client.congested:
            self.pause_server()
        else:
            self.resume_server()

    def refuse(self) -> None:
        """Nobody wants it: the policy has answered with something else."""
        if self._client is None and not self._over:
            self._over = True
            _transport(self._server).abortConnection()

    # --- bytes ---

    def from_client(self, data: bytes) -> None:
        self.received += len(data)
        self._moved()
        _transport(self._server).post(data)

    def from_server(self, data: bytes) -> None:
        client = self._client
        if client is None:
            self._early += data
            if len(self._early) >= WINDOW:
                self.pause_server()
        else:
            self.sent += len(data)
            self._moved()
            _transport(client).post(data)

    def _moved(self) -> None:
        if not self._over:
            due = self._wheel.now + self._idle  # type: ignore[union-attr]  # a cast would be a call
            self.due = due if due < self._life else self._life

    # --- back pressure: who cannot send what it was given has the other side stop ---

    def pause_server(self) -> None:
        if not self._over and not self._server_done:
            _transport(self._server).pauseProducing()

    def resume_server(self) -> None:
        if not self._over and not self._server_done:
            self._moved()
            _transport(self._server).resumeProducing()

    def pause_client(self) -> None:
        if self._client is not None and not self._over and not self._client_done:
            _transport(self._client).pauseProducing()

    def resume_client(self) -> None:
        if self._client is not None and not self._over and not self._client_done:
            self._moved()
            _transport(self._client).resumeProducing()

    # --- ends ---

    def client_done(self) -> None:
        """The client sends no more, and may still listen."""
        if not self._client_done and not self._over:
            self._client_done = True
            _transport(self._server).loseWriteConnection()
            self._half()

    def server_done(self) -> None:
        if not self._server_done and not self._over:
            self._server_done = True
            if self._client is not None:
                _transport(self._client).loseWriteConnection()
                self._half()

    def _half(self) -> None:
        """One side is done. The other gets less time, as the first may well have closed altogether."""
        if self._client_done and self._server_done:
            self._end()
        elif self._client is not None:
            self._idle = min(self._idle, self._client.edge.idle_ticks)
            self._moved()
            if self.due < self.seen:
                self._client.edge.wheel.hasten(self)

    def client_lost(self) -> None:
        """The connection to the client is no more."""
        self._client = None
        if not self._over:
            self._over = True
            _transport(self._server).abortConnection()
        self._forget()

    def server_lost(self) -> None:
        """The connection to the server is no more: what it has sent still goes out."""
        self._server_gone = True
        if self._wheel is None:
            self._over = True
        elif not self._over:
            self._end()
        self._forget()

    def close(self) -> None:
        """End it for the gateway's own reasons, without a word in a protocol that it does not know."""
        if not self._over:
            self._end()

    def expired(self) -> None:
        client = self._client
        if self._over:
            for connection in (client, None if self._server_gone else self._server):
                if connection is not None:
                    _transport(connection).abortConnection()
            return
        if client is not None and client.exchange is not None and client.exchange.failure is None:
            late = cast(Wheel, self._wheel).now >= self._life
            name, detail = ("upgrade-life", "lived too long") if late else ("upgrade-idle", "was idle for too long")
            client.exchange.failure = Failure(name, 504, f"the upgraded connection {detail}", kind=Kind.ERROR)
        self._end()

    def _end(self) -> None:
        """Close both sides when what was written has gone out."""
        self._over = True
        for connection in (self._client, None if self._server_gone else self._server):
            if connection is not None:
                _transport(connection).loseConnection()
        wheel = cast(Wheel, self._wheel)
        self.due = wheel.now + STALLED
        if self.due < self.seen:
            wheel.hasten(self)

    def _forget(self) -> None:
        if self._client is None and self._server_gone and self._wheel is not None:
            self._wheel.forget(self)


class ChangedProtocol(Response):
    """The answer 101 of an upstream: who gives it to the client opens the tunnel."""

    __slots__ = ("tunnel",)

    def __init__(self, headers: list[Field], tunnel: Tunnel) -> None:
        super().__init__(101, headers)
        self.tunnel = tunnel


def _transport(connection: Any) -> Any:
    return connection.transport
