"""What the gateway knows of a request beyond what the policy sees."""

from __future__ import annotations

from policylang.sdk import Field, Request, Response
from runtime.edge.stream import BodyStream
from runtime.wire.memo import KnownFields
from runtime.wire.response import ResponseHead


class Trace:
    """What the access log wants to know of an exchange; made only where somebody listens. Times in ns."""

    __slots__ = ("attempts", "server", "status", "upstream")

    def __init__(self) -> None:
        self.upstream = 0  # spent waiting for the heads of answers
        self.attempts = 0  # how often a server was asked, or tried to be
        self.server = ""  # the last one
        self.status = 0  # of its answer


class ReceivedRequest(Request):
    """A request that came over a connection.

    `received_target` is what goes upstream while the policy leaves `path` and `query_string` as they were received.
    `opening`: a request's head from behind the target to `X-Request-ID: `, Host and everything that the gateway says of
    the client in it; the same for all requests of a connection to one host, and checked. `known`: what was made of its
    fields when they came before. `streams`: answers that stream, some of which may be left over when the policy is
    done.
    """

    __slots__ = ("known", "opening", "received_path", "received_query", "received_target", "streams", "trace")

    known: KnownFields | None
    received_target: bytes
    received_path: str
    received_query: bytes | None
    opening: bytes
    streams: list[BodyStream] | None
    trace: Trace | None


class ReceivedResponse(Response):
    """An upstream's answer that came whole. `head` says what it was, for as long as nobody sets `headers` anew.

    `late`: the fields that were added to those of `head` in the end, which made `headers` what it is.
    """

    __slots__ = ("head", "late")

    head: ResponseHead
    late: tuple[list[Field], list[Field]] | None

    def add_fields(self, fields: list[Field]) -> None:
        before = self.headers
        self.headers = both = before + fields
        if before is self.head.headers:
            self.late = (both, fields)
