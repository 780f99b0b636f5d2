"""What a test reads: answers, and what a stub received. Header fields have their names in lower case."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from policylang.sdk import static_types as t
from policylang.sdk.departure import BODY_EXPECTED, WRITTEN_ANEW, of_client, via_of
from policylang.sdk.exchange import Exchange, Response, UpstreamCall
from policylang.sdk.message import Field, Message
from policylang.sdk.outcome import Failed
from policylang.sdk.values import Duration

ANSWER = t.Type("answer")
CALL = t.Type("call")
FIELDS = t.Type("map", t.STRING)
MEMBERS: dict[str, dict[str, t.Type]] = {
    "answer": {"status": t.NUMBER, "header": FIELDS, "text": t.STRING, "json": t.JSON, "elapsed": t.DURATION},
    "call": {
        "method": t.STRING, "path": t.STRING, "query": t.STRING.maybe(), "host": t.STRING, "header": FIELDS,
        "text": t.STRING, "json": t.JSON,
    },
}  # fmt: skip
NAMES: dict[str, t.Type] = {
    "failure": t.FAILURE.maybe(), "responses": t.list_of(ANSWER), "statuses": t.list_of(t.NUMBER),
    "elapsed": t.DURATION, "logs": t.LIST,
}  # fmt: skip
"""What a test knows besides `response` and `now`."""
OF_LOGS = ("level", "text", "service", "gateway")
"""What a line of `logs` has, which is a map."""
OF_UPSTREAM: dict[str, t.Type] = {"calls": t.list_of(CALL), "mirrored": t.list_of(CALL)}


def joined(fields: Iterable[Field]) -> dict[str, str]:
    found: dict[str, str] = {}
    for lower, _, value in fields:
        name, text = lower.decode("latin-1"), value.decode("utf-8", "replace")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


class Answer:
    """One answer, of several. `elapsed`: how long it took."""

    def __init__(self, response: Response, elapsed: float) -> None:
        self._response = response
        self.status = response.status
        self.elapsed = Duration(elapsed)

    @cached_property
    def header(self) -> dict[str, str]:
        return joined(self._response.headers)

    @property
    def text(self) -> str:
        return self._response.text

    @property
    def json(self) -> Any:
        return self._response.json

    def plain(self) -> Any:
        return {"status": self.status, "header": self.header, **body_of(self._response)}


class Call:
    """What an upstream received. `path` and `query` as they are sent."""

    def __init__(self, exchange: Exchange, call: UpstreamCall, body: bytes) -> None:
        request = exchange.request
        self.method = call.method or request.method
        self.host = call.host or request.host
        self.path, query = request.path, request.query_string
        if call.target is not None:
            target, mark, rest = call.target.partition(b"?")
            self.path, query = target.decode("utf-8", "replace"), rest if mark else None
        self.query: str | None = None if query is None else query.decode("utf-8", "replace")
        # Most calls are not looked at. Lists of fields stay what they are, whatever the policy does to the request.
        self._body = body
        self._headers, self._received = request.headers, request.received_headers
        self._way = exchange.client.ip, request.scheme, request.host, request.version, request.id

    @cached_property
    def message(self) -> Message:
        """With the fields that go to an upstream: what the policy has left, and what the gateway says itself."""
        ip, scheme, host, version, id = self._way
        came = b", ".join(value for lower, _, value in self._received if lower == b"via")
        said = [
            ("Host", self.host), ("Via", via_of(came, version).decode("utf-8", "replace")),
            *of_client([ip], (scheme, host), (scheme, host)), ("X-Request-ID", id),
        ]  # fmt: skip
        if self._body or self.method in BODY_EXPECTED:
            said.append(("Content-Length", str(len(self._body))))
        own = [(name.lower().encode(), name.encode(), value.encode("utf-8", "replace")) for name, value in said]
        left = [field for field in self._headers if field[0] not in WRITTEN_ANEW]
        return Message([*own, *left], self._body)

    @cached_property
    def header(self) -> dict[str, str]:
        return joined(self.message.headers)

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def json(self) -> Any:
        return self.message.json

    def plain(self) -> Any:
        found = {"method": self.method, "path": self.path, "query": self.query, "host": self.host}
        return {**found, "header": self.header, **body_of(self.message)}


def plain(value: Any) -> Any:
    """Answers and calls, and lists of them, as the JSON that they come to."""
    if isinstance(value, (Answer, Call)):
        return value.plain()
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def body_of(message: Message) -> dict[str, Any]:
    """The body as JSON where it is some, else as text."""
    if not message.body:
        return {}
    try:
        return {"json": message.json}
    except Failed:
        pass
    try:
        return {"text": message.text}
    except Failed:
        return {"bytes": len(message.body)}
