"""TLS towards anybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from policylang.lint.guards import on_loopback
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class TlsNotVerified(Rule):
    """The certificate of an upstream's servers is not verified.

    Whoever can get in between reads and changes everything, with any certificate. For servers with certificates of
    your own name who issues them.

        upstream orders {
            server "https://orders.internal:8443"
            tls verify: false
        }

        service orders "/orders/**" { route orders }
    ==
        upstream orders {
            server "https://orders.internal:8443"
            tls ca: "internal-ca.pem"
        }

        service orders "/orders/**" { route orders }
    """

    name: ClassVar[str] = "tls-not-verified"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for upstream in policy.program.upstreams:
            urls = [urlsplit(str(each.values["url"])) for each in upstream.settings if each.name == "server"]
            for setting in upstream.settings:
                away = any(url.scheme == "https" and not on_loopback(url.hostname or "") for url in urls)
                if away and setting.name == "tls" and setting.values["verify"] is False:
                    yield Finding(
                        setting.span, f"anybody may pass for the servers of `{upstream.name}`",
                        help='name who issues their certificates: `tls ca: "internal-ca.pem"`',
                    )  # fmt: skip
