"""`set` and `remove`: parts of messages and variables, as functions of the exchange."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import orjson

from policylang.check import program as p
from policylang.sdk.exchange import Exchange, Request
from policylang.sdk.message import Message
from policylang.sdk.outcome import Failed, Failure, Kind, wrong_type
from policylang.sdk.parse import long_json
from policylang.sdk.static_types import FRAMING
from policylang.sdk.values import Ip
from policylang.tree.emit import Source, compiled, guarded
from policylang.tree.target import written_path
from policylang.tree.values import kind_of, phrase, present, string_of, text_of

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")  # RFC 9110, 5.6.2
_BREAKS = re.compile(r"[\r\n\0]")
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*\Z")  # RFC 6265, 4.1.1
_OF_OLD_BODY = frozenset({b"content-encoding", b"content-md5", b"content-digest", b"repr-digest", b"digest"})
"""What a new body makes untrue."""

Act = Callable[[Exchange], None]


def set_place(place: p.Place, value: p.Expr) -> Act:
    """Raises ValueError, when the policy is compiled, for a place that cannot be written."""
    if isinstance(place, p.SlotPlace):
        slot, function = place.slot, compiled(value)

        def set_slot(exchange: Exchange) -> None:
            exchange.slots[slot] = function(exchange)

        return set_slot
    if isinstance(place, p.NamedPlace):
        return _set_named(place, value)
    try:
        write = _FIELDS[place.message, place.field]
    except KeyError:
        raise ValueError(f"`{place.message}.{place.field}` cannot be set") from None
    get, function = _message_of(place.message), compiled(value)
    return guarded(value, lambda exchange: write(get(exchange), function(exchange)), place.message == "request")


def _set_named(place: p.NamedPlace, value: p.Expr) -> Act:
    name = str(place.key.value) if isinstance(place.key, p.Const) and place.kind == "header" else ""
    usual = name.lower() not in FRAMING and name.lower() != "content-encoding"
    if _TOKEN.match(name) and usual and value.type.name in ("string", "ip", "json"):
        # The usual case, in one function: no look-up of the name, no look at the message's kind.
        source = Source(value)
        lower, written = source.constant(name.lower().encode()), source.constant(name.encode())
        source.text = (
            f"x.{place.message}.set_header({lower}, {written}, {source.constant(header_value)}({source.text}))"
        )
        return source.function()
    get, key, function = _message_of(place.message), compiled(place.key), compiled(value)
    write = _set_fields if place.kind == "header" and value.type.name == "list" else _WRITERS[place.kind]
    return guarded(
        value, lambda exchange: write(get(exchange), string_of(key(exchange)), function(exchange)),
        place.message == "request",
    )  # fmt: skip


def remove_place(place: p.Place) -> Act:
    if isinstance(place, p.SlotPlace):
        slot = place.slot

        def clear(exchange: Exchange) -> None:
            exchange.slots[slot] = None

        return clear
    get = _message_of(place.message)
    if isinstance(place, p.NamedPlace):
        key, remove = compiled(place.key), _REMOVERS[place.kind]
        return lambda exchange: remove(get(exchange), string_of(key(exchange)))
    try:
        drop = _DROPS[place.field]
    except KeyError:
        raise ValueError(f"`{place.message}.{place.field}` cannot be removed") from None
    return lambda exchange: drop(get(exchange))


def _message_of(word: str) -> Callable[[Exchange], Any]:
    return _response if word == "response" else _request


def _request(exchange: Exchange) -> Request:
    return exchange.request


def _response(exchange: Exchange) -> Message:
    found: Message = present(exchange.response, "`response`")
    return found


# --- header fields ---


def header_name(name: str) -> tuple[bytes, bytes]:
    """A name to look up and a name to write. Raises Failed on what cannot be one, and on what the gateway writes."""
    if not _TOKEN.match(name):
        raise bad_header("that is no header's name")
    lower = name.lower()
    if lower in FRAMING:
        raise bad_header(f"`{lower}` is written by the gateway")
    return lower.encode(), name.encode()


def header_value(value: Any) -> bytes:
    """Raises Failed on CR, LF and NUL, which would end the field (RFC 9110, 5.5), and on what is no text."""
    kind = value.__class__
    if kind is not str and kind is not Ip:
        value = string_of(value)
    if value.isprintable():  # so it holds no control character, and no stray byte
        return value.encode()  # type: ignore[no-any-return]
    if _BREAKS.search(value):
        raise bad_header("a header's value holds a line break or NUL")
    return value.encode("utf-8", "surrogateescape")  # type: ignore[no-any-return]


def _set_header(message: Message, name: str, value: Any) -> None:
    lower, written = header_name(name)
    message.set_header(lower, written, header_value(value))
    if lower == b"content-encoding":
        message.unread()


def _set_fields(message: Message, name: str, value: Any) -> None:
    """What is known to be a list gives a field for each element; a message's JSON does not choose how many."""
    lower, written = header_name(name)
    values = [header_value(each) for each in value]
    message.remove_header(lower)
    for each in values:
        message.add_header(lower, written, each)
    if lower == b"content-encoding":
        message.unread()


