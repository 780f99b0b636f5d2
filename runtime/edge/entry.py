"""From a request's head to the exchange that the policy evaluates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policylang.sdk import Client, Exchange
from runtime.edge.forwarding import NOTICED, forwarding_lines, inspect
from runtime.edge.request import ReceivedRequest, Trace
from runtime.edge.stream import BodyStream
from runtime.wire.fields import HTTP_1_1
from runtime.wire.path import normal_path
from runtime.wire.request import RequestHead

if TYPE_CHECKING:
    from runtime.edge.edge import Edge


class Entry:
    """Makes the exchanges of one connection; what is the same for all of them is made once."""

    __slots__ = ("_edge", "_host", "_lines", "client", "host")

    def __init__(self, edge: Edge, ip: str, port: int) -> None:
        self._edge = edge
        self.client = Client(ip, port)
        self._host: bytes | None = None
        self.host = ""  # of the last request
        self._lines = b""

    def exchange(self, head: RequestHead, body: bytes | None, source: BodyStream | None) -> Exchange:
        """Raises WireError for a path that has no normal form, and for a request that goes round in circles."""
        edge = self._edge
        path = head.path
        if path != b"*":
            path = normal_path(path)
        headers = head.headers
        id, via = "", b""
        for field in headers:
            if field[0] in NOTICED:
                headers, id, via = inspect(headers)
                break
        if head.connection:
            headers = [field for field in headers if field[0] not in head.connection]
        version = "1.1" if head.version is HTTP_1_1 else "1.0"
        if head.host != self._host or version != "1.1":
            # The lines of a request of HTTP/1.0 name that version: they are no use to the next one.
            self._host = head.host if version == "1.1" else None
            self.host = head.host.decode()
            self._lines = forwarding_lines(self.client.ip, self.host, "http", version)
        request = ReceivedRequest(
            head.method, path.decode(), head.query or (b"" if head.target.endswith(b"?") else None), headers,
            host=self.host, version=version, id=id or edge.ids.new(), body=body, source=source,
        )  # fmt: skip
        request.host_bytes = head.host
        request.forwarding = forwarding_lines(self.client.ip, self.host, "http", version, via) if via else self._lines
        request.streams = None
        request.trace = Trace() if edge.traced else None
        exchange = Exchange(request, self.client, edge.environment, edge.monotonic())
        if edge.journal:
            exchange.journal = []
        return exchange
