"""What the admin listener answers: probes, metrics, status, maps, quotas, journals, and the changes that it takes."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, TypeAlias

from runtime.admin.journals import PATH as TRACE
from runtime.admin.journals import TracePages
from runtime.admin.maps import MapPages
from runtime.admin.messages import Answer, Refused, Request, json, text
from runtime.admin.operated import Operated, Status, cluster_words
from runtime.admin.quotas import PATH as QUOTAS
from runtime.admin.quotas import QuotaPages
from runtime.observe.exposition import CONTENT_TYPE
from runtime.trace.follower import Follower

Work: TypeAlias = Callable[[], "Answer | Follower"]
"""What may take long, and is to be done elsewhere. A Follower is answered with what comes for it."""

RELOAD_TIMEOUT = 130.0
"""Seconds for a reload: reading and compiling may take 60 each."""
CHANGES = ("/reload", "/drain")


class Pages:
    """`token`: what a change must show over TCP; empty: there is none, so that there are no changes over TCP."""

    def __init__(self, operated: Operated, metrics: Callable[[Status], bytes], token: str) -> None:
        self._operated = operated
        self._metrics = metrics
        self._token = token.encode("utf-8", "surrogateescape")
        self._maps = MapPages(operated)
        self._quotas = QuotaPages(operated)
        self._traces = TracePages(operated)
        self._gets: dict[str, Callable[[Request], Answer]] = {
            "/livez": self._live,
            "/readyz": self._ready,
            "/startupz": self._started,
            "/metrics": self._measured,
            "/status": self._status,
        }

    def answer(self, request: Request, own_hosts: frozenset[str] | None) -> Answer | Work:
        """`own_hosts`: what Host may say; None on a Unix socket, whose file says who may come. Raises Refused."""
        if own_hosts is not None:
            # A page in a browser whose name was bound anew to this address (DNS rebinding) still sends its own name.
            host = request.fields.get("host", "").lower()
            if host not in own_hosts:
                raise Refused(421, "not-this-host", f"this listener is asked as http://{min(own_hosts)}")
        page = self._gets.get(request.path)
        if page is not None:
            if request.method not in ("GET", "HEAD"):
                raise _wrong_method(request, "GET, HEAD")
            return page(request)
        if request.path == "/maps" or request.path.startswith("/maps/"):
            # What is in them is no less than a change: sessions are there.
            if own_hosts is not None:
                self._check_token(request)
            return self._maps.answer(request)
        if request.path == QUOTAS or request.path.startswith(f"{QUOTAS}/"):
            # Their keys say who the clients are.
            if own_hosts is not None:
                self._check_token(request)
            return self._quotas.answer(request)
        if request.path == TRACE or request.path.startswith(f"{TRACE}/"):
            # Whose requests they are, and what they ask for; and a token opens them to whoever has it.
            if own_hosts is not None:
                self._check_token(request)
            return self._traces.answer(request)
        if request.path not in CHANGES:
            paths = ", ".join([*self._gets, *CHANGES, "/maps", QUOTAS, TRACE])
            raise Refused(404, "not-found", f"there is no `{request.path}` here, but {paths}")
        if request.method != "POST":
            raise _wrong_method(request, "POST")
        if own_hosts is not None:
            self._check_token(request)
        if self._operated.status()["draining"]:
            raise Refused(409, "draining", "the gateway is ending")
        if request.path == "/drain":
            self._operated.drain()
            return _done(request, 202, "draining")
        return lambda: self._reload(request)

    def _check_token(self, request: Request) -> None:
        if not self._token:
            raise Refused(
                403, "no-token", "over TCP a change needs a token, and the policy sets none: give `admin` a `token`, "
                "or use the Unix socket",
            )  # fmt: skip
        scheme, _, shown = request.fields.get("authorization", "").partition(" ")
        said = shown.strip().encode("latin-1")
        if scheme.lower() != "bearer" or not hmac.compare_digest(said, self._token):
            raise Refused(401, "wrong-token", "a change needs `Authorization: Bearer` and the token that `admin` sets",
                          ("WWW-Authenticate", "Bearer"))  # fmt: skip

    # --- probes ---

    def _live(self, request: Request) -> Answer:
        status = self._operated.status()
        alive = bool(status["workers"])
        return _probe(request, alive, "live" if alive else "no worker is alive", {"live": alive})

    def _started(self, request: Request) -> Answer:
        started = self._operated.status()["running"]
        return _probe(request, started, "started" if started else "starting", {"started": started})

    def _ready(self, request: Request) -> Answer:
        status = self._operated.status()
        ready, why = readiness(status)
        if "verbose" in request.query.split("&") and not request.wants_json():
            return text(200 if ready else 503, "\n".join([*_checks(status), why]))
        names = ("draining", "reloading", "policy", "generation", "store", "workers_wanted", "workers")
        shown: dict[str, Any] = {name: status[name] for name in names}  # type: ignore[literal-required]
        return _probe(request, ready, why, {"ready": ready, "why": why, **shown})

    # --- the rest ---

    def _status(self, request: Request) -> Answer:
        status = self._operated.status()
        ready, _ = readiness(status)
        return json(200, {"ready": ready, **status})

    def _measured(self, request: Request) -> Answer:
        return Answer(200, CONTENT_TYPE, self._metrics(self._operated.status()))

    def _reload(self, request: Request) -> Answer:
        good, said = self._operated.reload(RELOAD_TIMEOUT)
        if good:
            return _done(request, 200, said or "the policy was reloaded")
        if request.wants_json():
            raise Refused(422, "policy-refused", said or "the policy was not taken up")
        return text(422, said)


def readiness(status: Status) -> tuple[bool, str]:
    """Whether traffic may be sent here, and why not."""
    if status["draining"]:
        return False, "draining"
    ready = sum(worker["state"] == "ready" for worker in status["workers"])
    if not status["running"] and ready < status["workers_wanted"]:
        return False, "starting"
    # One that serves is enough: the sockets of a worker that is being replaced wait for its successor.
    return (True, "ready") if ready else (False, "no worker is ready")


def _checks(status: Status) -> list[str]:
    """One line each: `[+]` fine, `[-]` not; only the last line of the page decides."""

    def line(good: bool, said: str) -> str:
        return f"[{'+' if good else '-'}] {said}"

    lines = [
        line(not status["draining"], "draining" if status["draining"] else "not draining"),
        line(not status["store"], f"store: {status['store'] or 'fine'}"),
        line(True, f"policy {status['policy']}, generation {status['generation']}"),
    ]
    # Not for readiness: what to do without the store is for every assertion to say (`when_down`), and a gateway that
    # is taken out of service since the cluster is away takes all the others with it.
    if (cluster := cluster_words(status)) is not None:
        lines.insert(2, line(cluster[0], f"cluster: {cluster[1]}"))
    for worker in status["workers"]:
        same = worker["policy"] == status["policy"]
        policy = (worker["policy"] or "none yet") + ("" if same else " (differs)")
        lines.append(
            line(same and worker["state"] == "ready",
                 f"worker {worker['slot']}: {worker['state']}, pid {worker['pid']}, policy {policy}")
        )  # fmt: skip
    missing = status["workers_wanted"] - len(status["workers"])
    return lines + ([line(False, f"{missing} workers missing")] if missing > 0 else [])


def _probe(request: Request, good: bool, said: str, members: dict[str, Any]) -> Answer:
    status = 200 if good else 503
    return json(status, members) if request.wants_json() else text(status, said)


def _done(request: Request, status: int, said: str) -> Answer:
    return json(status, {"text": said}) if request.wants_json() else text(status, said)


def _wrong_method(request: Request, allowed: str) -> Refused:
    return Refused(405, "method-not-allowed", f"`{request.path}` takes {allowed}", ("Allow", allowed))
