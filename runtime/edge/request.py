"""What the gateway knows of a request beyond what the policy sees."""

from __future__ import annotations

from typing import Protocol

from policylang.sdk import Exchange, Field, Request, Response
from runtime.edge.peer import Peer
from runtime.edge.stream import BodyStream
from runtime.edge.tunnel import Tunnel
from runtime.wire.memo import KnownFields, Rest
from runtime.wire.response import ResponseHead

LOOKED_UP = 32
"""How many values of one known head are kept as text."""

OF_JOURNALS = frozenset({b"polgate-journal", b"polgate-trace"})
"""Fields of an answer that are the gateway's own where a journal was asked for."""


class Granted(Protocol):
    """A caller's right to its request's journal."""

    def fields(self, exchange: Exchange, status: int) -> list[Field]:
        """For the answer's head: OF_JOURNALS, and what keeps these from others."""


class Trace:
    """What the access log wants to know of an exchange; made only where somebody listens. Times in ns."""

    __slots__ = ("attempts", "cache", "grant", "peer", "pool", "server", "status", "timed", "trace_id", "upstream")

    def __init__(self) -> None:
        self.upstream = 0  # spent waiting for the heads of answers
        self.attempts = 0  # how often a server was asked, or tried to be
        self.pool = ""  # the upstream that was asked last, by its name
        self.server = ""  # the server of it
        self.status = 0  # of its answer
        self.timed = False  # its client is to be told
        self.grant: Granted | None = None  # its client is to be told how it went
        self.peer: Peer | None = None  # of the connection that the request came over
        self.trace_id = ""  # of its `traceparent`
        self.cache = ""  # what the last `cache` that it came to has made of it


class ReceivedRequest(Request):
    """A request that came over a connection.

    `received_target` is what goes upstream while the policy leaves `path` and `query_string` as they were received.
    `opening`: a request's head from behind the target to `X-Request-ID: `, Host and everything that the gateway says of
    the client in it; the same for all requests of a connection to one host, and checked. `known`: what was made of its
    fields when they came before; `edits`: what the policy has made of those, as long as `headers` is its first part.
    `streams`: answers that stream, some of which may be left over when the policy is done. `upgrade`: the protocols
    that the client offers to change to.
    """

    __slots__ = ("edits", "known", "opening", "received_path", "received_query", "received_target", "streams", "trace",
        "upgrade",
    )  # fmt: skip

    edits: tuple[list[Field], tuple[bytes, ...], tuple[Field, ...], Rest] | None
    known: KnownFields | None
    received_target: bytes
    received_path: str
    received_query: bytes | None
    opening: bytes
    streams: list[BodyStream | Tunnel] | None
    trace: Trace | None
    upgrade: bytes

    def header(self, lower: bytes) -> str | None:
        known = self.known
        if known is None or self.headers is not known.headers:
            return Request.header(self, lower)
        texts = known.texts
        if lower in texts:
            return texts[lower]
        text = Request.header(self, lower)
        if len(texts) < LOOKED_UP:
            texts[lower] = text
        return text

    def set_header(self, lower: bytes, name: bytes, value: bytes) -> None:
        if not self._edit(lower, ((lower, name, value),)):
            Request.set_header(self, lower, name, value)

    def remove_header(self, lower: bytes) -> None:
        if not self._edit(lower, ()):
            Request.remove_header(self, lower)

    def _edit(self, lower: bytes, new: tuple[Field, ...]) -> bool:
        """Replace the fields of a name in a known head: what stays of it was made before."""
        known, edits = self.known, self.edits
        if known is None or lower == b"cookie":
            return False
        names: tuple[bytes, ...] = (lower,)
        added = new
        if self.headers is known.headers:
            pass
        elif edits is not None and self.headers is edits[0]:
            if any(field[0] == lower for field in edits[2]):
                return False
            names, added = (*edits[1], lower), edits[2] + new
        else:
            return False
        rest = known.without(names)
        if rest is None:
            return False
        self.headers = headers = [*rest.headers, *added]
        self.edits = (headers, names, added, rest)
        return True


class ReceivedResponse(Response):
    """An upstream's answer that came whole, or one of the cache. `head` says what it was, for as long as nobody sets
    `headers` anew.

    `late`: the fields that were added to those of `head` in the end, which made `headers` what it is.
    """

    __slots__ = ("head", "late")

    head: ResponseHead
    late: tuple[list[Field], list[Field]] | None

    def add_fields(self, fields: list[Field]) -> None:
        before, late = self.headers, self.late
        self.headers = both = before + fields
        if before is self.head.headers:
            self.late = (both, fields)
        elif late is not None and before is late[0]:
            self.late = (both, late[1] + fields)