def _remove_header(message: Message, name: str) -> None:
    lower = name.lower().encode("utf-8", "surrogatepass")
    message.remove_header(lower)
    if lower == b"content-encoding":
        message.unread()


# --- query and cookies ---


def _set_query(request: Request, name: str, value: Any) -> None:
    """The name stands once, whatever a message's JSON holds. The other pairs keep their bytes."""
    text = string_of(value)
    pair = f"{quote_plus(name)}={quote_plus(text, errors='surrogateescape')}".encode()
    request.set_query(b"&".join([*_other_pairs(request, name), pair]))


def _remove_query(request: Request, name: str) -> None:
    kept = _other_pairs(request, name)
    request.set_query(b"&".join(kept) if kept else None)


def _other_pairs(request: Request, name: str) -> list[bytes]:
    return [part for part in (request.query_string or b"").split(b"&") if part and _pair_name(part) != name]


def _pair_name(part: bytes) -> str | None:
    """None for one that is not UTF-8: no policy can name it, and its bytes go along."""
    try:
        return unquote_plus(part.partition(b"=")[0].decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        return None


def query_text(value: Any) -> bytes:
    """A whole query that the policy gives as text."""
    text = string_of(value)
    if not text.isascii() or not text.isprintable() or " " in text or "#" in text:
        raise unsafe("a query holds what cannot stand in one")
    return text.encode()


def _set_query_string(request: Request, value: Any) -> None:
    request.set_query(query_text(value))


def _set_cookie(request: Request, name: str, value: Any) -> None:
    text = string_of(value)
    if not _TOKEN.match(name) or not _COOKIE_VALUE.match(text):
        raise unsafe("a cookie holds what cannot stand in one")
    pairs = [(key, old) for key, old in request.cookies if key != name]
    _write_cookies(request, [*pairs, (name, text)])


def _remove_cookie(request: Request, name: str) -> None:
    _write_cookies(request, [(key, value) for key, value in request.cookies if key != name])


def _write_cookies(request: Request, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        text = "; ".join(f"{name}={value}" for name, value in pairs)
        request.set_header(b"cookie", b"Cookie", header_value(text))
    else:
        request.remove_header(b"cookie")


# --- the rest of a message ---


def _set_method(request: Request, value: Any) -> None:
    text = string_of(value)
    if not _TOKEN.match(text):
        raise unsafe("that is no method")
    request.method = text


def _set_path(request: Request, value: Any) -> None:
    request.path = written_path(string_of(value))


def _set_status(response: Any, value: Any) -> None:
    response.status = status_of(value, 200)


def status_of(value: Any, least: int) -> int:
    """A final status. Raises Failed on what is none between `least` and 599."""
    if value.__class__ is float and value.is_integer():
        value = int(value)
    if value.__class__ is not int:
        raise wrong_type(f"a status is {phrase(kind_of(value))}")
    if not least <= value <= 599:
        raise wrong_type(f"{value} is no status from {least} to 599")
    return int(value)


def _set_body(message: Message, value: Any) -> None:
    if value.__class__ is bytes:
        _replace_body(message, value)
    else:
        _replace_body(message, string_of(value).encode("utf-8", "surrogateescape"))


def _set_json(message: Message, value: Any) -> None:
    _replace_body(message, json_bytes(value))


def _remove_body(message: Message) -> None:
    _replace_body(message, b"")


def _replace_body(message: Message, data: bytes) -> None:
    message.set_body(data)
    message.headers = [field for field in message.headers if field[0] not in _OF_OLD_BODY]


def json_bytes(value: Any) -> bytes:
    """Raises Failed on what JSON has no form for."""
    try:
        # Durations and sizes are written as they interpolate, not as the dataclasses that they are.
        return orjson.dumps(value, default=text_of, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:
        exact = long_json(value, text_of, error)
        if exact is None:
            raise wrong_type("a value has no form in JSON") from None
        return exact


def bad_header(detail: str) -> Failed:
    return Failed(Failure("bad-header", 400, detail, kind=Kind.ERROR))


def unsafe(detail: str) -> Failed:
    return Failed(Failure("unsafe-value", 400, detail, kind=Kind.ERROR))


_WRITERS: dict[str, Callable[[Any, str, Any], None]] = {
    "header": _set_header, "query": _set_query, "cookie": _set_cookie,
}  # fmt: skip
_REMOVERS: dict[str, Callable[[Any, str], None]] = {
    "header": _remove_header, "query": _remove_query, "cookie": _remove_cookie,
}  # fmt: skip
_DROPS: dict[str, Callable[[Any], None]] = {
    "query_string": lambda request: request.set_query(None), "body": _remove_body, "text": _remove_body,
    "json": _remove_body,
}  # fmt: skip
_FIELDS: dict[tuple[str, str], Callable[[Any, Any], None]] = {
    ("request", "method"): _set_method, ("request", "path"): _set_path, ("request", "query_string"): _set_query_string,
    ("response", "status"): _set_status,
    **{(message, "body"): _set_body for message in ("request", "response")},
    **{(message, "text"): _set_body for message in ("request", "response")},
    **{(message, "json"): _set_json for message in ("request", "response")},
}  # fmt: skip
