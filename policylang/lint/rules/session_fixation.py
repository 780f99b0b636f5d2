"""A session under an id that the client has brought along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span


class SessionFixation(Rule):
    """A session is stored under the cookie that the request came with.

    Whoever puts a cookie of his own into another's browser before the log-in knows the session afterwards, and is that
    user. Make a new id at each log-in; an entry that was looked up first may be stored again under its key.

        map sessions, ttl: 30m, private: true

        service login "/login", methods: ["POST"] {
            let sid = request.cookie.sid
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204
        }

        service account "/account" {
            lookup request.cookie.sid, in: map("sessions")
            respond 204
        }
    ==
        map sessions, ttl: 30m, private: true

        service login "/login", methods: ["POST"] {
            let private sid = random_hex(16)
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
        }

        service account "/account" {
            lookup request.cookie.sid, in: map("sessions")
            respond 204
        }
    """

    name: ClassVar[str] = "session-fixation"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        asked: dict[str, Span] = {}
        for visit in policy.visits:
            key = argument(visit.statement, "key") if calls(visit.statement, "lookup") else None
            if key is not None and any(kind == "cookie" for kind, _ in policy.origins.of(visit.service).flows(key)):
                asked.setdefault(_map(visit.statement), visit.statement.span)
        for visit in policy.visits if asked else ():
            key = argument(visit.statement, "key") if calls(visit.statement, "store", "remember") else None
            where = asked.get(_map(visit.statement))
            if key is None or where is None:
                continue
            if policy.origins.of(visit.service).chosen(key, visit, frozenset({"cookie"})):
                yield Finding(
                    key.span, "the client brings along what its session is known by",
                    labels=[Label(where, "the session is found by it here")],
                    help="make a new one: `let private sid = random_hex(16)`",
                )  # fmt: skip


def _map(statement: p.Statement) -> str:
    return str(getattr(constant(argument(statement, "in")), "name", ""))
