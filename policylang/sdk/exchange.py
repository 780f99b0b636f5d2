"""One request and its answer, with all that the policy has found out on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from policylang.sdk.coding import Encoder
from policylang.sdk.limits import USUAL_LIMITS, BodyLimits
from policylang.sdk.limits_told import Told
from policylang.sdk.message import BodySource, Content, Field, Message
from policylang.sdk.outcome import Failed, Failure, Kind, unreadable
from policylang.sdk.permits import Permits
from policylang.sdk.quotas import Quotas
from policylang.sdk.store import Entries, Store
from policylang.sdk.unanswered import Unanswered
from policylang.sdk.values import Ip, Principal
from policylang.sdk.waiter import Waiter

if TYPE_CHECKING:
    from policylang.sdk.caches import Caches
    from policylang.sdk.circuit import Circuit, CircuitSettings
    from policylang.sdk.lines import Lines


class Clock(Protocol):
    def monotonic(self) -> int:
        """Nanoseconds that never go back: for limits, deadlines, durations."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch: for tokens, calendars, logs."""
        ...

    def sleep(self, seconds: float) -> Waiter[None]: ...


class UpstreamClient(Protocol):
    """Sends the exchange's request and gives the answer's head; the body streams."""

    async def send(self, exchange: Exchange, call: UpstreamCall) -> Response:
        """Raises Failed: 502 `upstream-unreachable`, `upstream-broken`, 503 `upstream-unavailable`, 504
        `upstream-timeout` (kind ERROR)."""
        ...

    def mirror(self, exchange: Exchange, call: UpstreamCall) -> None:
        """Send a copy of the request, whose body is held, and forget it: nobody waits, and no failure is told."""
        ...


class UpstreamCall:
    """What `route` asks of an upstream. `target` is the path with the query, as they are sent; None for those of the
    request.

    The request's body is sent from `request.body` where it is held (the tree holds it before a `route` after which some
    statement may read or send it again), else it streams.
    """

    __slots__ = ("host", "method", "retries", "target", "timeout")

    def __init__(
        self,
        target: bytes | None = None,
        timeout: float | None = None,
        method: str | None = None,
        host: str | None = None,
        retries: int | None = None,
    ) -> None:
        self.target = target
        self.timeout = timeout  # seconds, to the answer's head, for all tries together; None: the upstream's own
        self.retries = retries  # further tries where that is safe; None: the upstream's own
        self.method = method
        self.host = host


class Environment(Protocol):
    """What a gateway (or a test) puts at an exchange's disposal; one per compiled policy.

    `entries` are those of the store that all share, `machine` those of this machine (the same where there is one).
    `lines` are this worker's own, and outlive a reload.
    """

    name: str
    version: str
    node: str
    clock: Clock
    store: Store
    entries: Entries
    machine: Entries
    permits: Permits
    quotas: Quotas
    caches: Caches
    upstreams: Mapping[str, UpstreamClient]
    bodies: BodyLimits
    lines: Lines

    def log(self, level: str, text: str, exchange: Exchange) -> None: ...

    def whole(self) -> bool:
        """False while a cluster that has begun anew may not have been told again what it knew."""
        ...

    def draw(self) -> float:
        """A number from 0 up to 1, without it, that nobody can foretell."""
        ...

    def circuit(self, key: bytes, settings: CircuitSettings) -> Circuit:
        """The circuit of this key; a new one where there is none, or one of other settings.

        They are this worker's own, outlive a reload, and are kept while they are among the 10,000 asked for last.
        """
        ...

    def defect(self, error: BaseException, exchange: Exchange) -> str:
        """Log a mistake of our own once; gives the id to quote."""
        ...


class Client:
    """The peer, or who a trusted proxy says it speaks for."""

    __slots__ = ("cert", "ip", "port")

    def __init__(self, ip: str, port: int, cert: Any = None) -> None:
        self.ip = Ip(ip)
        self.port = port
        self.cert = cert


