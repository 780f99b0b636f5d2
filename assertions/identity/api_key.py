"""`api_key`"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from policylang.sdk import Assertion, Exchange, Expr, Outcome, Principal, param
from policylang.sdk import static_types as t


class ApiKey(Assertion):
    """Know the caller by a key that it sends, and look it up in a map.

    The map's entry is the output; `user` is set from it: `user.id` is the entry's `id` (without one, a digest of the
    key), `user.roles` its `roles`, `user.claims` the entry. A missing key is refused like an unknown one.

        api_key request.header["X-API-Key"], in: map("clients") -> caller
    """

    name: ClassVar[str] = "api_key"
    failures: ClassVar[Mapping[str, int]] = {"no-api-key": 401, "unknown-api-key": 401}
    outputs: ClassVar[Mapping[str, t.Type]] = {"caller": t.JSON}
    effects: ClassVar[frozenset[str]] = frozenset({"user"})

    key: Expr[str | None] = param("The key that came with the request.", positional=True)
    in_: dict[str, Any] = param("The map from keys to what is known of their holders.")
    realm: str = param("The realm named in `WWW-Authenticate`.", default='"api"')

    def evaluate(self, exchange: Exchange) -> Outcome:
        key = self.key(exchange)
        if not key:
            return self._refusal("no-api-key", "the request carries no API key")
        entry = self.in_.get(key)
        if entry is None:
            return self._refusal("unknown-api-key", "nobody has this API key")
        principal = self._principals.get(key)
        if principal is None:
            principal = self._principals[key] = _principal(key, entry)
        exchange.user = principal
        return entry

    def _refusal(self, name: str, detail: str) -> Outcome:
        return self.failure(name, detail, headers=(self._challenge,))

    @cached_property
    def _principals(self) -> dict[str, Principal]:
        return {}  # one for each known key at most

    @cached_property
    def _challenge(self) -> tuple[str, str]:
        realm = self.realm.replace("\\", "\\\\").replace('"', '\\"')
        return ("WWW-Authenticate", f'ApiKey realm="{realm}"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        realm = constants.get("realm")
        if isinstance(realm, str) and not (realm.isascii() and realm.isprintable()):
            return "`realm` takes printable ASCII characters only"
        return None


def _principal(key: str, entry: Any) -> Principal:
    facts = entry if isinstance(entry, dict) else {}
    id = facts.get("id")
    roles = facts.get("roles")
    return Principal(
        id if isinstance(id, str) else "key-" + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:16],
        tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else (),
        entry,
    )
