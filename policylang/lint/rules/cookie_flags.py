"""A cookie that scripts, other sites or the network can get at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from policylang.check import program as p
from policylang.diagnostics import Edit
from policylang.lint.guards import fields_written, literal_text
from policylang.lint.policy import Policy
from policylang.lint.rule import Category, Finding, Fix, Rule
from policylang.lint.ways import meaning
from policylang.source import Span

_WANTED = (("HttpOnly", "scripts of the page can read it"), ("SameSite=Lax", "other sites can have it sent"))
_SECURE = ("Secure", "it is also sent without TLS")


class CookieFlags(Rule):
    """A cookie that says who somebody is lacks `HttpOnly`, `SameSite` or, on a public gateway, `Secure`.

    Without `HttpOnly` a script that was smuggled into a page reads it, without `SameSite` another site has the browser
    send it, without `Secure` it travels in the clear. Cookies of constant or public values are not meant.

        let private sid = random_hex(16)
        respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/" }
    ==
        let private sid = random_hex(16)
        respond 204, header: { "Set-Cookie": "sid=${sid}; Path=/; HttpOnly; SameSite=Lax" }
    """

    name: ClassVar[str] = "cookie-flags"
    category: ClassVar[Category] = "security"

    def check(self, policy: Policy) -> Iterator[Finding]:
        for visit in policy.visits:
            for field in fields_written(visit.statement):
                value = meaning(policy, visit.service, field.value)
                if (field.message, field.name) != ("response", "set-cookie") or not isinstance(
                    value, (p.Template, p.BinaryOp)
                ):
                    continue
                sources = policy.origins.of(visit.service).flows(value)
                if not value.private and not any(kind in ("random", "identity", "user") for kind, _ in sources):
                    continue
                text = literal_text(value)
                missing = [
                    (flag, why) for flag, why in (*_WANTED, *([_SECURE] if policy.public else []))
                    if not re.search(rf";\s*{flag.partition('=')[0]}\s*(?:;|=|$)", text, re.I)
                ]  # fmt: skip
                if missing and not _worked_out(_pieces(value)):
                    names = ", ".join(f"`{flag.partition('=')[0]}`" for flag, _ in missing)
                    added = "".join(f"; {flag}" for flag, _ in missing)
                    yield Finding(
                        value.span, f"this cookie lacks {names}: {missing[0][1]}", help=f"write `{added}` at its end",
                        fix=_appended(value.span, added),
                    )  # fmt: skip


def _pieces(cookie: p.Expr) -> list[str | p.Expr]:
    """Its texts, and what is between them."""
    if isinstance(cookie, p.BinaryOp) and cookie.op == "+":
        return _pieces(cookie.left) + _pieces(cookie.right)
    if isinstance(cookie, p.Const):
        return [str(cookie.value)]
    return list(cookie.parts) if isinstance(cookie, p.Template) else [cookie]


def _worked_out(pieces: list[str | p.Expr]) -> bool:
    """Whether some of its attributes are known for each message only."""
    return any(
        isinstance(part, p.Expr) and not isinstance(part, p.Const)
        and isinstance(before, str) and before.rstrip().endswith(";")
        for before, part in pairwise(pieces)
    )  # fmt: skip


def _appended(span: Span, text: str) -> Fix | None:
    if not span.text.endswith('"') or span.text.endswith('"""'):
        return None
    return Fix(f"write `{text}` at its end", (Edit(Span(span.source, span.end - 1, span.end - 1), text),))
