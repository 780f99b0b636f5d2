"""Random messages for generated policies: whole and broken bodies, repeated fields, upstreams that fail."""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass, replace
from typing import Any

from reference.message import Request, Response

UPSTREAM_FAILURES = ("upstream-unreachable", "upstream-timeout", "upstream-broken")
VALUES: tuple[Any, ...] = (
    0, 1, 2, 1.5, 200, "a", "b", "gold", "", "2", True, False, None, [], [1, 2], [1, True, "a", None], {"a": 1},
    {"a": [True], "b": None}, ["a", "b"], [1, [2.5, "x"], {"a": {"b": 1}}], list(range(1001)), -3, 1e3, "\n",
)  # fmt: skip


QUERIES = (None, None, "q=1", "q=a&q=b", "page=2&z=x%20y", "q=%C3%A9&&page", "q=%FF", "q=a+b&x", "q=a%0D%0Ab")


@dataclass
class Exchange:
    """One message, the answers of the upstreams to it, and how long after the one before it comes."""

    request: Request
    client: tuple[str, int]
    answers: list[Response | str]
    later: float
    store_away: bool
    draw: float
    outlasts: int = 0
    """How many messages more come before its answer's last byte has left."""

    def describe(self) -> str:
        request = self.request
        lines = [f"after {self.later} s from {self.client[0]}: {request.method} {request.path}"
                 f"{'' if request.query_string is None else '?' + request.query_string} host {request.host}"
                 f"{' (store away)' if self.store_away else ''}, drawing {self.draw}, outlasting {self.outlasts}"]
        lines += [f"    {name}: {value}" for name, value in request.headers]
        lines.append(f"    body{' (streams)' if request.streams else ''}: {request.body!r}")
        for answer in self.answers:
            if isinstance(answer, str):
                lines.append(f"    upstream: {answer}")
            else:
                lines.append(f"    upstream: {answer.status} {answer.headers} {answer.body!r}"
                             f"{' (streams)' if answer.streams else ''}")
        return "\n".join(lines)


def make_exchange(dice: random.Random, paths: list[str]) -> Exchange:
    body, content_type = make_body(dice)
    method = dice.choice(("GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"))
    if method in ("GET", "HEAD") and dice.random() < 0.5:
        body, content_type = b"", None
    headers = [] if content_type is None else [("Content-Type", content_type)]
    body, coding = packed(dice, body)
    headers += coding
    for name in ("X-A", "X-B", "x-c", "X-Tier"):
        for _ in range(dice.choice((0, 0, 1, 1, 1, 2))):
            spelled = dice.choice((name, name.lower(), name.upper()))
            headers.append((spelled, dice.choice(("a", "b", "gold", "2", "", "..", "x/../y"))))
    if dice.random() < 0.06:
        headers.append(("content-type", "text/plain"))
    if dice.random() < 0.6:
        headers.append(("X-API-Key", dice.choice(("k1", "k2", "k3", "k4", "wrong", ""))))
    if dice.random() < 0.3:
        headers.append(("Authorization", dice.choice(("Bearer s3cr3t", "bearer  t2 ", "Basic YTpi", "Bearer"))))
    if dice.random() < 0.4:
        headers.append(("Cookie", dice.choice(("sid=s1; c=2", 'c="quoted"', "sid=1; sid=2", "c=; ;x"))))
    streams = bool(body) and dice.random() < 0.4
    if streams and dice.random() < 0.5:
        headers.append(("Content-Length", str(len(body))))
    request = Request(
        method=method, path=dice.choice(paths),
        query_string=dice.choice(QUERIES),
        host=dice.choice(("api.example", "api.example", "other.example", "deep.wild.example")), id="id-1",
        headers=headers, body=body, streams=streams,
    )  # fmt: skip
    answers: list[Response | str] = []
    for _ in range(3):
        if dice.random() < 0.2:
            answers.append(dice.choice(UPSTREAM_FAILURES))
            continue
        body, content_type = make_body(dice)
        fields = [("X-A", dice.choice(("up", "gold", ".."))), ("X-B", "1"), ("X-B", "2")][: dice.randint(0, 3)]
        if content_type is not None:
            fields.append(("Content-Type", content_type))
        body, coding = packed(dice, body)
        fields += coding
        answers.append(Response(
            status=dice.choice((200, 200, 201, 204, 302, 404, 500, 503)), headers=fields, body=body,
            streams=dice.random() < 0.5,
        ))  # fmt: skip
    return Exchange(
        request, (dice.choice(("192.0.2.1", "10.1.2.3", "2001:db8::7")), 40000), answers,
        dice.choice((0, 0, 0.3, 0.7, 1, 2.5, 61)), dice.random() < 0.05, dice.choice((0.0, 0.2, 0.5, 0.949, 0.999)),
        dice.choice((0, 0, 0, 0, 1, 4)),
    )  # fmt: skip


def make_exchanges(dice: random.Random, paths: list[str], count: int) -> list[Exchange]:
    """Many of them simple, and of the same things: for what is kept, and what is counted."""
    made: list[Exchange] = []
    for _ in range(count):
        message = make_exchange(dice, paths)
        if dice.random() < 0.5:
            message = plain_question(message)
        if made and dice.random() < 0.5:
            message = replace(message, request=dice.choice(made[-3:]).request)
        made.append(message)
    return made


def plain_question(message: Exchange) -> Exchange:
    """One whose answer a cache may keep."""
    headers = [pair for pair in message.request.headers if pair[0] != "Authorization"]
    request = replace(message.request, method="GET", headers=headers, body=b"", streams=False)
    answers = [answer if isinstance(answer, str) else replace(answer, status=200) for answer in message.answers]
    return replace(message, request=request, answers=answers)


def packed(dice: random.Random, body: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """Some bodies come compressed, in what nobody knows, or not in what they say."""
    kind = dice.random()
    if kind < 0.85:
        return body, []
    if kind < 0.87:
        return body, [("Content-Encoding", dice.choice(("gzip", "lzma", "identity")))]
    if kind < 0.9:
        return gzip.compress(gzip.compress(body, mtime=0), mtime=0), [("Content-Encoding", "gzip, identity, GZIP")]
    whole = gzip.compress(body, mtime=0)
    return dice.choice((whole, whole, whole, whole[:-1], whole + b"x")), [("content-encoding", "gzip")]


def make_body(dice: random.Random) -> tuple[bytes, str | None]:
    kind = dice.random()
    if kind < 0.7:
        value: Any = {name: dice.choice(VALUES) for name in ("a", "b", "n", "tier", "items", "ok", "deep")
                      if dice.random() < 0.75}  # fmt: skip
        if dice.random() < 0.1:
            value = dice.choice(VALUES)
        return json.dumps(value, ensure_ascii=False).encode(), dice.choice(("application/json", None))
    return dice.choice((
        (b"", None), (b"", None), (b"plain text", "text/plain"), (b"{", "application/json"),
        (b'{"a": 1, "a": 2}', "application/json"), (b"\xff\xfe", None), (b'"lone"', "application/json"),
        (b"<r><a>1</a></r>", "application/xml"), (b'{"a": NaN}', "application/json"),
        (b"gold" * 40, "text/plain; charset=utf-8"), (b'{"a": "' + b"long" * 1000 + b'"}', None),
    ))  # fmt: skip
