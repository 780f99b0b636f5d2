"""A session that anybody has who sees an address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import fields_written
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.sdk.shared_map import SharedMap


class SessionInUrl(Rule):
    """What a session is known by stands in an address.

    Addresses are written into logs, histories and the `Referer` of what is asked next, and people send them to each
    other: with it they give away the session. A cookie is sent by the browser alone.

        map sessions, ttl: 30m, private: true

        service login "/login" {
            let private sid = random_hex(16)
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
        }

        service account "/account" {
            lookup request.query.sid, in: map("sessions") -> session
            respond 200, header: { "X-Theme": reveal(string(session.theme) ?? "plain") }
        }
    ==
        map sessions, ttl: 30m, private: true

        service login "/login" {
            let private sid = random_hex(16)
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
        }

        service account "/account" {
            lookup request.cookie.sid, in: map("sessions") -> session
            respond 200, header: { "X-Theme": reveal(string(session.theme) ?? "plain") }
        }
    """

    name: ClassVar[str] = "session-in-url"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            way = policy.origins.of(visit.service)
            key = argument(visit.statement, "key") if calls(visit.statement, "lookup") else None
            where = constant(argument(visit.statement, "in"))
            # A code that counts once is spent when it is in somebody's log.
            spent = constant(argument(visit.statement, "once"))
            found = key is not None and _in_address(way.flows(key)) and not spent
            if key is not None and found and isinstance(where, SharedMap) and where.private:
                yield Finding(
                    key.span, "a session is found by what stands in an address",
                    help="take it from a cookie: `request.cookie.sid`",
                )  # fmt: skip
            for field in fields_written(visit.statement):
                if (field.message, field.name) == ("response", "location") and field.value.private:
                    yield Finding(
                        field.value.span, "a private value is put into an address",
                        help="hand it out in a cookie: `Set-Cookie`",
                    )  # fmt: skip


def _in_address(sources: frozenset[tuple[str, str]]) -> bool:
    return any(kind in ("query", "path") or (kind, name) == ("request", "path") for kind, name in sources)
