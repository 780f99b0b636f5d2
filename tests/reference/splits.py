"""Which arm of a `split` a request takes."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from reference.policy import by_text, place
from reference.values import as_text, kind_of, missing_value, wrong_type

from policylang.syntax import nodes as n

if TYPE_CHECKING:
    from reference.interpreter import Evaluation


def arm_taken(split: n.Split, at: Evaluation) -> n.Case:
    """The arms stand side by side from 0 to 100."""
    given = {argument.name: argument.value for argument in split.args}
    point = Fraction(at.world.draw)
    if "by" in given:
        known = at.value(given["by"])
        name = given.get("name")
        if isinstance(name, n.Text):
            word = f"split|{name.literal}"
        else:
            word = f"{at.call_path[0]}|split|{by_text(split)}|{at.policy.ordinals[(*at.call_path, place(split))]}"
        point = place_of_key(known.value, known.private, hashlib.blake2b(word.encode(), digest_size=8).digest())
    begin = Fraction(0)
    for arm in split.cases[:-1]:
        share = at.value(arm.patterns[0]).value
        begin += Fraction(json.dumps(share)) / 100
        if point < begin:
            return arm
    return split.cases[-1]


def place_of_key(value: Any, private: bool, decision: bytes) -> Fraction:
    """The key as a number from 0 to 1: in 53 bits of its hash. What is private or long is hashed before."""
    key = key_bytes(value)
    if private:
        key = b"h" + hashlib.blake2b(key, digest_size=16, person=decision).digest()
    elif len(decision + key) > 256:
        key = b"#" + hashlib.blake2b(decision + key, digest_size=32).digest()
    digest = hashlib.blake2b(decision + key, digest_size=8).digest()
    return Fraction(int.from_bytes(digest, "big") // 2**11, 2**53)


def key_bytes(value: Any) -> bytes:
    """A letter for the type, then the value; the elements of a list each with their length."""
    match kind_of(value):
        case "string" | "ip":
            return b"s" + str(value).encode()
        case "boolean":
            return b"b1" if value else b"b0"
        case "number":
            whole = isinstance(value, int) or value == int(value)
            return b"n" + (str(int(value)) if whole else repr(value)).encode()
        case "list":
            parts = [key_bytes(each) for each in value]
            return b"l" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        case "none":
            raise missing_value("a key is none")
        case kind:
            raise wrong_type(f"{kind} {as_text(value) if kind != 'map' else ''} is no key")
