"""A method that sends back what it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Rule
from policylang.source import Span


class TraceMethodOpen(Rule):
    """A service takes TRACE.

    TRACE answers with the request as it arrived, with the fields that the gateway has added to it and cookies that
    scripts must not read. No API needs it.

        service items "/items", methods: ["GET", "TRACE"] { route orders }
    ==
        service items "/items", methods: ["GET"] { route orders }
    """

    name: ClassVar[str] = "trace-method-open"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for service in policy.program.services:
            for method in ("TRACE", "TRACK"):
                if method in service.methods:
                    start = service.span.start + max(service.span.text.find(f'"{method}"'), 0)
                    yield Finding(
                        Span(service.span.source, start, start + len(method) + 2),
                        f"`{method}` answers with the fields of the request", help="leave it out",
                    )  # fmt: skip
