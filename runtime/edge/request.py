"""What the gateway knows of a request beyond what the policy sees."""

from __future__ import annotations

from policylang.sdk import Request
from runtime.edge.stream import BodyStream


class Trace:
    """What the access log wants to know of an exchange; made only where somebody listens. Times in ns."""

    __slots__ = ("attempts", "server", "status", "upstream")

    def __init__(self) -> None:
        self.upstream = 0  # spent waiting for the head of an answer
        self.attempts = 0
        self.server = ""
        self.status = 0


class ReceivedRequest(Request):
    """A request that came over a connection.

    `host_bytes`: what goes upstream as Host. `forwarding`: the complete lines that the gateway adds to a request that
    goes upstream, up to `X-Request-ID: ` with only the id missing; the same for all requests of a connection to one
    host. `streams`: answers that stream, some of which may be left over when the policy is done.
    """

    __slots__ = ("forwarding", "host_bytes", "streams", "trace")

    host_bytes: bytes
    forwarding: bytes
    streams: list[BodyStream] | None
    trace: Trace | None
