"""Credentials that travel in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from policylang.check import program as p
from policylang.lint.guards import fields_written, on_loopback, sends
from policylang.lint.look import argument, authenticates, calls, compared, constant, expressions
from policylang.lint.origins import Source, named
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule
from policylang.source import Span

_SENT_ALONG = {("header", "authorization"), ("header", "cookie")}


class CredentialsOverHttp(Rule):
    """Keys, tokens or cookies go over a network without TLS.

    Everybody on the way reads them and can use them: from the client to a `listen` without a certificate (unless a
    proxy in front speaks TLS, which `trusted_proxies` or `proxy_protocol` say), or from the gateway to a server with
    `http://` on another machine.

        upstream orders {
            server "http://orders.example:9000"
        }

        service orders "/orders/**" {
            set request.header["Authorization"] = "Bearer ${secret("ORDERS_TOKEN")}"
            route orders
        }
    ==
        upstream orders {
            server "https://orders.example:9443"
        }

        service orders "/orders/**" {
            set request.header["Authorization"] = "Bearer ${secret("ORDERS_TOKEN")}"
            route orders
        }
    """

    name: ClassVar[str] = "credentials-over-http"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        taken = _taken(policy)
        proxies = any(each.name == "trusted_proxies" and each.values["networks"] for each in policy.program.gateway)
        if taken is not None and not proxies:
            for listen in policy.listens:
                host = str(listen.values["address"]).rpartition(":")[0]
                if listen.values["cert"] is None and not listen.values["proxy_protocol"] and not on_loopback(host):
                    yield Finding(
                        listen.span, "clients send their credentials over this without TLS",
                        labels=[Label(taken, "they are read here")],
                        help="give it `cert:` and `key:`, or say which proxy speaks TLS: `trusted_proxies`",
                    )  # fmt: skip
        plain = {each.name: span for each in policy.program.upstreams if (span := _plain(each)) is not None}
        for service in policy.program.services if plain else ():
            way = policy.origins.of(service)
            for visit in way.path:
                for field in fields_written(visit.statement):
                    if field.message == "request" and _bare(way.flows(field.value)):
                        for later in way.after(visit):
                            upstream = getattr(constant(argument(later.statement, "upstream")), "name", "")
                            if sends(later.statement) and upstream in plain:
                                yield Finding(
                                    field.value.span, f"this secret goes to `{upstream}` without TLS",
                                    labels=[Label(plain[upstream], "a server without TLS"),
                                            Label(later.statement.span, "sent here")],
                                    help="give the server as `https://…`",
                                )  # fmt: skip
                                break


def _bare(sources: frozenset[Source]) -> bool:
    """Whether it has a secret in it; a signature that was made with one does not show it."""
    return ("secret", "") in sources and ("signature", "") not in sources


def _taken(policy: Policy) -> Span | None:
    """Where the first credential of a caller is read."""
    for visit in policy.visits:
        statement = visit.statement
        way = policy.origins.of(visit.service)
        if authenticates(statement) or calls(statement, "lockout"):
            return statement.span
        for expr in expressions(statement):
            if isinstance(expr, p.MessageField) and expr.field == "bearer":
                return expr.span
            for side in compared(expr):  # a signature shows nothing to who reads along
                if way.flows(side) and way.flows(side) <= {("secret", ""), ("constant", "")} and side.private:
                    return expr.span
            if isinstance(expr, p.Named) and named(expr) in _SENT_ALONG and expr.message == "request":
                return expr.span
            session = isinstance(expr, p.Named) and (expr.message, expr.kind) == ("request", "cookie")
            if session and calls(statement, "lookup"):  # other cookies may be anything
                return expr.span
    return None


def _plain(upstream: p.Upstream) -> Span | None:
    for setting in upstream.settings:
        if setting.name == "server":
            url = urlsplit(str(setting.values["url"]))
            if url.scheme == "http" and not on_loopback(url.hostname or ""):
                return setting.span
    return None
