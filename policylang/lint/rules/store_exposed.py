"""A cluster on public addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule


class StoreExposed(Rule):
    """A member of the store's cluster has a public address.

    Whoever reaches a member's port reads and changes all that is in it: counters, sessions, cached answers. There is
    neither a password nor TLS in between, so members belong in a network of their own.

        gateway {
            listen "127.0.0.1:8080"
            store hazelcast, cluster: "edge", members: ["8.8.4.4:5701"]
        }
    ==
        gateway {
            listen "127.0.0.1:8080"
            store hazelcast, cluster: "edge", members: ["10.0.0.5:5701"]
        }
    """

    name: ClassVar[str] = "store-exposed"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for setting in policy.program.gateway:
            for member in setting.values["members"] if setting.name == "store" else ():
                try:
                    public = ip_address(member.rpartition(":")[0].strip("[]")).is_global
                except ValueError:
                    continue  # a name, which says nothing of its network
                if public:
                    yield Finding(
                        setting.span, f"strangers may reach the member `{member}`, and all that it holds",
                        help="give members addresses in a network of their own",
                    )  # fmt: skip
