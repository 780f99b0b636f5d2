"""`deny_ip`"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from policylang.sdk import Assertion, Exchange, Expr, Ip, Outcome, param
from policylang.sdk.networks import Networks, check_networks


class DenyIp(Assertion):
    """Refuse these addresses and networks.

    An IPv4 address written inside IPv6 counts as IPv4.

        deny_ip "192.0.2.0/24"
    """

    name: ClassVar[str] = "deny_ip"
    failures: ClassVar[Mapping[str, int]] = {"ip-denied": 403}

    networks: tuple[str, ...] = param("Addresses and networks.", positional=True, many=True)
    ip: Expr[Ip] = param("The address that is looked at.", default="client.ip")

    def evaluate(self, exchange: Exchange) -> Outcome:
        if self.ip(exchange) in self._networks:
            return self.failure("ip-denied", "your address is denied")
        return None

    @cached_property
    def _networks(self) -> Networks:
        return Networks(self.networks)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return check_networks(constants.get("networks"))
