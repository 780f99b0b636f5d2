"""`given …`: what a test finds there. The word is followed by what is given, as `given map("clients")`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from policylang.sdk.assertion import Assertion, Outcome, param
from policylang.sdk.exchange import Exchange
from policylang.sdk.parse import parse_json
from policylang.sdk.values import Expr, Ip, Time
from policylang.testing.moments import moment_of, wrong_moment
from policylang.testing.world import Broken, World, world_of
from policylang.tree.edits import json_bytes


class Given(Assertion):
    """What a test finds there."""


class GivenMap(Given):
    """The entries of a map.

    Of a map with a `file:`, in the place of what the file says (which need not be there then): the policy is loaded
    with them, as when the file has changed. Into a map with a `ttl:` the entries are put, as `store` does.

        given map("clients"), entries: { k1: { id: "ann", contract: "gold" } }
    """

    name: ClassVar[str] = "given map"

    map: str = param("The map's name.", positional=True)
    entries: Expr[dict[str, Any]] = param("Its entries, by their keys.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        world = world_of(exchange)
        _change(world, "maps", self.map, parse_json(json_bytes(self.entries(exchange))))  # as a file says them
        return None


class GivenEnv(Given):
    """An environment variable that the policy reads with `env`.

        given env("REGION"), value: "eu"
    """

    name: ClassVar[str] = "given env"

    variable: str = param("The variable's name.", positional=True)
    value: Expr[str] = param("Its value.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        _change(world_of(exchange), "variables", self.variable, self.value(exchange))
        return None


class GivenSecret(Given):
    """A secret that the policy reads with `secret`.

        given secret("SIGNING_KEY"), value: "not so secret"
    """

    name: ClassVar[str] = "given secret"

    secret: str = param("The secret's name.", positional=True)
    value: Expr[str] = param("Its value.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        _change(world_of(exchange), "secrets", self.secret, self.value(exchange))
        return None


class GivenFile(Given):
    """The text of a file that the policy reads, under the path as the policy writes it.

        given file("page.html"), text: "<p>hello</p>"
    """

    name: ClassVar[str] = "given file"

    path: str = param("The path, as in the policy.", positional=True)
    text: Expr[str] = param("What is in it.")

    def evaluate(self, exchange: Exchange) -> Outcome:
        _change(world_of(exchange), "files", self.path, self.text(exchange))
        return None


def _change(world: World, what: str, name: str, value: Any) -> None:
    changed: dict[str, Any] = {what: {**getattr(world.given, what), name: value}}
    world.change(replace(world.given, **changed))


class GivenCertificate(Given):
    """A client's certificate, for `cert:` of a request.

    It is a real one, and the same in each run, its fingerprint too.
    Which issuers a listener lets in, and whether a certificate is over, is settled before a policy is asked: a test
    has the certificates that were let in.

        given certificate("partner"), subject: "CN=partner,O=Acme", names: ["partner.example"]
    """

    name: ClassVar[str] = "given certificate"

    called: str = param("The name that `cert:` knows it by.", positional=True)
    subject: Expr[str] = param("Its subject, as RFC 4514 writes it.")
    names: Expr[list[str]] | None = param("Further names: of hosts, addresses, mailboxes, URIs.", default=None)
    issuer: Expr[str] | None = param("Who has issued it; left out: itself.", default=None)
    not_after: Expr[str | Time] | None = param("Until when it is valid, UTC; left out: for long.", default=None)
    serial: int = param("Its serial number.", default="1")

    def evaluate(self, exchange: Exchange) -> Outcome:
        from policylang.testing.certificates import USUAL_END, made

        subject = self.subject(exchange)
        issuer = subject if self.issuer is None else self.issuer(exchange)
        names = () if self.names is None else tuple(self.names(exchange))
        end = USUAL_END if self.not_after is None else moment_of(self.not_after(exchange), "UTC")
        try:
            found = made(subject, issuer, names, end, self.serial)
        except (ValueError, TypeError) as wrong:
            raise Broken(str(wrong)) from None
        world_of(exchange).certificates[self.called] = found
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        serial = constants.get("serial")
        if serial is not None and (not isinstance(serial, int) or not 0 < serial < 1 << 159):
            return "`serial` is a whole number above 0"
        return wrong_moment({"not_after": constants.get("not_after")}, "not_after")


class GivenCaller(Given):
    """Who asks: what each request of `as:` that name carries. What the request itself says goes before it.

        given caller("ann"), header: { "X-API-Key": "k1" }, from: "192.0.2.7"
    """

    name: ClassVar[str] = "given caller"

    called: str = param("The name that `as:` knows it by.", positional=True)
    header: Expr[dict[str, Any]] | None = param("Header fields of its requests.", default=None)
    from_: Expr[Ip] | None = param("Its address.", default=None)
    cert: Expr[str] | None = param("Its certificate, by the name of its `given certificate`.", default=None)
    host: Expr[str] | None = param("The host that it asks for.", default=None)
    at: Expr[str] | None = param("The gateway that it asks.", default=None)

    def evaluate(self, exchange: Exchange) -> Outcome:
        found: dict[str, Any] = {}
        for name in ("header", "from_", "cert", "host", "at"):
            expr = getattr(self, name)
            if expr is not None:
                found[name.rstrip("_")] = expr(exchange)
        world_of(exchange).callers[self.called] = found
        return None


class GivenTime(Given):
    """What time it is when the test begins. Left out, it is 2026-01-01T00:00:00Z.

        given time("2026-03-31T23:59:58", zone: "Europe/Istanbul")
    """

    name: ClassVar[str] = "given time"

    at: Expr[str | Time] = param("The time: text such as \"2026-03-31T23:59:58\", or a time.", positional=True)
    zone: Expr[str] = param("The time zone that it is of, by its IANA name.", default='"UTC"')

    def evaluate(self, exchange: Exchange) -> Outcome:
        world = world_of(exchange)
        if world.requests:
            raise Broken("`given time` comes before the first request; `advance to:` moves the clock after it")
        if world.keeps:
            raise Broken("`given time` comes before the entries of maps in the store, which live by it")
        world.clock.set_wall(moment_of(self.at(exchange), self.zone(exchange)))
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return wrong_moment(constants, "at")


class GivenGateways(Given):
    """Several gateways, which share one store, as those of a cluster do. A request asks one of them with `at:`.

        given gateways(["a", "b"])
    """

    name: ClassVar[str] = "given gateways"

    names: list[str] = param("What they are called.", positional=True)

    def evaluate(self, exchange: Exchange) -> Outcome:
        world = world_of(exchange)
        if world.requests:
            raise Broken("`given gateways` comes before the first request")
        world.set_gateways(list(self.names))
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        names = constants.get("names")
        texts = [name for name in names or () if isinstance(name, str) and name]
        if names is not None and (not texts or len(set(texts)) < len(names)):
            return "`names` is a list of one name or more, each another one"
        return None


GIVEN = {
    each.name.partition(" ")[2]: each
    for each in (
        GivenMap, GivenEnv, GivenSecret, GivenFile, GivenCertificate, GivenCaller, GivenTime, GivenGateways,
    )
}  # fmt: skip
"""By the word that stands behind `given`."""
