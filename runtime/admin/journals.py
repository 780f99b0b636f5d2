"""Journals for the operator.

    GET /trace?expression=&service=     journals of the requests that match, as they end: JSON, one object a line
    GET /trace/sources                  the texts of the policy that they speak of
    POST /trace/tokens?service=&for=N   a token for `Polgate-Trace`, good for N seconds
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from runtime.admin.messages import Answer, Refused, Request, json
from runtime.admin.operated import Operated
from runtime.trace.follower import Follower

if TYPE_CHECKING:
    from runtime.admin.pages import Work

TIMEOUT = 5.0
"""Seconds that the workers have for their answers."""
KEEP_ALIVE = 15.0
"""Seconds without a journal after which a follower gets an empty line: who has gone without a word is noticed."""
PATH = "/trace"
TAKES = {PATH: ("GET", ("expression", "service")), f"{PATH}/sources": ("GET", ()),
         f"{PATH}/tokens": ("POST", ("service", "for"))}  # fmt: skip
"""Each path's method, and what its query may say."""


class TracePages:
    def __init__(self, operated: Operated) -> None:
        self._operated = operated

    def answer(self, request: Request) -> Work:
        """What asks the workers. Raises Refused."""
        operated = self._operated
        if request.path not in TAKES:
            raise Refused(404, "not-found", f"there is no `{request.path}` here, but {', '.join(TAKES)}")
        method, names = TAKES[request.path]
        if request.method != method:
            raise Refused(405, "method-not-allowed", f"`{request.path}` takes {method}", ("Allow", method))
        try:
            query = dict(parse_qsl(request.query, strict_parsing=True, errors="strict") if request.query else ())
        except ValueError:
            raise Refused(400, "bad-request", "the query is not encoded in the usual way") from None
        if unknown := [name for name in query if name not in names]:
            said = f"its query takes {' and '.join(names)}" if names else "it takes no query"
            raise Refused(400, "bad-request", f"`{unknown[0]}` is nothing that `{request.path}` knows: {said}")
        if request.path == f"{PATH}/sources":
            return lambda: json(200, operated.ask("trace.sources", {}, TIMEOUT))
        if request.path == f"{PATH}/tokens":
            return lambda: json(200, operated.ask("trace.token", query, TIMEOUT))
        if operated.status()["draining"]:
            raise Refused(409, "draining", "the gateway is ending")

        def follow() -> Answer | Follower:
            follower = Follower(query.get("expression", ""), query.get("service", ""))
            operated.follow(follower, TIMEOUT)
            return follower

        return follow
