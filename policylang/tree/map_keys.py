"""Keys of maps that live in the store, as operators write and read them."""

from __future__ import annotations

from typing import Any

from policylang.sdk.shared_map import SharedMap
from policylang.tree.keys import PREFIX_BYTES, hashed, prefix_of, prefixed


def map_key(where: SharedMap, value: Any) -> bytes:
    """As statements of a policy store it. Raises Failed for what is no key."""
    prefix = prefix_of(where.counter)
    return (hashed(prefix) if where.private else prefixed(prefix))(value)[PREFIX_BYTES:]


def spelled(key: bytes) -> tuple[Any, bool]:
    """A stored key as JSON, and true; where it is a hash, its digits, and false."""
    tag, rest = key[:1], key[1:]
    if tag == b"s":
        return rest.decode("utf-8", "backslashreplace"), True
    if tag == b"b":
        return rest == b"1", True
    if tag == b"n":
        text = rest.decode()
        return (int(text) if text.lstrip("-").isdigit() else float(text)), True
    if tag == b"l":
        parts = []
        while rest:
            size = int.from_bytes(rest[:4], "big")
            parts.append(spelled(rest[4 : 4 + size])[0])
            rest = rest[4 + size :]
        return parts, True
    if tag in (b"d", b"z", b"r", b"t"):
        return rest.decode(), True
    return key.hex(), False
