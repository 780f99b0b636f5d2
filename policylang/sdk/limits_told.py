"""What limits have said of an exchange: for the fields of its answer, the access log and the counters.

RateLimit and RateLimit-Policy are lists of RFC 9651 (draft-ietf-httpapi-ratelimit-headers-11): one field each, however
many limits an exchange has passed, and no name in them stands for two.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final, TypeAlias

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

    `shown`: whether in fields at all; `also_x`: also as X-RateLimit-*. Raises ValueError for a name that no field
    holds. `others`: the same under other names.
    """

    __slots__ = (
        "also_x", "field", "left", "logged", "name", "others", "plain", "quota", "said", "shown", "whole",
        "window",
    )  # fmt: skip

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
        self.plain = shown and not also_x
        quoted = b'"%b"' % name.encode("ascii")
        self.said = b"%b;q=%d" % (quoted, quota) + (b"" if window is None else b";w=%d" % window)
        self.left = f'"{name}";r='
        self.whole = f";t={window}"
        self.field: Field = (b"ratelimit-policy", b"RateLimit-Policy", self.said)
        self.logged = f'{{"name":"{name}","limit":{quota},"remaining":'
        self.others: dict[str, LimitPolicy] = {}

    def called(self, name: str) -> LimitPolicy:
        """The same under another name; always the same object."""
        found = self.others.get(name)
        if found is None:
            found = LimitPolicy(name, self.quota, self.window, shown=self.shown, also_x=self.also_x)
            self.others[name] = found  # as many as places that an exchange has for it: MOST_TOLD
        return found


Told: TypeAlias = tuple[LimitPolicy, int, float, str]
"""The limit, what remains, seconds until the whole quota is free, and "", EXCEEDED, ALONE or UNCOUNTED."""


def is_policy_name(name: str) -> bool:
    """Whether it stands in a field as it is (RFC 9651 3.3.3: printable ASCII; no escape is needed without these)."""
    return name.isascii() and name.isprintable() and not set(name) & set('"\\')


def tell(exchange: Exchange, policy: LimitPolicy, remaining: int, reset: float, word: str = "") -> LimitPolicy:
    """Note what a limit says of this exchange, and give the policy under the name that it has there."""
    limits = exchange.limits
    if limits is None:
        exchange.limits = [(policy, remaining, reset, word)]
        return policy
    taken = False
    for told in limits:
        other = told[0]
        if other is policy or (policy.others and policy.others.get(other.name) is other):
            # Asked once more, perhaps for another key: the tightest is told.
            if remaining <= told[1] or word:
                limits[limits.index(told)] = (other, remaining, reset, word or told[3])
            return other
        if other.name == policy.name:
            taken = True
    if taken:
        names = {told[0].name for told in limits}
        number = 2
        while f"{policy.name}-{number}" in names:
            number += 1
        policy = policy.called(f"{policy.name}-{number}")
    if len(limits) < MOST_TOLD:
        limits.append((policy, remaining, reset, word))
    return policy


def add_limit_fields(exchange: Exchange, limits: list[Told]) -> None:
    """To what the exchange's answer will have: RateLimit-Policy and RateLimit, and X-RateLimit-* for who asks for them:
    of the tightest, with its reset in seconds."""
    policy, remaining, reset, word = limits[0]
    if len(limits) == 1 and policy.plain and word is not UNCOUNTED and exchange.fields is None:
        if reset == policy.window:  # the usual case of a window: something was admitted just now
            left = f"{policy.left}{remaining}{policy.whole}"
        else:
            left = f"{policy.left}{remaining};t={ceil(reset)}"
        exchange.fields = [policy.field, (b"ratelimit", b"RateLimit", left.encode())]
        return
    said, lefts = [], []
    asked: Told | None = None
    for told in limits:
        policy, remaining, reset, word = told
        if policy.plain or policy.shown:
            said.append(policy.said)
            if word is not UNCOUNTED:
                lefts.append(f"{policy.left}{remaining};t={ceil(reset)}")
                if policy.also_x and (asked is None or (remaining, -reset) < (asked[1], -asked[2])):
                    asked = told
    fields: list[Field] = []
    if said:
        fields.append((b"ratelimit-policy", b"RateLimit-Policy", b", ".join(said)))
    if lefts:
        fields.append((b"ratelimit", b"RateLimit", ", ".join(lefts).encode()))
    if asked is not None:
        for name, number in (
            (b"X-RateLimit-Limit", asked[0].quota), (b"X-RateLimit-Remaining", asked[1]),
            (b"X-RateLimit-Reset", ceil(asked[2])),
        ):  # fmt: skip
            fields.append((name.lower(), name, b"%d" % number))
    exchange.fields = fields if exchange.fields is None else exchange.fields + fields
