"""Failures as problem documents (RFC 9457)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import orjson

from policylang.sdk.exchange import Request, Response
from policylang.sdk.message import Field
from policylang.sdk.outcome import Failure, Kind

TYPE_PREFIX = "urn:polgate:"
"""What a failure's name is appended to where the failure gives no `type` of its own."""

_JSON_TYPE: Field = (b"content-type", b"Content-Type", b"application/problem+json")
_XML_TYPE: Field = (b"content-type", b"Content-Type", b"application/problem+xml")
_NO_STORE: Field = (b"cache-control", b"Cache-Control", b"no-store")
_RETRY: Field = (b"retry-after", b"Retry-After", b"1")
_CHALLENGE: Field = (b"www-authenticate", b"WWW-Authenticate", b"Bearer")
# RFC 9209 2.3.30: the gateway, or what it depends on, has failed, neither caller nor upstream.
_OWN_ERROR: Field = (b"proxy-status", b"Proxy-Status", b"polgate; error=proxy_internal_error")
_OWED = {401: _CHALLENGE, 429: _RETRY, 503: _RETRY}
"""RFC 9110: 401 must have a challenge (15.5.2); 429 and 503 say when to come back (10.2.3)."""
_STANDARD = frozenset({"type", "title", "status", "detail", "instance"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_XML_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z", re.ASCII)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = re.compile(r"[\r\n\0]")
_names: dict[str, tuple[bytes, bytes]] = {}
_MOST_NAMES = 256


def problem(failure: Failure, request: Request) -> Response:
    """The answer of a failure. Details of defects and of surroundings stay in the log."""
    document: dict[str, Any] = {
        "type": TYPE_PREFIX + failure.name, "title": failure.title, "status": failure.status,
    }  # fmt: skip
    if failure.detail and failure.kind is not Kind.AWAY:
        document["detail"] = failure.detail
    if request.id:
        document["instance"] = instance(request.id)
    if failure.members:
        for name, value in failure.members.items():
            if name not in _STANDARD or name == "type":
                document[name] = value
    headers = [_JSON_TYPE, _NO_STORE]
    if failure.kind is Kind.DEFECT or failure.kind is Kind.AWAY:
        headers.append(_OWN_ERROR)
    if failure.headers:
        for name, text in failure.headers:
            headers.append(_field(name, text))
    owed = _OWED.get(failure.status)
    if owed is not None:
        for field in headers:
            if field[0] == owed[0]:
                break
        else:
            headers.append(owed)
    if prefers_xml(request):
        headers[0] = _XML_TYPE
        body = as_xml(document)
    else:
        body = _as_json(document)
    return Response(failure.status, headers, body, made_here=True)


def instance(id: str) -> str:
    """A request's id as a URN."""
    return f"urn:uuid:{id.lower()}" if _UUID.match(id) else "urn:polgate:request:" + quote(id, errors="replace")


def _field(name: str, text: str) -> Field:
    names = _names.get(name)
    if names is None:
        if len(_names) >= _MOST_NAMES:
            _names.clear()
        names = _names[name] = (name.lower().encode("ascii", "replace"), name.encode("ascii", "replace"))
    if not text.isprintable():
        text = _BREAKS.sub(" ", text)
    return (*names, text.encode("utf-8", "surrogateescape" if text.isprintable() else "replace"))


def _as_json(document: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        # Stray bytes of a message, quoted in a detail or a member.
        return orjson.dumps(_clean(document), default=str, option=orjson.OPT_PASSTHROUGH_DATACLASS)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {str(_clean(str(key))): _clean(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 63:
        return str(value)
    return value


# --- XML, for who asks for it ---


def prefers_xml(request: Request) -> bool:
    """Whether Accept ranks XML above JSON (RFC 9110, 12.5.1)."""
    accept = b""
    for field in request.headers:
        if field[0] == b"accept":
            accept += b"," + field[2] if accept else field[2]
    if b"xml" not in accept.lower():
        return False
    ranges = _ranges(accept.decode("latin-1").lower())
    plain = max(ranges.get("application/xml", 0.0), ranges.get("text/xml", 0.0))
    xml = max(_quality(ranges, "application/problem+xml"), plain)
    return xml > max(_quality(ranges, "application/problem+json"), ranges.get("application/json", 0.0))


def _ranges(accept: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in accept.split(",")[:50]:
        kind, *parameters = (each.strip() for each in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = min(1.0, max(0.0, float(parameter[2:])))
                except ValueError:
                    weight = 0.0
        if kind:
            found[kind] = weight
    return found


def _quality(ranges: dict[str, float], kind: str) -> float:
    """By the most specific range that matches."""
    for each in (kind, kind.partition("/")[0] + "/*", "*/*"):
        if each in ranges:
            return ranges[each]
    return 0.0


def as_xml(document: dict[str, Any]) -> bytes:
    """RFC 9457, appendix B."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n<problem xmlns="urn:ietf:rfc:7807">']
    _add(parts, document)
    parts.append("</problem>")
    return "".join(parts).encode("utf-8", "replace")


def _add(parts: list[str], members: dict[str, Any]) -> None:
    for name, value in members.items():
        if not _XML_NAME.match(name):
            continue
        parts.append(f"<{name}>")
        if isinstance(value, dict):
            _add(parts, value)
        elif isinstance(value, (list, tuple)):
            for each in value:
                parts.append("<i>")
                if isinstance(each, dict):
                    _add(parts, each)
                else:
                    parts.append(_text(each))
                parts.append("</i>")
        else:
            parts.append(_text(value))
        parts.append(f"</{name}>")


def _text(value: Any) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return "" if value is None else escape(_NOT_XML.sub("\ufffd", str(value)))
