"""A secret that is read as if it were none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from policylang.diagnostics import Edit
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.syntax import nodes as n

_TELLING = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|TOKEN|API_?KEY|(?:SIGNING|PRIVATE|HMAC|ACCESS"
    r"|ENCRYPTION|SESSION)_KEY)(?:_|$)|_PWD$"
)
_ABOUT = re.compile(
    r"_(?:URL|URI|ENDPOINT|HOST|PORT|PATH|FILE|NAME|HEADER|COOKIE|FIELD|TYPE|ID|ISSUER|AUDIENCE|SCOPES?|REALM|PREFIX"
    r"|ALGORITHM|ALG|VERSION|MODE|ENABLED|REQUIRED|TTL|LIFETIME|LEEWAY|EXPIRY|AGE|LENGTH|SIZE|LIMIT|COUNT|POLICY)$"
)
"""What says something about a secret, as `TOKEN_URL` does, is none."""


class EnvForSecret(Rule):
    """A secret is read with `env`, and so may be shown.

    What `env` gives is text like any other: it stands in logs, failures and answers that it is put into. What `secret`
    gives is `private`, with everything that is made of it; it is read from the same variable, or from the service
    manager's credentials.

        set request.header["Authorization"] = "Bearer ${env("ORDERS_TOKEN")}"
        route orders
    ==
        set request.header["Authorization"] = "Bearer ${secret("ORDERS_TOKEN")}"
        route orders
    """

    name: ClassVar[str] = "env-for-secret"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for node in policy.nodes:
            if isinstance(node, n.CallExpr) and node.name == "env" and node.args:
                first = node.args[0].value
                name = first.literal or "" if isinstance(first, n.Text) else ""
                if _TELLING.search(name.upper()) and not _ABOUT.search(name.upper()):
                    fix = Fix("write `secret`", (Edit(node.name_span, "secret"),)) if len(node.args) == 1 else None
                    yield Finding(
                        node.span, f"`{name}` is read as text that may be shown",
                        help="read it with `secret`, which makes it private", fix=fix,
                    )  # fmt: skip
