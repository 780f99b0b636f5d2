"""A service that is too long to be seen at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule, Severity
from policylang.syntax import nodes as n


class LongService(Rule):
    """A service with very many statements hides which of them guards what.

    Checks that belong together are an `assertion` with a name of its own, tested by itself and called by other services
    too; what is asked of each of many is a `for`. `most` says how many statements a body may have, inner ones
    counted, but not the single ones of a `match`.

        require request.json.order != none
        require request.json.customer != none
        require request.json.currency != none
        require request.json.total != none
        require request.json.tax != none
        require request.json.street != none
        require request.json.city != none
        require request.json.postcode != none
        require request.json.country != none
        require request.json.phone != none
        require request.json.email != none
        require request.json.note != none
        require request.json.voucher != none
        require request.json.gift != none
        require request.json.wrapping != none
        require request.json.insurance != none
        require request.json.carrier != none
        require request.json.weight != none
        require request.json.parcels != none
        require request.json.pickup != none
        require request.json.slot != none
        require request.json.floor != none
        require request.json.door != none
        require request.json.buzzer != none
        require request.json.invoice != none
        require request.json.company != none
        require request.json.vat != none
        require request.json.language != none
        require request.json.consent != none
        require request.json.newsletter != none
        require request.json.source != none
    ==
        # Whether the order has each of these.
        assertion complete(fields: list) {
            for field in fields { require request.json[field] != none }
        }

        service items "/items", methods: ["POST"] {
            complete ["order", "customer", "currency", "total", "tax", "note", "voucher", "gift", "invoice"]
            complete ["street", "city", "postcode", "country", "phone", "email", "floor", "door", "buzzer"]
            complete ["wrapping", "insurance", "carrier", "weight", "parcels", "pickup", "slot", "source"]
            complete ["company", "vat", "language", "consent", "newsletter"]
            route orders
        }
    """

    name: ClassVar[str] = "long-service"
    category: ClassVar[Category] = "style"
    severity: ClassVar[Severity] = Severity.INFO
    options: ClassVar[Mapping[str, Any]] = {"most": 30}

    def check(self, policy: Policy) -> Iterator[Finding]:
        most = self.given["most"]
        counted = Counter(
            id(each.declaration) for each in policy.scopes for inner in policy.written_in(each) if inner.block.braced
        )
        for each in policy.declarations:
            if isinstance(each, (n.Service, n.AssertionDeclaration)) and counted[id(each)] > most:
                yield Finding(
                    each.name_span, f"`{each.name}` has {counted[id(each)]} statements, more than {most}",
                    help="make an `assertion` of what belongs together",
                )  # fmt: skip
