"""`get`, `post` and their like, `send`, `together`, `repeat`: the requests of a test."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from policylang.check.paths import wrong_method
from policylang.sdk.arrival import BadHost, let_in, one_spelling
from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Client, Exchange, Request, Response
from policylang.sdk.message import Field
from policylang.sdk.networks import read_address
from policylang.sdk.outcome import Failure, Kind
from policylang.sdk.paths import BadPath, normal_path
from policylang.sdk.values import Expr, Ip, Json, Size
from policylang.testing.fields import Unsendable, encoded, fields_of
from policylang.testing.world import Broken, World, known, world_of
from policylang.tree.edits import json_bytes

CLIENT = "192.0.2.1"
HOST = "api.example"
MOST_REPEATS = 1_000_000
"""Rounds of one `repeat`, and of all in a test, those inside others too: so every test comes to its end."""
PATH = "The path, with a query behind `?`, as a client writes it."
MOST_BYTES = 256 << 20
"""Of a body."""
_TOO_LARGE = f"`body` has at most {MOST_BYTES >> 20}MiB in a test"
_QUERY = re.compile(r"[!\"$-~]*")  # what is sent behind the `?`


class Asking(Assertion):
    """What every request may say of itself. Its path is with those that derive from it, as it may come second."""

    if TYPE_CHECKING:
        path: Expr[str]

    header: Expr[dict[str, Any] | None] | None = param(
        "Header fields; a list is one field for each of its texts, and `none` is no field.", default=None
    )
    json: Expr[Json] | None = param("The body, as JSON.", default=None)
    body: Expr[str | bytes | Size | None] | None = param("The body, as text; of a size, so many bytes of no meaning.",
                                                  default=None)  # fmt: skip
    at: Expr[str | None] | None = param("Which gateway is asked; left out: the first.", default=None)
    from_: Expr[Ip | str | None] | None = param(f"The client's address; left out: {CLIENT}.", default=None)
    host: Expr[str | None] | None = param(f"The host that is asked for; left out: {HOST}.", default=None)
    cert: Expr[str | None] | None = param("The client's certificate, by the name of its `given certificate`.",
                                          default=None)  # fmt: skip
    as_: Expr[str | None] | None = param("Who asks, by the name of a `given caller`.", default=None)
    scheme: Expr[str | None] | None = param("How it comes: `http` or `https`; left out: `http`, with `cert:` `https`.",
                                     default=None)  # fmt: skip

    def ask(self, exchange: Exchange, method: str) -> Outcome:
        world = world_of(exchange)
        given: dict[str, Any] = {}
        for name in ("header", "json", "body", "at", "from_", "host", "cert", "as_", "scheme"):
            expr = getattr(self, name)
            if expr is None:
                continue
            value = expr(exchange)
            if value is not None or name == "json":  # what is `none` is left out; `null` is JSON
                given[name.rstrip("_")] = value
        try:
            asked, refused = request_of(world, method, self.path(exchange), given)
        except Unsendable as wrong:
            raise Broken(str(wrong)) from None
        world.ask(asked, refused)
        tell(exchange, world)
        return world.trouble()

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        scheme = constants.get("scheme")
        if scheme is not None and scheme not in ("http", "https"):
            return '`scheme` is "http" or "https"'
        if all(constants.get(name, ...) is not None for name in ("json", "body")):
            return "a request has `json` or `body`, not both"
        body = constants.get("body")
        if isinstance(body, Size) and body.bytes > MOST_BYTES:
            return _TOO_LARGE
        address = constants.get("from")
        if isinstance(address, str) and read_address(address) is None:
            return f'`{address}` is no address: write one such as "192.0.2.7"'
        path = constants.get("path")
        if isinstance(path, str) and not path.startswith("/") and path != "*":
            return f'`path` begins with a slash: write "/{path}"'
        return None


def tell(exchange: Exchange, world: World) -> None:
    """What the test sees of the last request."""
    last = world.last
    if world.together is None and last is not None:
        exchange.response = last.response
        exchange.failure = last.exchange.failure


def request_of(world: World, method: str, target: str, given: Mapping[str, Any]) -> tuple[Exchange, Response | None]:
    """The exchange of a request as the edge makes it, and what the edge answers where it refuses the request.

    Raises Broken, Unsendable.
    """
    caller = known(world.callers, given["as"], "caller") if "as" in given else {}
    said = {**caller, **given}
    node = world.node_of(said.get("at"))
    wrong = wrong_method(method)
    if wrong is not None:
        raise Broken(wrong[0])
    if not target.startswith("/") and (target, method) != ("*", "OPTIONS"):
        raise Broken(f"a path begins with a slash, as `{target}` does not")
    scheme = said.get("scheme") or ("http" if said.get("cert") is None else "https")
    if scheme not in ("http", "https"):
        raise Broken(f"`scheme` is `http` or `https`, not `{scheme}`")
    fields, body = message_of(given, caller.get("header"))
    cert = known(world.certificates, said["cert"], "certificate") if said.get("cert") is not None else None
    path, mark, query = target.partition("?")
    failure: Failure | None = None
    try:
        path = path if path == "*" else normal_path(path.encode("utf-8", "surrogatepass")).decode()
    except BadPath as why:
        failure = Failure("bad-path", 400, f"the path is refused: {why}", kind=Kind.ERROR)
    if not _QUERY.fullmatch(query):
        detail = "the query has a character that must be encoded"
        failure = failure or Failure("malformed-request", 400, detail, kind=Kind.ERROR)
    try:
        host = one_spelling(said.get("host") or HOST)
    except BadHost:
        raise Broken(f"`{said['host']}` is neither a host nor an address, with a port or without") from None
    fields, id = let_in([(b"host", b"Host", host.encode()), *fields])
    request = Request(
        method, path, query.encode("utf-8", "surrogatepass") if mark else None, fields,
        host=host, scheme=scheme, id=id or f"{world.requests + 1:08x}", body=body,
    )  # fmt: skip
    surroundings: Any = node
    client = Client(_address(said.get("from") or CLIENT), 40000, cert)
    exchange = Exchange(request, client, surroundings, world.clock.monotonic())
    if failure is None:
        return exchange, None
    from policylang.tree.problem import problem

    exchange.failure = failure
    return exchange, problem(failure, request)


def _address(text: str) -> str:
    """As the edge writes it. Raises Broken."""
    found = text if isinstance(text, Ip) else read_address(text)
    if found is None:
        raise Broken(f'`{text}` is no address: write one such as "192.0.2.7"')
    return str(found).partition("%")[0]  # a zone means something on its own machine alone


def message_of(given: Mapping[str, Any], before: Mapping[str, Any] | None) -> tuple[list[Field], bytes]:
    """Fields and body; `before`: the fields of whoever asks. Raises Broken, Unsendable."""
    fields = fields_of(before, given.get("header"))
    data, kind = body_of(given)
    values = {lower: value for lower, _, value in fields}
    if b"host" in values:
        raise Broken("the field `Host` is written as `host: \"shop.example\"` behind the path")
    length = b"%d" % len(data)
    if values.get(b"content-length", length) != length:
        raise Broken(f"`Content-Length` says otherwise than the body, which has {len(data)} bytes: leave it out")
    if kind and b"content-type" not in values:
        fields.append((b"content-type", b"Content-Type", kind))
    if data and not {b"content-length", b"transfer-encoding"} & values.keys():
        fields.append((b"content-length", b"Content-Length", length))
    return fields, data


def body_of(given: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """The body and its type. Raises Broken, Unsendable."""
    if "json" in given:
        return json_bytes(given["json"]), b"application/json"
    body = given.get("body")
    if isinstance(body, Size):
        if body.bytes > MOST_BYTES:
            raise Broken(_TOO_LARGE)
        return b"x" * body.bytes, b""
    return (body if isinstance(body, bytes) else encoded(body or "")), b""


class WithMethod(Asking):
    method: ClassVar[str] = ""

    path: Expr[str] = param(PATH, positional=True)

    def evaluate(self, exchange: Exchange) -> Outcome:
        return self.ask(exchange, self.method)


class Get(WithMethod):
    """Ask with GET.

    After it `response` is what was answered, `failure` what failed (or `none`), `elapsed` how long it took by the
    test's clock. The request passes through the whole policy, as one from the network does.

        get "/orders/7", header: { "X-API-Key": "k1" }
    """

    name: ClassVar[str] = "get"
    method: ClassVar[str] = "GET"


class Head(WithMethod):
    """Ask with HEAD: as GET, and the answer has no body.

        head "/orders/7"
    """

    name: ClassVar[str] = "head"
    method: ClassVar[str] = "HEAD"


class Post(WithMethod):
    """Ask with POST.

        post "/orders", json: { item: 7 }
    """

    name: ClassVar[str] = "post"
    method: ClassVar[str] = "POST"


class Put(WithMethod):
    """Ask with PUT.

        put "/orders/7", json: { item: 7 }
    """

    name: ClassVar[str] = "put"
    method: ClassVar[str] = "PUT"


class Patch(WithMethod):
    """Ask with PATCH.

        patch "/orders/7", json: { item: 8 }
    """

    name: ClassVar[str] = "patch"
    method: ClassVar[str] = "PATCH"


class Delete(WithMethod):
    """Ask with DELETE.

        delete "/orders/7"
    """

    name: ClassVar[str] = "delete"
    method: ClassVar[str] = "DELETE"


class Options(WithMethod):
    """Ask with OPTIONS.

        options "/orders", header: { Origin: "https://shop.example" }
    """

    name: ClassVar[str] = "options"
    method: ClassVar[str] = "OPTIONS"


class Send(Asking):
    """Ask with any method.

        send "PROPFIND", "/orders"
    """

    name: ClassVar[str] = "send"

    method: Expr[str] = param("The method.", positional=True)
    path: Expr[str] = param(PATH, positional=True)

    def evaluate(self, exchange: Exchange) -> Outcome:
        return self.ask(exchange, self.method(exchange))

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        method = constants.get("method")
        wrong = wrong_method(method) if isinstance(method, str) else None
        return super().check(constants) if wrong is None else wrong[0]


Block = Callable[[Exchange], Awaitable[Outcome]]


class Together(Assertion):
    """Begin every request of the block before the clock moves.

    Then time passes until all are answered. `responses` and `statuses` are theirs, in the order in which they were
    begun; `response` is the last one's. Inside of the block none is answered yet.

        together {
            repeat 3 { get "/orders/7" }
        }
    """

    name: ClassVar[str] = "together"
    takes_block: ClassVar[bool] = True

    async def evaluate(self, exchange: Exchange, block: Block) -> Outcome:  # type: ignore[override]
        world = world_of(exchange)
        if world.together is not None:
            return await block(exchange)
        group = world.together = []
        try:
            outcome = await block(exchange)
        finally:
            world.together = None
        world.settle(group)
        tell(exchange, world)
        return world.trouble() if outcome is None else outcome


class Repeat(Assertion):
    """Run the block so many times.

    The first failure ends it.

        repeat 500 {
            get "/orders/7"
        }
    """

    name: ClassVar[str] = "repeat"
    takes_block: ClassVar[bool] = True

    times: Expr[int] = param("How often: at least once.", positional=True)

    async def evaluate(self, exchange: Exchange, block: Block) -> Outcome:  # type: ignore[override]
        times = self.times(exchange)
        if not isinstance(times, int) or not 1 <= times <= MOST_REPEATS:
            raise Broken(f"`repeat` takes a whole number from 1 to {MOST_REPEATS:_}, not {times}")
        world = world_of(exchange)
        for _ in range(times):
            world.rounds += 1
            if world.rounds > MOST_REPEATS:
                raise Broken(f"all `repeat` of a test have {MOST_REPEATS:_} rounds together, and no more")
            outcome = await block(exchange)
            if outcome is not None:
                return outcome
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        times = constants.get("times")
        if times is not None and (not isinstance(times, int) or not 1 <= times <= MOST_REPEATS):
            return f"`times` is a whole number from 1 to {MOST_REPEATS:_}"
        return None
