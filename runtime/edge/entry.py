"""From a request's head to the exchange that the policy evaluates."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from policylang.sdk import Client, Exchange, Field
from policylang.sdk.paths import BadPath, normal_path
from runtime.edge.forwarded import believe
from runtime.edge.forwarding import NOTICED, Seen, inspect, opening
from runtime.edge.peer import Peer
from runtime.edge.request import ReceivedRequest, Trace
from runtime.edge.stream import BodyStream
from runtime.wire.fields import HTTP_1_1
from runtime.wire.limits import WireError
from runtime.wire.memo import KnownFields, Rest
from runtime.wire.request import RequestHead

if TYPE_CHECKING:
    from runtime.edge.edge import Edge


KEPT = 4096
"""How many clients behind trusted proxies are remembered; then all are forgotten."""
LONGEST = 512
"""Bytes of what proxies say that is remembered."""

Edits: TypeAlias = tuple[list[Field], tuple[bytes, ...], tuple[Field, ...], Rest]
"""As `ReceivedRequest.edits` has it."""


def _keep(known: KnownFields, seen: Seen, trusted: bool) -> tuple[list[Field], Edits | None]:
    """Keep with the fields what the closer look has found, as it will be the same whenever they come again."""
    headers: list[Field] = known.headers
    edits: Edits | None = None
    if seen.dropped:
        rest = known.without(seen.dropped)
        headers = seen.headers if rest is None else rest.headers
        if rest is not None:
            edits = headers, seen.dropped, (), rest
    known.looked[trusted] = seen, headers, edits
    return headers, edits


class Entry:
    """Makes the exchanges of one connection; what is the same for all of them is made once.

    `client`: of requests for which no trusted proxy speaks. `trusted`: the peer is one. `timed`: it gets Server-Timing.
    """

    __slots__ = ("_edge", "_host", "_new_id", "_opening", "client", "host", "peer", "timed", "trusted")

    def __init__(self, edge: Edge, peer: Peer) -> None:
        self._edge = edge
        self._new_id = edge.ids.new
        self.peer = peer
        self.look()
        self.client = Client(peer.ip, peer.port, peer.cert)
        self._host: bytes | None = None
        self.host = ""  # of the last request
        self._opening = b""

    def look(self) -> None:
        self.trusted = self.peer.ip in self._edge.trusted
        self.timed = self.peer.ip in self._edge.timed

    def exchange(self, head: RequestHead, body: bytes | None, source: BodyStream | None) -> Exchange:
        """Raises WireError for a path that has no normal form, and for a request that goes round in circles."""
        edge = self._edge
        path = head.path
        if path != b"*":
            try:
                path = normal_path(path)
            except BadPath as why:
                raise WireError(400, "bad-path", f"the path is refused: {why}") from None
        headers = head.headers
        known = head.known
        seen = edits = None
        if known is None or known.closer:
            if known is not None and self.trusted in known.looked:
                seen, headers, edits = known.looked[self.trusted]
            else:
                for field in headers:
                    if field[0] in NOTICED:
                        seen = inspect(headers, self.trusted)
                        headers = seen.headers
                        if known is not None:
                            headers, edits = _keep(known, seen, self.trusted)
                        break
            if head.connection:
                headers = [field for field in headers if field[0] not in head.connection]
            if known is not None and headers is known.headers and seen is None:
                known.closer = False
        version = "1.1" if head.version is HTTP_1_1 else "1.0"
        if head.host is not self._host or version != "1.1":
            # What goes upstream names the version: a request of HTTP/1.0 leaves nothing to the next one.
            self._host = head.host if version == "1.1" else None
            self.host = head.host.decode()
            self._opening = opening(self.client.ip, self.host, self.peer.scheme, version)
        query: bytes | None = None
        if path is head.target:
            target = path
        elif head.query or head.target.endswith(b"?"):
            query = head.query
            target = b"%b?%b" % (path, query)
        else:
            target = path
        text = path.decode()
        request = ReceivedRequest(
            head.method, text, query, headers, host=self.host, version=version, body=body,
            id=self._new_id() if seen is None or not seen.id else seen.id,
            source=source, scheme=self.peer.scheme,
        )  # fmt: skip
        request.received_target = target
        request.received_path = text
        request.received_query = query
        request.opening = self._opening
        # A list keeps an answer from taking the short way: an offer is accepted or not.
        request.streams = [] if head.offered else None
        request.upgrade = head.offered
        request.known = known
        request.edits = edits
        exchange = Exchange(request, self.client, edge.environment, edge.monotonic())
        if seen is not None and (seen.via or seen.claims is not None):
            self._tell(exchange, request, seen)
        if edge.traced:
            request.trace = trace = Trace()
            trace.peer = self.peer
            if edge.timing and (self.timed if exchange.client is self.client else exchange.client.ip in edge.timed):
                trace.timed = True
                request.streams = request.streams or []  # which keeps the answer from taking the short way
            if edge.journal is not None:
                exchange.journal = edge.journal()
            if seen is not None:
                trace.trace_id = seen.trace_id
                if seen.token and edge.grant is not None:
                    trace.grant = edge.grant(exchange, seen.token)
                    request.streams = request.streams or []  # as above
        else:
            request.trace = None
        return exchange

    def _tell(self, exchange: Exchange, request: ReceivedRequest, seen: Seen) -> None:
        """Say what came through other proxies, and who the client is according to those that are trusted."""
        peer, host, version, via = self.peer, request.host, request.version, seen.via
        claims = seen.claims
        if claims is None:
            request.opening = opening(peer.ip, host, peer.scheme, version, via)
            return
        memo = self._edge.behind_proxies
        key = (peer.ip, peer.scheme, host, version, via, claims)
        behind = memo.get(key)
        if behind is None:
            told = believe(peer.ip, claims, self._edge.trusted)
            behind = (told, opening(peer.ip, host, peer.scheme, version, via, told))
            if sum(len(said) for said in (via, *claims) if said is not None) <= LONGEST:
                if len(memo) >= KEPT:
                    memo.clear()
                memo[key] = behind
        told, request.opening = behind
        if told.scheme:
            request.scheme = told.scheme
        if told.chain:
            # The certificate, where one was shown, is the proxy's: the client's nobody has seen here.
            exchange.client = Client(told.ip, told.port, peer.cert)
