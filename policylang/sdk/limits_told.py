"""What limits have said of an exchange: for the fields of its answer, the access log and the counters.

RateLimit and RateLimit-Policy are lists of RFC 9651 (draft-ietf-httpapi-ratelimit-headers-11): one field each, however
many limits an exchange has passed, and no name in them stands for two.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from policylang.sdk.message import Field

if TYPE_CHECKING:
    from policylang.sdk.exchange import Exchange

MOST_TOLD: Final = 32
"""Limits of one exchange that are told of; what lies beyond is counted all the same."""
EXCEEDED: Final = "exceeded"
"""It would have been refused, but for `log_only`."""
ALONE: Final = "alone"
"""The store was away, and this process's share decided."""
UNCOUNTED: Final = "uncounted"
"""The store was away, and it passed without being counted."""


class LimitPolicy:
    """One limit as callers are told of it: `quota` units in `window` seconds (None: it has no fixed length).

    `shown`: whether in fields at all; `also_x`: also as X-RateLimit-*. Raises ValueError for a name that no field holds.
    """

    __slots__ = ("_called", "also_x", "field", "logged", "name", "quota", "quoted", "said", "shown", "window")

    def __init__(
        self, name: str, quota: int, window: int | None, *, shown: bool = True, also_x: bool = False
    ) -> None:
        if not is_policy_name(name):
            raise ValueError("a limit's name takes printable ASCII characters without quotes")
        self.name = name
        self.quota = quota
        self.window = window
        self.shown = shown
        self.also_x = also_x
        self.quoted = b'"%b"' % name.encode("ascii")
        self.said = b"%b;q=%d" % (self.quoted, quota) + (b"" if window is None else b";w=%d" % window)
        self.field: Field = (b"ratelimit-policy", b"RateLimit-Policy", self.said)
        self.logged = f'{{"name":"{name}","limit":{quota},"remaining":'
        self._called: dict[str, LimitPolicy] = {}

    def called(self, name: str) -> LimitPolicy:
        """The same under another name; always the same object."""
        found = self._called.get(name)
        if found is None:
            found = LimitPolicy(name, self.quota, self.window, shown=self.shown, also_x=self.also_x)
            self._called[name] = found  # as many as places that an exchange has for it: MOST_TOLD
        return found


class Told(NamedTuple):
    """`reset`: seconds until the whole quota is free. `word`: "", EXCEEDED, ALONE or UNCOUNTED."""

    policy: LimitPolicy
    remaining: int
    reset: float
    word: str = ""


def is_policy_name(name: str) -> bool:
    """Whether it stands in a field as it is (RFC 9651 3.3.3: printable ASCII; no escape is needed without these)."""
    return name.isascii() and name.isprintable() and not set(name) & set('"\\')


def tell(exchange: Exchange, policy: LimitPolicy, remaining: int, reset: float, word: str = "") -> LimitPolicy:
    """Note what a limit says of this exchange, and give the policy under the name that it has there."""
    limits = exchange.limits
    if limits is None:
        exchange.limits = [_new(Told, (policy, remaining, reset, word))]
        return policy
    names = set()
    for place, told in enumerate(limits):
        other = told.policy
        if other is policy or policy._called.get(other.name) is other:
            # Asked once more, perhaps for another key: the tightest is told.
            if remaining <= told.remaining or word:
                limits[place] = Told(other, remaining, reset, word or told.word)
            return other
        names.add(other.name)
    if policy.name in names:
        number = 2
        while f"{policy.name}-{number}" in names:
            number += 1
        policy = policy.called(f"{policy.name}-{number}")
    if len(limits) < MOST_TOLD:
        limits.append(Told(policy, remaining, reset, word))
    return policy


def limit_fields(limits: list[Told]) -> list[Field]:
    """RateLimit-Policy and RateLimit; X-RateLimit-* too for who asks for them: of the tightest, with its reset in
    seconds."""
    if len(limits) == 1:
        policy, remaining, reset, word = limits[0]
        if policy.shown and not policy.also_x and word is not UNCOUNTED:
            return [policy.field, (b"ratelimit", b"RateLimit", b"%b;r=%d;t=%d" % (policy.quoted, remaining, ceil(reset)))]
    shown = [told for told in limits if told.policy.shown]
    counted = [told for told in shown if told.word is not UNCOUNTED]
    fields: list[Field] = []
    if shown:
        said = b", ".join([told.policy.said for told in shown])
        fields.append((b"ratelimit-policy", b"RateLimit-Policy", said))
    if counted:
        left = b", ".join([b"%b;r=%d;t=%d" % (one.policy.quoted, one.remaining, ceil(one.reset)) for one in counted])
        fields.append((b"ratelimit", b"RateLimit", left))
    asked = [told for told in counted if told.policy.also_x]
    if asked:
        tightest = min(asked, key=lambda told: (told.remaining, -told.reset))
        for name, number in (
            (b"X-RateLimit-Limit", tightest.policy.quota), (b"X-RateLimit-Remaining", tightest.remaining),
            (b"X-RateLimit-Reset", ceil(tightest.reset)),
        ):  # fmt: skip
            fields.append((name.lower(), name, b"%d" % number))
    return fields


def add_limit_fields(exchange: Exchange) -> None:
    """To those that the exchange's answer will have."""
    fields = limit_fields(exchange.limits)  # type: ignore[arg-type]  # who calls has looked
    if exchange.fields is None:
        exchange.fields = fields
    else:
        exchange.fields = exchange.fields + fields


_new: Any = tuple.__new__  # the constructor that NamedTuple generates costs twice as much
