"""Everybody's word about the client counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import too_wide
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class AllProxiesTrusted(Rule):
    """`trusted_proxies` takes in a large part of the internet.

    Of a chain of proxies the first address that is not trusted is the client. Where all are, it is the one that stands
    first, which the client itself has written: every limit and every check by address is at its will. `v4` and `v6`
    are the shortest prefixes that pass.

        gateway {
            listen "127.0.0.1:8080"
            trusted_proxies ["0.0.0.0/0"]
        }
    ==
        gateway {
            listen "127.0.0.1:8080"
            trusted_proxies ["10.20.0.0/16"]
        }
    """

    name: ClassVar[str] = "all-proxies-trusted"
    category: ClassVar[Category] = "security"
    options: ClassVar[dict[str, int]] = {"v4": 8, "v6": 16}

    def check(self, policy: Policy) -> Iterator[Finding]:
        for setting in policy.program.gateway:
            if setting.name == "trusted_proxies":
                for network in setting.values["networks"]:
                    if too_wide(network, self.given["v4"], self.given["v6"]):
                        yield Finding(
                            setting.span, f"with `{network}` the client itself says what `client.ip` is",
                            help="name the addresses of the proxies in front, and no others",
                        )  # fmt: skip
