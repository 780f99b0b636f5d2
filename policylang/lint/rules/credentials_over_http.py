"""Credentials that travel in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import urlsplit

from policylang.check import program as p
from policylang.lint.guards import on_loopback, sends, writes_part
from policylang.lint.look import Visit, argument, authenticates, calls, compared, constant, expressions, given
from policylang.lint.origins import Source, Way, named
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
                for value in _put(visit.statement):
                    if not _bare(way.flows(value)):
                        continue
                    later = [visit] if sends(visit.statement) else _unless_taken_out(visit, way)
                    for sending in later:
                        upstream = getattr(constant(argument(sending.statement, "upstream")), "name", "")
                        if upstream in plain:
                            yield Finding(
                                value.span, f"this secret goes to `{upstream}` without TLS",
                                labels=[Label(plain[upstream], "a server without TLS"),
                                        Label(sending.statement.span, "sent here")],
                                help="give the server as `https://…`",
                            )  # fmt: skip
                            break


def _put(statement: p.Statement) -> Iterator[p.Expr]:
    """What is put into a request that goes to an upstream."""
    if isinstance(statement, p.SetPlace) and getattr(statement.place, "message", "") == "request":
        yield statement.value
    elif sends(statement):
        yield from (each for name in ("path", "query", "host") if (each := given(statement, name)) is not None)


def _unless_taken_out(visit: Visit, way: Way) -> Iterator[Visit]:
    """What runs behind it, up to where it is written anew or removed."""
    place = getattr(visit.statement, "place", None)
    key = constant(place.key) if isinstance(place, p.NamedPlace) else None
    for each in way.after(visit, _sends_or_writes):
        if isinstance(place, p.NamedPlace) and key is not None and each.parents == visit.parents and writes_part(
            each.statement, place.kind, str(key).lower() if place.kind == "header" else str(key)
        ):  # fmt: skip
            return
        if sends(each.statement):
            yield each


def _sends_or_writes(statement: p.Statement) -> bool:
    return isinstance(statement, (p.SetPlace, p.RemovePlace)) or sends(statement)


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
            if calls(statement, "lookup") and any(kind == "cookie" for kind, _ in way.flows(expr)):
                return expr.span  # other cookies may be anything
    return None


def _plain(upstream: p.Upstream) -> Span | None:
    for setting in upstream.settings:
        if setting.name == "server":
            url = urlsplit(str(setting.values["url"]))
            if url.scheme == "http" and not on_loopback(url.hostname or ""):
                return setting.span
    return None
