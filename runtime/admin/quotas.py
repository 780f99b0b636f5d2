"""Quotas for the operator: read and changed by way of one worker.

    GET /quotas                             those of the policy
    GET /quotas/NAME?after=                 its keys in the periods that it is now; `after`: the `next` of the last page
    GET /quotas/NAME/KEY?key=text|json|hash what one key has used
    POST /quotas/NAME/KEY?used=N            so many are used from now on, whatever was; `unit=` where there are several
    POST /quotas/NAME/KEY?add=N             so many more may be used in this period; below 0: so many fewer
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from runtime.admin.messages import Answer, Refused, Request, json
from runtime.admin.operated import Operated

TIMEOUT = 5.0
"""Seconds that a worker has for its answer."""
PATH = "/quotas"
CHANGES = {"used": "quota.set", "add": "quota.add"}


class QuotaPages:
    def __init__(self, operated: Operated) -> None:
        self._operated = operated

    def answer(self, request: Request) -> Callable[[], Answer]:
        """What asks a worker. Raises Refused."""
        what, arguments = question(request)
        if what in CHANGES.values() and self._operated.status()["draining"]:
            raise Refused(409, "draining", "the gateway is ending")
        return lambda: json(200, self._operated.ask(what, arguments, TIMEOUT))


def question(request: Request) -> tuple[str, dict[str, Any]]:
    """What to ask a worker, and with which arguments. Raises Refused."""
    raw_name, slash, raw_key = request.path.removeprefix(PATH).removeprefix("/").partition("/")
    try:
        query = dict(parse_qsl(request.query, strict_parsing=True, errors="strict") if request.query else ())
        name, key = unquote(raw_name, errors="strict"), unquote(raw_key, errors="strict")
    except ValueError:
        raise Refused(400, "bad-request", "the path or the query is not encoded in the usual way") from None
    allowed = ("GET", "HEAD", "POST") if slash else ("GET", "HEAD")
    if request.method not in allowed:
        said = ", ".join(allowed)
        raise Refused(405, "method-not-allowed", f"`{request.path}` takes {said}", ("Allow", said))
    if not slash:
        after = {"after": query["after"]} if "after" in query else {}
        return ("quota.page", {"name": name, **after}) if name else ("quota.list", {})
    arguments: dict[str, Any] = {"name": name, "key": key, "kind": query.get("key", "text"), "unit": query.get("unit")}
    if request.method != "POST":
        return "quota.show", arguments
    asked = [change for change in CHANGES if change in query]
    if len(asked) != 1:
        raise Refused(400, "bad-request", "a change says either `used=` or `add=`")
    return CHANGES[asked[0]], {**arguments, "units": query[asked[0]]}
