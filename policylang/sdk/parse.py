"""Reading bodies: JSON and XML, bounded, with what would let two readers differ refused."""

from __future__ import annotations

from typing import Any

import orjson

from policylang.sdk.outcome import unreadable
from policylang.sdk.values import Json

JSON_DEPTH = 128
XML_DEPTH = 128
XML_TEXT = 10 * 1024 * 1024


def parse_json(data: bytes, status: int = 400) -> Json:
    """RFC 8259 text to a value. Raises Failed(`unreadable-body`, `status`)."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise unreadable("body", f"not JSON: {error}", status=status) from None


def parse_xml(data: bytes, status: int = 400) -> Any:
    """A document to its lxml root element; a DOCTYPE is always refused. Raises Failed(`unreadable-body`, `status`)."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise unreadable("body", f"not XML: {error.msg}", status=status) from None
    if root.getroottree().docinfo.doctype:
        raise unreadable("body", "XML with a DOCTYPE", status=status)
    return root
