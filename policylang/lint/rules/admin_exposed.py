"""An admin listener for everybody."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class AdminExposed(Rule):
    """The admin listener is on every address of the machine, or on a public one.

    It speaks plain HTTP: its token travels in the clear, and whoever reaches it reads metrics, names of services and
    the state of upstreams without one.

        gateway {
            listen "127.0.0.1:8080"
            admin "0.0.0.0:9901", token: secret("POLGATE_ADMIN_TOKEN")
        }
    ==
        gateway {
            listen "127.0.0.1:8080"
            admin "127.0.0.1:9901", token: secret("POLGATE_ADMIN_TOKEN")
        }
    """

    name: ClassVar[str] = "admin-exposed"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for setting in policy.program.gateway:
            host = str(setting.values["address"]).rpartition(":")[0].strip("[]") if setting.name == "admin" else ""
            try:
                address = ip_address(host)
            except ValueError:
                continue  # a Unix socket, or none at all
            if address.is_unspecified or address.is_global:
                yield Finding(
                    setting.span, f"strangers may reach the admin listener on `{host}`",
                    help="give it an address of loopback or of the network that probes and scrapers are in",
                )  # fmt: skip
