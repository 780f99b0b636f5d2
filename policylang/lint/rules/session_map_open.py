"""Sessions that lie open in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.check import program as p
from policylang.lint.look import argument, calls, constant
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.lint.ways import meaning
from policylang.sdk.shared_map import SharedMap
from policylang.syntax import nodes as n


class SessionMapOpen(Rule):
    """A map that is asked with a cookie or a token keeps these as they are.

    Whoever reads the store, a backup of it or what `polgate map list` prints has every session that is alive. With
    `private: true` the map keeps hashes of its keys, and what it gives is private.

        map sessions, ttl: 30m

        service login "/login" {
            let sid = random_hex(16)
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
        }

        service account "/account" {
            lookup request.cookie.sid, in: map("sessions")
            respond 204
        }
    ==
        map sessions, ttl: 30m, private: true

        service login "/login" {
            let sid = random_hex(16)
            store sid, { theme: "dark" }, in: map("sessions")
            respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
        }

        service account "/account" {
            lookup request.cookie.sid, in: map("sessions")
            respond 204
        }
    """

    name: ClassVar[str] = "session-map-open"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        declared = {each.name: each for each in policy.declarations if isinstance(each, n.MapDeclaration)}
        for visit in policy.visits:
            if not calls(visit.statement, "lookup"):
                continue
            key, where = argument(visit.statement, "key"), constant(argument(visit.statement, "in"))
            if (
                key is not None and key.private and isinstance(where, SharedMap) and not where.private
                and not _hashed(meaning(policy, visit.service, key))
            ):  # fmt: skip
                yield Finding(
                    declared[where.name].name_span, f"the keys of `{where.name}` are secrets, kept in the clear",
                    labels=[Label(key.span, "a secret")], help="declare it with `private: true`",
                )  # fmt: skip


def _hashed(key: p.Expr) -> bool:
    return isinstance(key, p.FunctionCall) and key.card.name.startswith(("sha", "hmac_"))
