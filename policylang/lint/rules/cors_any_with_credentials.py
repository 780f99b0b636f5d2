"""Every site may ask in a user's name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.guards import fields_written
from policylang.lint.look import Visit, constant
from policylang.lint.origins import Way
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Label, Rule


class CorsAnyWithCredentials(Rule):
    """Scripts of every site may read answers that were made for a logged-in user.

    `Access-Control-Allow-Credentials: true` lets a browser send its cookies. With the Origin of whoever asks as
    `Access-Control-Allow-Origin` every site can act as the user; with `*` browsers refuse it altogether. Answer an
    Origin that was held against a list.

        route orders
        set response.header["Access-Control-Allow-Origin"] = request.header["Origin"] ?? "null"
        set response.header["Access-Control-Allow-Credentials"] = "true"
    ==
        let origin = request.header["Origin"] ?? "none"
        route orders
        if origin in ["https://shop.example", "https://app.example"] {
            set response.header["Access-Control-Allow-Origin"] = origin
            set response.header["Access-Control-Allow-Credentials"] = "true"
        }
    """

    name: ClassVar[str] = "cors-any-with-credentials"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        after = [visit for visit in policy.origins.of(None).visits if visit.place == "after"]
        for service in policy.program.services:
            visits = [*policy.origins.of(service).visits, *after]
            fields = [(visit, each) for visit in visits for each in fields_written(visit.statement)]
            allowing = [
                each for _, each in fields
                if each.name == "access-control-allow-credentials" and constant(each.value) in ("true", True)
            ]  # fmt: skip
            for visit, each in fields if allowing else ():
                if each.name == "access-control-allow-origin":
                    whose = policy.origins.of(visit.service)
                    every = constant(each.value) == "*"
                    if every or (
                        ("header", "origin") in whose.chosen(each.value, visit, formed=True)
                        and not _judged(whose, visit)
                    ):  # fmt: skip
                        yield Finding(
                            each.value.span,
                            "browsers refuse `*` where credentials are allowed" if every
                            else "every site may ask with a user's cookies",
                            labels=[Label(allowing[0].value.span, "credentials are allowed here")],
                            help="answer an Origin that was held against a list: `if origin in [\"https://…\"]`",
                        )  # fmt: skip


def _judged(way: Way, visit: Visit) -> bool:
    """Whether the Origin's text was looked at; what is content with too little of it is `judged-by-part`."""
    return any(
        ("header", "origin") in way.flows(asked.left)
        for asked in way.asked(visit, "starts_with", "ends_with", "contains")
    )
