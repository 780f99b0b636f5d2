"""The outcomes of an assertion: it passes, or it fails with a value; the surroundings fail with an exception."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

from policylang.source import Span

_ACRONYMS = frozenset({"api", "http", "ip", "json", "jwt", "tls", "xml"})


class Kind(Enum):
    """Why something failed; decides what may turn it into success (language.md, section 7)."""

    REFUSAL = "refusal"  # the check ran and said no
    ERROR = "error"  # a wrong type, an unreadable message, an upstream that gave no answer
    AWAY = "away"  # a store, key set or directory that cannot be asked
    DEFECT = "defect"  # our own mistake


class Failure:
    """A failed assertion, as a value. `span` and `assertion` are filled in by the tree where they are missing.

    `detail` is for the caller, `reason` for the log alone.
    """

    __slots__ = ("assertion", "detail", "headers", "kind", "members", "name", "reason", "span", "status", "title")

    def __init__(
        self,
        name: str,
        status: int,
        detail: str = "",
        *,
        title: str = "",
        kind: Kind = Kind.REFUSAL,
        headers: tuple[tuple[str, str], ...] = (),
        members: Mapping[str, Any] | None = None,
        assertion: str = "",
        span: Span | None = None,
        reason: str = "",
    ) -> None:
        self.name = name
        self.status = status
        self.title = title or _title(name)
        self.detail = detail
        self.kind = kind
        self.headers = headers
        self.members = members
        self.assertion = assertion
        self.span = span
        self.reason = reason

    def __repr__(self) -> str:
        return f"Failure({self.name!r}, {self.status}, {self.detail!r}, {self.kind.value}, at={self.span})"


@lru_cache(maxsize=1024)
def _title(name: str) -> str:
    words = [word.upper() if word in _ACRONYMS else word for word in name.split("-")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


class Failed(Exception):
    """Carries a failure out of an expression, where there is no value to return it in."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.name)
        self.failure = failure


class Unavailable(Exception):
    """The surroundings cannot answer: a store, a key set, a directory. Becomes a failure of kind AWAY."""

    def __init__(self, what: str, detail: str = "", *, status: int = 503, retry_after: int = 1) -> None:
        super().__init__(f"{what}: {detail}" if detail else what)
        self.what = what
        self.detail = detail
        self.status = status
        self.retry_after = retry_after


def wrong_type(detail: str, *, status: int = 400) -> Failed:
    return Failed(Failure("wrong-type", status, detail, kind=Kind.ERROR))


def missing_value(detail: str, *, status: int = 400) -> Failed:
    return Failed(Failure("missing-value", status, detail, kind=Kind.ERROR))


def unreadable(what: str, detail: str, *, status: int = 400) -> Failed:
    """what: `body`, `query`, `cookie`…; makes the failure `unreadable-body` and so on."""
    return Failed(Failure(f"unreadable-{what}", status, detail, kind=Kind.ERROR))