class Request(Message):
    """`path` is normalised, percent-encoded, as it was matched; `query_string` without its `?`, None if absent.

    `received_headers`: the fields as they came, whatever the policy has written since.
    """

    __slots__ = (
        "_cookies", "_query", "host", "id", "method", "path", "query_string", "received_headers", "scheme", "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query_string: bytes | None,
        headers: list[Field],
        *,
        host: str = "",
        scheme: str = "http",
        version: str = "1.1",
        id: str = "",
        body: bytes | None = b"",
        source: BodySource | None = None,
    ) -> None:
        self.headers = self.received_headers = headers
        self.body = self.received = body
        self.source = source
        self.limit = None
        self.bounds = USUAL_LIMITS
        self.content = None
        self.method = method
        self.path = path
        self.query_string = query_string
        self.host = host
        self.scheme = scheme
        self.version = version
        self.id = id
        self._query: list[tuple[str, str]] | None = None
        self._cookies: list[tuple[str, str]] | None = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded pairs in the order they came. Raises Failed(400) on what is not UTF-8 or wrongly encoded."""
        if self._query is None:
            self._query = _pairs(self.query_string or b"")
        return self._query

    @property
    def cookies(self) -> list[tuple[str, str]]:
        if self._cookies is None:
            text = self.header(b"cookie") or ""
            pairs = (part.partition("=") for part in text.split(";") if part.strip())
            self._cookies = [(name.strip(), _unquoted(value.strip())) for name, _, value in pairs]
        return self._cookies

    def query_value(self, name: str) -> str | None:
        return _single(self.query, name, "query parameter")

    def cookie(self, name: str) -> str | None:
        return _single(self.cookies, name, "cookie")

    def set_query(self, query_string: bytes | None) -> None:
        self.query_string = query_string
        self._query = None

    def set_header(self, lower: bytes, name: bytes, value: bytes) -> None:
        if lower == b"cookie":
            self._cookies = None
        headers = [f for f in self.headers if f[0] != lower]  # as Message does, without the call
        headers.append((lower, name, value))
        self.headers = headers

    def remove_header(self, lower: bytes) -> None:
        if lower == b"cookie":
            self._cookies = None
        super().remove_header(lower)

    @property
    def bearer(self) -> str | None:
        """The token of `Authorization: Bearer …` (RFC 6750), or None."""
        value = self.header(b"authorization")
        if value is None:
            return None
        scheme, _, token = value.partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    def snapshot(self) -> tuple[Any, ...]:
        return (*Message.snapshot(self), self.method, self.path, self.query_string)

    def restore(self, state: tuple[Any, ...]) -> None:
        Message.restore(self, state[:3])
        self.method, self.path, self.query_string = state[3:]
        self._query = self._cookies = None


class Response(Message):
    """`made_here`: by `respond` or for a failure, not by an upstream.

    `coder` makes what packs a body that streams while it goes out, None where it goes out as it comes.
    """

    __slots__ = ("coder", "made_here", "status")

    fault = 502
    too_large = 502

    def __init__(
        self,
        status: int,
        headers: list[Field],
        body: bytes | None = b"",
        source: BodySource | None = None,
        made_here: bool = False,
    ) -> None:
        # Not by Message.__init__: one is made for every request.
        self.headers = headers
        self.body = self.received = body
        self.source = source
        self.limit = None
        self.bounds = USUAL_LIMITS
        self.content = None
        self.coder: Callable[[], Encoder] | None = None
        self.status = status
        self.made_here = made_here

    def add_fields(self, fields: list[Field]) -> None:
        """The last edit before the answer leaves: what the exchange has gathered for it."""
        self.headers = self.headers + fields

    async def load(self, bounds: BodyLimits) -> None:
        await Message.load(self, bounds)
        if self.coder is not None:
            self._pack()

    def set_body(self, data: bytes) -> None:
        self.coder = None
        Message.set_body(self, data)

    def set_packed(self, plain: bytes, packed: bytes) -> None:
        """The held body, `plain`, goes out as `packed`; the caller has set Content-Encoding."""
        self.coder = None
        self.body = packed
        content = self.content = Content()
        content.data, content.packed = plain, True

    def _pack(self) -> None:
        """A body that was to be packed while it goes out is held now."""
        assert self.coder is not None and self.body is not None
        encoder = self.coder()
        self.set_packed(self.body, encoder.feed(self.body, False) + encoder.end())

    def snapshot(self) -> tuple[Any, ...]:
        return (*Message.snapshot(self), self.status, self.coder)

    def restore(self, state: tuple[Any, ...]) -> None:
        Message.restore(self, state[:3])
        self.status, self.coder = state[3:]
        if self.coder is not None and self.body is not None:
            self._pack()


class Exchange:
    """The state of one evaluation. `slots` are the policy's variables, numbered when it was compiled.

    `fields` are header fields for whatever answer will be given in the end; `limits` becomes some of them (see
    `policylang.sdk.limits_told.tell`). `journal` receives the tree's outcomes when it is a list, and costs nothing when
    it is None. `ends`: see `at_end`. `origin`: of a fork (`parallel`) the exchange that a client waits for.
    `unanswered`: see `await_answers`.
    """

    __slots__ = (
        "client", "ends", "environment", "failure", "fields", "journal", "limits", "origin", "path", "request",
        "response", "service", "slots", "started", "unanswered", "user",
    )  # fmt: skip

    def __init__(self, request: Request, client: Client, environment: Environment, started: int = 0) -> None:
        self.request = request
        self.client = client
        self.environment = environment
        self.started = started  # monotonic nanoseconds
        self.response: Response | None = None
        self.user: Principal | None = None
        self.path: Mapping[str, str] = _NO_CAPTURES
        self.slots: list[Any] = []
        self.fields: list[Field] | None = None
        self.limits: list[Told] | None = None
        self.ends: list[Callable[[], None]] | None = None
        self.origin: Exchange | None = None
        self.unanswered: Unanswered | None = None
        self.journal: list[Any] | None = None
        self.failure: Failure | None = None
        self.service: str = ""

    def at_end(self, call: Callable[[], None]) -> None:
        """Have it called once, when the exchange is over: the answer's last byte is written, or it was given up.

        Also when the client has left, and when its evaluation is cancelled. It must neither wait nor raise.
        """
        whole = self.origin or self
        if whole.ends is None:
            whole.ends = []
        whole.ends.append(call)

    def await_answers(self) -> Unanswered:
        """From now on an upstream that has a request of this exchange is not left in the middle of it.

        When the client leaves, or waits no longer, the answer is read on and thrown away, within the time that the
        upstream has for it.
        """
        whole = self.origin or self
        if whole.unanswered is None:
            whole.unanswered = Unanswered()
        return whole.unanswered

    def add_field(self, lower: bytes, name: bytes, value: bytes) -> None:
        if self.fields is None:
            self.fields = []
        self.fields.append((lower, name, value))


def _single(pairs: list[tuple[str, str]], name: str, what: str) -> str | None:
    found: str | None = None
    for key, value in pairs:
        if key == name:
            if found is not None:
                raise Failed(Failure("repeated-field", 400, f"the {what} `{name}` stands twice", kind=Kind.ERROR))
            found = value
    return found


def _pairs(query: bytes) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(raw: bytes) -> str:
    try:
        text = raw.decode("ascii").replace("+", " ")
        return unquote(text, errors="strict") if "%" in text else text
    except UnicodeDecodeError:
        raise unreadable("query", "not UTF-8") from None


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


_NO_CAPTURES: Mapping[str, str] = {}
