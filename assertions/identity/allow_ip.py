"""`allow_ip`"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from policylang.sdk import Assertion, Exchange, Expr, Ip, Outcome, param
from policylang.sdk.networks import Networks, check_networks


class AllowIp(Assertion):
    """Let only these addresses and networks pass.

    An IPv4 address written inside IPv6 counts as IPv4.

        allow_ip "10.0.0.0/8", "2001:db8::/32"
    """

    name: ClassVar[str] = "allow_ip"
    failures: ClassVar[Mapping[str, int]] = {"ip-not-allowed": 403}

    networks: tuple[str, ...] = param("Addresses and networks.", positional=True, many=True)
    ip: Expr[Ip] = param("The address that is looked at.", default="client.ip")

    def evaluate(self, exchange: Exchange) -> Outcome:
        if self.ip(exchange) not in self._networks:
            return self.failure("ip-not-allowed", "your address is not allowed")
        return None

    @cached_property
    def _networks(self) -> Networks:
        return Networks(self.networks)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return check_networks(constants.get("networks"))
