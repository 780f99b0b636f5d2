"""Keys of counters and entries: a prefix of 8 bytes that names the counter, then the value, so that no two collide.

A value is a tag and its bytes; a list holds its elements each with tag, length and bytes. The outermost text needs no
length, as nothing follows it. A private value is a tag and its hash. So is a key that is longer than LONGEST, under
another tag: callers write keys, and a store must hold them.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from policylang.check import program as p
from policylang.sdk.outcome import missing_value, wrong_type
from policylang.sdk.values import Duration, Ip, Rate, Size, Time
from policylang.tree.emit import Function, Source, fixed
from policylang.tree.values import kind_of, phrase

PREFIX_BYTES = 8
LONGEST = 256
"""Bytes of a key with its prefix and tag; a longer one is hashed."""
_HASH_BYTES = 16
_LONG_HASH_BYTES = 32


def prefix_of(counter: str) -> bytes:
    return blake2b(counter.encode("utf-8", "surrogatepass"), digest_size=PREFIX_BYTES).digest()


def key_function(expr: p.Expr, counter: str, none: bool = False, hide: bool | None = None) -> Function:
    """A KEY parameter: gives bytes. Raises Failed when it is called and the value, or one of the list, is none.

    `none`: the value itself may be; then it gives none. `hide`: whether it is hashed; None: where it is private.
    """
    prefix = prefix_of(counter)
    hide = expr.private if hide is None else hide
    encode = hashed(prefix) if hide else prefixed(prefix)
    if isinstance(expr, p.Const) and not (none and expr.value is None):
        value = expr.value
        return fixed(lambda: encode(value))
    source = Source(expr)
    inner = source.text
    if none and expr.type.optional:
        name = source.temporary()
        source.text = f"(None if ({name} := {inner}) is None else {source.constant(encode)}({name}))"
    elif hide:
        source.text = f"{source.constant(encode)}({inner})"
    elif expr.type.name == "ip" and not expr.type.optional:
        source.text = f"{source.constant(prefix + b's')} + {inner}.encode()"
    else:
        name, key, text = source.temporary(), source.temporary(), source.constant(prefix + b"s")
        known = expr.type.name == "string" and not expr.type.optional
        whole = f"{text} + {inner if known else name}.encode('utf-8', 'surrogatepass')"
        bounded = f"({key} if len({key} := {whole}) <= {LONGEST} else {source.constant(_shortened)}({key}))"
        source.text = bounded if known else (
            f"({bounded} if ({name} := {inner}).__class__ is str else {source.constant(encode)}({name}))"
        )
    return source.function()


def prefixed(prefix: bytes) -> Callable[[Any], bytes]:
    def key(value: Any) -> bytes:
        found = prefix + encoded(value)
        return found if len(found) <= LONGEST else _shortened(found)

    return key


def _shortened(key: bytes) -> bytes:
    return key[:PREFIX_BYTES] + b"#" + blake2b(key, digest_size=_LONG_HASH_BYTES).digest()


def hashed(prefix: bytes) -> Callable[[Any], bytes]:
    """The prefix goes into the hash: one secret has another hash in every counter."""
    return lambda value: prefix + b"h" + blake2b(encoded(value), digest_size=_HASH_BYTES, person=prefix).digest()


def encoded(value: Any) -> bytes:
    kind = value.__class__
    if kind is str or kind is Ip:
        return b"s" + value.encode("utf-8", "surrogatepass")  # type: ignore[no-any-return]
    if kind is bool:
        return b"b1" if value else b"b0"
    if kind is int:
        return b"n%d" % value
    if kind is float:
        return b"n%d" % value if value.is_integer() else b"n" + repr(value).encode()
    if kind is list or kind is tuple:
        parts = [b"l"]
        for element in value:
            part = encoded(element)
            parts += (len(part).to_bytes(4, "big"), part)
        return b"".join(parts)
    if kind is Duration:
        return b"d" + repr(float(value.seconds)).encode()
    if kind is Size:
        return b"z%d" % value.bytes
    if kind is Rate or kind is Time:
        return (b"r" if kind is Rate else b"t") + str(value).encode()
    if kind is bytes:
        return b"y" + bytes(value)
    if value is None:
        raise missing_value("a key is `none`")
    raise wrong_type(f"{phrase(kind_of(value))} is no key")
