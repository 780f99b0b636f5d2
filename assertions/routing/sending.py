"""What `route` and `mirror` share: which request an upstream gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from policylang.sdk import (
    Assertion,
    Duration,
    Exchange,
    Expr,
    Failed,
    Failure,
    Kind,
    Known,
    Query,
    Target,
    UpstreamCall,
    UpstreamName,
    param,
)  # fmt: skip

_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HOST = re.compile(r"[A-Za-z0-9._~-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")


class Sending(Assertion):
    upstream: UpstreamName = param("Where the request goes.", positional=True)
    path: Expr[Target] | None = param("The path to ask for; each interpolated string is one segment.", default=None)
    method: Expr[str] | None = param("The method to ask with; left out: the request's.", default=None)
    host: Expr[str] | None = param("The Host to ask for; left out: the request's.", default=None)
    query: Expr[Query] | None = param(
        "The query: a map (a list repeats its name, `none` leaves it out) or text; left out: the request's, unless "
        "`path` has a `?`.",
        default=None,
    )
    timeout: Duration | None = param("How long the head of the answer may take.", default=None)

    @cached_property
    def _always(self) -> UpstreamCall | None:
        """What is asked of the upstream, where no message changes anything of it."""
        return None if self._adds_query else self._made

    def _composed(self, exchange: Exchange) -> UpstreamCall:
        """What is asked otherwise. Raises Failed where an argument has no value that can be sent."""
        made = self._made
        if made is not None and exchange.request.query_string is None:
            return made
        target = self._target(exchange)
        if made is not None:
            return UpstreamCall(target, made.timeout, made.method, made.host, made.retries)
        method = None if self.method is None else _checked(_METHOD, self.method(exchange), "method")
        host = None if self.host is None else _checked(_HOST, self.host(exchange), "host")
        return UpstreamCall(target, self._seconds, method, host, self._tries)

    def _target(self, exchange: Exchange) -> bytes | None:
        if self.path is None and self.query is None:
            return None
        request = exchange.request
        target = request.path.encode() if self.path is None else self.path(exchange)
        if self.query is not None:
            query = self.query(exchange)
            return target + (b"&" if b"?" in target else b"?") + query if query else bytes(target)
        if request.query_string is None or b"?" in target:
            return target
        return target + b"?" + request.query_string

    @cached_property
    def _made(self) -> UpstreamCall | None:
        """The call where it is the same for every message, but for the request's own query behind a written path."""
        path, method, host, query = self.path, self.method, self.host, self.query
        if not all(each is None or isinstance(each, Known) for each in (path, method, host, query)):
            return None
        if path is None and query is not None:
            return None
        target: bytes | None = None
        if isinstance(path, Known):
            target = path.value
            if isinstance(query, Known) and query.value:
                target = path.value + (b"&" if b"?" in path.value else b"?") + query.value
        return UpstreamCall(
            target, self._seconds, method.value if isinstance(method, Known) else None,
            host.value if isinstance(host, Known) else None, self._tries,
        )  # fmt: skip

    @cached_property
    def _adds_query(self) -> bool:
        return isinstance(self.path, Known) and self.query is None and b"?" not in self.path.value

    @cached_property
    def _seconds(self) -> float | None:
        return None if self.timeout is None else self.timeout.seconds

    @cached_property
    def _tries(self) -> int | None:
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        method, host, timeout = constants.get("method"), constants.get("host"), constants.get("timeout")
        if isinstance(method, str) and (not _METHOD.fullmatch(method) or method == "CONNECT"):
            return f"`{method}` is no method that can be sent on: write one such as \"GET\""
        if isinstance(host, str) and not _HOST.fullmatch(host):
            return f'`{host}` is no host: write one such as "api.example" or "10.0.0.1:8080"'
        if isinstance(timeout, Duration) and timeout.seconds <= 0:
            return "`timeout` must be longer than `0s`"
        return None


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) and text != "CONNECT":
        return text
    raise Failed(Failure("unsafe-value", 400, f"that is no {what} that can be sent on", kind=Kind.ERROR))
