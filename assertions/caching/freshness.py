"""Which answers may be kept, and how long: RFC 9111, 3 to 5, as far as a cache goes that asks nobody again."""

from __future__ import annotations

import re
import time
from calendar import timegm

from policylang.sdk import Request, Response
from policylang.sdk.caches import Life

MOST_FIELDS = 16
"""Fields that one answer may vary on."""
PARTIAL, NOT_MODIFIED = 206, 304

_DIRECTIVE = re.compile(rb'[ \t,]*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^ \t,"]*))?')
_DIGITS = re.compile(rb"[0-9]+\Z")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_FORBIDDING = frozenset({b"no-store", b"private", b"no-cache"})
# RFC 9111 3.5: with one of these the answer to a request with Authorization is for others, too.
_FOR_OTHERS = frozenset({b"public", b"s-maxage", b"must-revalidate"})
# What goes upstream in these is the gateway's own word, which the request as it came does not show.
_OF_THE_GATEWAY = frozenset({
    b"connection", b"forwarded", b"te", b"upgrade", b"via", b"x-forwarded-for", b"x-forwarded-host",
    b"x-forwarded-port", b"x-real-ip", b"x-request-id",
})  # fmt: skip
_IN_THE_NAME = frozenset({b"host", b"x-forwarded-proto"})
_LOOKED_AT = frozenset({b"age", b"cache-control", b"date", b"expires", b"set-cookie", b"vary"})
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_END = re.compile(rb"[ \t]*(,|\Z)")
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) (" + b"|".join(_MONTHS) + rb") (\d{4}) (\d\d):(\d\d):(\d\d) GMT\Z"
)


def lifetime(
    request: Request, response: Response, ttl: float, now: float, *, shared: bool, override: bool
) -> Life | None:
    """How long an answer to GET may be kept from `now` (wall time); None: not at all.

    `ttl` (seconds) is the policy's word. The upstream's `max-age`, `s-maxage` and `Expires` may shorten it, and what it
    forbids is not kept, unless `override` leaves all of that aside. `shared`: it is for everybody, also what was asked
    for with Authorization.
    """
    if response.status in (PARTIAL, NOT_MODIFIED) or response.coder is not None:
        return None
    found: dict[bytes, list[bytes]] = {}
    for lower, _, value in response.headers:
        if lower in _LOOKED_AT:
            found.setdefault(lower, []).append(value)
    if b"set-cookie" in found:
        return None
    varies = varied(found.get(b"vary", []))
    if varies is None:
        return None
    said = directives(found.get(b"cache-control", []))
    if not shared and not _FOR_OTHERS & said.keys() and any(field[0] == b"authorization" for field in request.headers):
        return None
    age = age_of(found, now)
    if not override:
        if _FORBIDDING & said.keys():
            return None
        fresh = _explicit(said, found)
        if fresh is not None:
            ttl = min(ttl, fresh - age)
    return Life(ttl, age, varies) if ttl > 0 else None


def _explicit(said: dict[bytes, bytes | None], found: dict[bytes, list[bytes]]) -> float | None:
    """The upstream's freshness lifetime (RFC 9111 4.2.1); None where it says nothing."""
    for name in (b"s-maxage", b"max-age"):
        if name in said:
            value = said[name]
            # 4.2.1: a value that cannot be read is to be taken for stale.
            return _number(value) if value is not None and _DIGITS.match(value) else 0.0
    expires = found.get(b"expires")
    if expires is None:
        return None
    until, dated = date(expires[0]) if len(set(expires)) == 1 else None, found.get(b"date")
    if until is None:
        return 0.0  # 5.3: an invalid date, `0` above all, is in the past
    since = date(dated[0]) if dated else None
    return until - (since if since is not None else time.time())


def age_of(found: dict[bytes, list[bytes]], now: float) -> float:
    """RFC 9111 4.2.3, the delay of the answer left aside: it is on this side of the wire."""
    age = 0.0
    if b"age" in found:
        first = found[b"age"][0].partition(b",")[0].strip(b" \t")  # 5.1: of several the first
        if _DIGITS.match(first):
            age = _number(first)
    dated = date(found[b"date"][0]) if b"date" in found else None
    return age if dated is None else max(age, now - dated)


def _number(digits: bytes) -> float:
    return float(min(int(digits[-20:]), 1 << 31)) if len(digits.lstrip(b"0")) <= 20 else float(1 << 31)  # 1.2.2


def varied(values: list[bytes]) -> tuple[bytes, ...] | None:
    """The fields that Vary names; None where no request can be told to match (RFC 9111 4.1)."""
    names = {name.strip(b" \t").lower() for value in values for name in value.split(b",")}
    names -= {b""} | _IN_THE_NAME
    if not names:
        return ()
    if len(names) > MOST_FIELDS or names & _OF_THE_GATEWAY or b"*" in names:
        return None
    return tuple(sorted(names)) if all(_TOKEN.match(name) for name in names) else None


def directives(values: list[bytes]) -> dict[bytes, bytes | None]:
    """Cache-Control's directives by lower-case name. What cannot be read makes it `no-store`."""
    said: dict[bytes, bytes | None] = {}
    text = b",".join(values)
    at = 0
    while match := _DIRECTIVE.match(text, at):
        at = match.end()
        name, value = match[1].lower(), match[2]
        if value is not None and value[:1] == b'"':
            value = re.sub(rb"\\(.)", rb"\1", value[1:-1])
        if name in said and said[name] != value:
            value = _stricter(said[name], value)
        said[name] = value
        rest = _END.match(text, at)
        if rest is None:
            said[b"no-store"] = None
            break
        at = rest.end()
    else:
        if text[at:].strip(b" \t,"):
            said[b"no-store"] = None
    return said


def _stricter(one: bytes | None, other: bytes | None) -> bytes | None:
    numbers = [value for value in (one, other) if value is not None and _DIGITS.match(value)]
    return min(numbers, key=_number) if len(numbers) == 2 else b""


def date(value: bytes) -> float | None:
    """An IMF-fixdate (RFC 9110 5.6.7) as seconds since the epoch; None for everything else."""
    match = _DATE.match(value.strip(b" \t"))
    if match is None:
        return None
    day, month, year, hour, minute, second = match.groups()
    if not (1 <= int(day) <= 31 and int(hour) < 24 and int(minute) < 60 and int(second) <= 60 and int(year) >= 1900):
        return None
    return float(timegm((int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))))
