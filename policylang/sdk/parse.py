"""Reading bodies: JSON and XML, bounded, with what would let two readers differ refused."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import orjson

from policylang.sdk.outcome import unreadable
from policylang.sdk.values import Json

JSON_DEPTH = 128
XML_DEPTH = 128
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.S)
_MISC = re.compile(rb"\s+|<\?.*?\?>|<!--.*?-->", re.S)
"""What may stand before a DOCTYPE (XML 1.0, production 27)."""


def parse_json(data: bytes, status: int = 400) -> Json:
    """RFC 8259 text to a value. Raises Failed(`unreadable-body`, `status`).

    Refused besides what is no JSON: nesting beyond `JSON_DEPTH`, and an object with one name twice, of which every
    reader takes another (RFC 8259, 4).
    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise unreadable("body", f"not JSON: {_words(error)}", status=status) from None
    if type(value) is dict or type(value) is list:
        members, depth = _measure(value)
        if depth > JSON_DEPTH:
            raise unreadable("body", f"JSON nested deeper than {JSON_DEPTH}", status=status)
        # A colon outside of strings is one member as it was written; objects hold as many as have different names.
        colons = data.count(b":")
        if colons != members and _STRING.sub(b"", data).count(b":") != members:
            raise unreadable("body", f"JSON with {_repeated(data)} twice in one object", status=status)
    return value


def _measure(value: Any) -> tuple[int, int]:
    """How many members all objects have, and how deep it goes."""
    members = 0
    depth = 0
    level = [value]
    while level:
        depth += 1
        if depth > JSON_DEPTH:
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
        found.extend(name for name in names if names.count(name) > 1)

    json.loads(data, object_pairs_hook=pairs)
    return f"`{found[0][:64]}`" if found else "a name"


def _words(error: orjson.JSONDecodeError) -> str:
    message = str(error).partition(": line ")[0]
    return f"{message[:1].lower()}{message[1:]} at line {error.lineno}, column {error.colno}"


@cache
def _xml_tools() -> tuple[Any, Any, Any]:
    from lxml import etree  # loading it takes 20 ms: only where a policy reads XML

    too_deep = etree.XPath(f"boolean({'/*' * (XML_DEPTH + 1)})", regexp=False)
    return etree, too_deep, etree.XMLSyntaxError


def parse_xml(data: bytes, status: int = 400) -> Any:
    """A document to its lxml root element. Raises Failed(`unreadable-body`, `status`).

    A DOCTYPE is always refused, so there are no entities to expand and nothing to fetch. libxml2 bounds a text node at
    10 MB by itself.
    """
    etree, too_deep, syntax_error = _xml_tools()
    if not data:
        raise unreadable("body", "not XML: it is empty", status=status)
    _refuse_doctype(data, status)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, recover=False
    )
    try:
        root = etree.fromstring(data, parser)
    except syntax_error as error:
        raise unreadable("body", f"not XML: {str(error.msg)[:200]}", status=status) from None
    except ValueError as error:  # a character that XML cannot hold
        raise unreadable("body", f"not XML: {str(error)[:200]}", status=status) from None
    info = root.getroottree().docinfo
    if info.doctype or info.internalDTD is not None:
        raise unreadable("body", "XML with a DOCTYPE", status=status)
    if too_deep(root):
        raise unreadable("body", f"XML nested deeper than {XML_DEPTH}", status=status)
    return root


def _refuse_doctype(data: bytes, status: int) -> None:
    """Before the parser sees it, where the encoding is a superset of ASCII; the tree is looked at afterwards too."""
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while found := _MISC.match(data, at):
        at = found.end()
    if data.startswith(b"<!DOCTYPE", at):
        raise unreadable("body", "XML with a DOCTYPE", status=status)

