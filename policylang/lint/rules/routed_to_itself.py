"""A server that is the gateway itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule

_HERE = (frozenset({"127.0.0.1", "localhost", "0.0.0.0", "::"}), frozenset({"::1", "localhost", "::"}))
"""What leads to one machine over IPv4, and over IPv6; `::` takes both."""


class RoutedToItself(Rule):
    """An upstream has the address that the gateway listens on, so its requests come back.

    Each goes round until a limit ends it (508), and takes a connection on every round.

        gateway {
            listen "127.0.0.1:8080"
        }

        upstream orders {
            server "http://localhost:8080"
        }

        service orders "/orders" { route orders }
    ==
        gateway {
            listen "127.0.0.1:8080"
        }

        upstream orders {
            server "http://localhost:9000"
        }

        service orders "/orders" { route orders }
    """

    name: ClassVar[str] = "routed-to-itself"
    category: ClassVar[Category] = "correctness"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for upstream in policy.program.upstreams:
            for setting in upstream.settings:
                if setting.name != "server":
                    continue
                url = urlsplit(setting.values["url"])
                port = url.port or (443 if url.scheme == "https" else 80)
                for listen in policy.listens:
                    host, _, own = str(listen.values["address"]).rpartition(":")
                    host = host.strip("[]")
                    if own == str(port) and (
                        url.hostname == host or any({url.hostname, host} <= names for names in _HERE)
                    ):
                        yield Finding(
                            setting.span, "this is the gateway itself", labels=[Label(listen.span, "it listens here")],
                            help="name the server that is meant",
                        )  # fmt: skip
