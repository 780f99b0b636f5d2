"""A path for those inside, open to those outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import Marked, identifies, open_to_strangers, sends, surely_before
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class InnerPathOpen(Rule):
    """A public service passes on what is meant for operators, and asks nobody who he is.

    Paths such as `/admin`, `/internal` or `/actuator` are the first that strangers try. Ask for a key, a certificate
    or an address, or serve them on a gateway of loopback. `names` are the segments that are looked for.

        gateway {
            listen "0.0.0.0:8080"
        }

        service admin "/admin/**" {
            rate_limit 5/s, per: network_of(client.ip)
            route orders
        }
    ==
        gateway {
            listen "0.0.0.0:8080"
        }

        service admin "/admin/**" {
            allow_ip "198.51.100.0/24"
            route orders
        }
    """

    name: ClassVar[str] = "inner-path-open"
    category: ClassVar[Category] = "security"
    options: ClassVar[dict[str, list[str]]] = {
        "names": ["admin", "internal", "actuator", "debug", "management", "metrics", "phpmyadmin", "swagger-ui"]
    }

    def check(self, policy: Policy) -> Iterator[Finding]:
        if not open_to_strangers(policy):
            return
        names = {name.lower() for name in self.given["names"]}
        for service in policy.program.services:
            inner = [path for path in service.paths if names & {str(each).lower() for each in path.segments}]
            way = policy.origins.of(service)
            known = Marked(visit.statement for visit in way.path if inner and identifies(way, visit.statement))
            for visit in way.path if inner else ():
                if sends(visit.statement) and not surely_before(policy, visit, known):
                    yield Finding(
                        inner[0].span, f"strangers may ask for `{inner[0].text}`",
                        help='ask who is there first, as with `allow_ip "198.51.100.0/24"` or `api_key`',
                    )  # fmt: skip
                    break
