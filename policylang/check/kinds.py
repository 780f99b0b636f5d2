"""How types go together: what a parameter takes, what two branches make, what can be compared or interpolated."""

from __future__ import annotations

from typing import Any

from policylang.sdk import static_types as t
from policylang.sdk.static_types import Type
from policylang.sdk.values import Duration, Ip, Rate, Size, Time

UNKNOWN = Type("unknown", optional=True)
"""The type of what was already reported: it goes with everything, so that one mistake makes one diagnostic."""
NETWORKS = Type("networks")
"""Addresses and networks that stand beside an ip, read when the policy is checked: sdk.networks.Networks."""

INTERPOLATES = frozenset({"string", "number", "boolean", "duration", "size", "rate", "ip", "time", "json", "unknown"})
RECORD_KINDS = frozenset({"request", "response", "client", "certificate", "principal", "failure", "answer", "call"})
"""What has members but no value that could be written down."""
TOLD = frozenset({"answer", "call"})
"""Records of a test."""
A_PART = {"principal": "id", "failure": "detail", "client": "ip", "certificate": "subject", "request": "json",
          "response": "json", "answer": "json", "call": "json"}  # fmt: skip
"""What of a record may have been meant."""
JSON_KINDS = frozenset({"string", "number", "boolean", "list", "map", "json", "none", "unknown"})
ORDERED = frozenset({"string", "number", "duration", "size", "time"})
NOT_VALUES = frozenset({"request", "response", "client", "service", "gateway", "networks", "shared map"})
"""What can be passed or looked into, but not kept in a name."""
COMPARABLE = frozenset({
    "string", "number", "boolean", "duration", "size", "rate", "ip", "time", "bytes", "json", "list", "map", "range",
    "none",
})  # fmt: skip
UNITS = {"duration": "s", "size": "B", "rate": "/s"}
"""The unit to propose where a number stands for one of these."""


def phrase(kind: Type) -> str:
    """A type with its article, as it is spoken of in a message."""
    name = kind.name
    if name == "none":
        return "`none`"
    if name == "json":
        return "JSON"
    if name == "any":
        return "a value"
    if name == "range":
        return "a range"
    if name in ("request", "response"):
        return f"the {name}"
    if name == "key":
        return "text, a number or the like, or a list of these"
    if name == "target":
        return "a path"
    if name == "query":
        return "a map of names and values"
    if name == "upstream":
        return "the name of an upstream"
    if name == "shared map":
        return "a map that lives in the store"
    if name in ("list", "map") and kind.of is not None and kind.of.name != "json":
        return f"a {name} of {plural(kind.of.name)}"
    if name == "bytes":
        return "bytes"
    if name == "xml":
        return "XML"
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def plural(name: str) -> str:
    return {"json": "JSON values", "ip": "addresses", "xml": "XML elements", "bytes": "bytes"}.get(name, f"{name}s")


def phrases(kinds: tuple[Type, ...]) -> str:
    words = [phrase(kind) for kind in kinds]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def accepts(wanted: Type, got: Type) -> bool:
    """Whether a value of the static type `got` may be given where `wanted` is taken; `none` is judged elsewhere."""
    want, have = wanted.name, got.name
    if want == have:
        if want == "list":
            return wanted.of is None or got.of is None or got.of.name in TOLD or accepts(wanted.of, got.of)
        return True
    if have == "unknown":
        return True
    if want == "any":
        return have not in RECORD_KINDS and have != "shared map"
    if want == "json":
        return have in JSON_KINDS
    if have == "json":
        return want in ("string", "number", "boolean", "list", "map", "key", "target", "query")
    if want == "string":
        return have == "ip" or have == "none"  # an address is text; text is no address
    if want == "key":
        if have == "list":
            return got.of is None or got.of.name in INTERPOLATES
        return have in INTERPOLATES
    if want == "target":
        return have == "string"
    if want == "query":
        return have == "string" or have == "map"
    return have == "none"


def join(left: Type, right: Type) -> Type | None:
    """The one type of a name or value that comes from two branches; None where there is none."""
    if left is right:
        return left
    a, b = left.name, right.name
    if a == "unknown" or b == "unknown":
        return UNKNOWN
    if a == "none":
        return right.maybe()
    if b == "none":
        return left.maybe()
    if a != b:
        return None
    joined = left
    if left.of != right.of:
        joined = Type(a, t.JSON)
    return joined.maybe() if left.optional or right.optional else joined.sure()


def element_join(types: list[Type]) -> Type:
    """The element type of a list or map: JSON where elements differ."""
    if not types:
        return t.JSON
    found = types[0]
    for other in types[1:]:
        joined = join(found, other)
        if joined is None:
            return t.JSON
        found = joined
    return t.JSON if found.name in ("none", "unknown") else found


def type_of(value: Any) -> Type:
    """The static type of a constant's value."""
    if value is None:
        return t.NONE
    if isinstance(value, bool):
        return t.BOOLEAN
    if isinstance(value, (int, float)):
        return t.NUMBER
    if isinstance(value, Ip):
        return t.IP
    if isinstance(value, str):
        return t.STRING
    if isinstance(value, (list, tuple)):
        return t.LIST if len(value) > 1000 else t.list_of(element_join([type_of(each) for each in value]))
    if isinstance(value, dict):
        return t.MAP
    for kind, found in ((Duration, t.DURATION), (Size, t.SIZE), (Rate, t.RATE), (Time, t.TIME), (range, t.RANGE),
                        (bytes, t.BYTES)):  # fmt: skip
        if isinstance(value, kind):
            return found
    return t.JSON
