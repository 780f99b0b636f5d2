"""Reading bodies: JSON and XML, bounded, with what would let two readers differ refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import orjson

from policylang.sdk.limits import USUAL_LIMITS, BodyLimits
from policylang.sdk.outcome import unreadable
from policylang.sdk.values import Json

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.S)
_MISC = re.compile(rb"\s+|<\?.*?\?>|<!--.*?-->", re.S)
"""What may stand before a DOCTYPE (XML 1.0, production 27)."""
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_LONG = b"0" * 19
"""The least integer that orjson gives as a float has so many digits."""
_LIBXML_TEXT = 9_000_000
"""Bytes of a text, an attribute or a comment that libxml2 surely takes; near 10,000,000 it must be told that it may."""


def parse_json(data: bytes, status: int = 400, limits: BodyLimits = USUAL_LIMITS) -> Json:
    """RFC 8259 text to a value; integers are exact. Raises Failed(`unreadable-body`, `status`).

    Refused besides what is no JSON: nesting beyond `json_depth`, an object with one name twice, of which every reader
    takes another (RFC 8259, 4), and a number that no reader can hold.
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise unreadable("body", f"not JSON: {_words(error)}", status=status) from None
    if type(value) is dict or type(value) is list:
        most = limits.json_depth
        members, depth = _measure(value, most)
        if depth > most:
            raise unreadable("body", f"JSON nested deeper than {most}", status=status)
        # A colon outside of strings is one member as it was written; objects hold as many as have different names.
        colons = data.count(b":")
        if colons != members and _STRING.sub(b"", data).count(b":") != members:
            raise unreadable("body", f"JSON with {_repeated(data)} twice in one object", status=status)
    # Each sixth byte is looked at first: a run of 19 digits holds three of these in a row.
    if b"000" in data[::6].translate(_DIGITS) and _LONG in data.translate(_DIGITS):
        return _exact(data, status)
    return value


def _exact(data: bytes, status: int) -> Json:
    """As the standard library reads it, which keeps integers beyond 64 bits.

    orjson has accepted the text, and so no number beyond 1.8e308.
    """
    import json  # only for messages with such numbers

    try:
        return json.loads(data.decode())
    except RecursionError:  # at some 950 levels
        raise unreadable("body", "JSON nested too deep for the numbers in it", status=status) from None


def long_json(value: Any, text_of: Callable[[Any], str], error: TypeError) -> bytes | None:
    """JSON that orjson would not write, with this error, for an integer beyond 64 bits; None where it is another."""
    import json

    if "64-bit" not in str(error):
        return None
    try:
        text = json.dumps(value, default=text_of, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()
    except (ValueError, RecursionError):  # stray bytes, a number that arithmetic has made endless, too deep
        return None


def _measure(value: Any, most: int) -> tuple[int, int]:
    """How many members all objects have, and how deep it goes."""
    members = 0
    depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > most:
            break
        below: list[Any] = []
        for node in level:
            if type(node) is dict:
                members += len(node)
                node = node.values()
            below.extend([each for each in node if type(each) is dict or type(each) is list])
        level = below
    return members, depth


def _repeated(data: bytes) -> str:
    import json  # only to name the culprit

    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in items]
        if not found and len(set(names)) < len(names):
            found.append(next(name for name in names if names.count(name) > 1))

    try:
        json.loads(data, object_pairs_hook=pairs)
    except RecursionError:  # too deep for this reader alone
        pass
    return f"`{found[0][:64]}`" if found else "a name"


def _words(error: orjson.JSONDecodeError) -> str:
    message = str(error).partition(": line ")[0]
    return f"{message[:1].lower()}{message[1:]} at line {error.lineno}, column {error.colno}"


@cache
def _too_deep(depth: int) -> Any:
    from lxml import etree  # loading it takes 20 ms: only where a policy reads XML

    return etree.XPath(f"boolean({'/*' * (depth + 1)})", regexp=False)


@cache
def _texts_over() -> Any:
    from lxml import etree

    texts = "//text()[string-length(.) > $most] | //@*[string-length(.) > $most]"
    return etree.XPath(texts, regexp=False, smart_strings=False)


def parse_xml(data: bytes, status: int = 400, limits: BodyLimits = USUAL_LIMITS) -> Any:
    """A document to its lxml root element. Raises Failed(`unreadable-body`, `status`).

    A DOCTYPE is always refused, so there are no entities to expand and nothing to fetch.
    """
    from lxml import etree

    if not data:
        raise unreadable("body", "not XML: it is empty", status=status)
    _refuse_doctype(data, status)
    # A huge tree has no bound on texts (ours is looked at below), and one of 2,048 on its depth.
    huge = limits.xml_text > _LIBXML_TEXT and len(data) > _LIBXML_TEXT
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=huge, recover=False
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise unreadable("body", f"not XML: {str(error.msg)[:200]}", status=status) from None
    except ValueError as error:  # a character that XML cannot hold
        raise unreadable("body", f"not XML: {str(error)[:200]}", status=status) from None
    info = root.getroottree().docinfo
    if info.doctype or info.internalDTD is not None:
        raise unreadable("body", "XML with a DOCTYPE", status=status)
    if _too_deep(limits.xml_depth)(root):
        raise unreadable("body", f"XML nested deeper than {limits.xml_depth}", status=status)
    # No text is longer than the document, unless UTF-8 has more bytes for its characters than its own encoding.
    most = limits.xml_text
    if len(data) * (1 if (info.encoding or "utf-8").lower() in ("utf-8", "us-ascii") else 3) > most:
        for text in _texts_over()(root, most=most // 4):
            if len(text.encode("utf-8", "surrogatepass")) > most:
                raise unreadable("body", f"XML with a text of more than {most} bytes", status=status)
    return root


def _refuse_doctype(data: bytes, status: int) -> None:
    """Before the parser sees it, where the encoding is a superset of ASCII; the tree is looked at afterwards too."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while found := _MISC.match(data, at):
        at = found.end()
    if data.startswith(b"<!DOCTYPE", at):
        raise unreadable("body", "XML with a DOCTYPE", status=status)
