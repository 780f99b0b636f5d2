"""What becomes of a request before a policy sees it, wherever it comes from: the gateway, a test, `pol run`."""

from __future__ import annotations

from policylang.sdk.message import Field

CLAIMS = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto", b"x-real-ip"}
)
"""In these a client speaks of its own address, protocol or host, for which nobody has vouched: they are removed."""


def without_claims(fields: list[Field]) -> list[Field]:
    return [field for field in fields if field[0] not in CLAIMS]


def one_spelling(host: str) -> str:
    """`host` or `host:port` in lower case, without the dot that ends a fully qualified name (RFC 3986 6.2.3)."""
    name, mark, port = host.lower().partition(":") if "[" not in host else (host.lower(), "", "")
    return name.removesuffix(".") + (mark + port if port else "")
