"""Encodings. What cannot be decoded gives `none`."""

from __future__ import annotations

import base64
import binascii
import html
from typing import Any
from urllib.parse import quote, unquote

import orjson

from policylang.sdk import Failed, Json, function, wrong_type
from policylang.sdk.parse import long_json
from policylang.sdk.parse import parse_json as read_json
from policylang.sdk.values import Duration, Ip, Rate, Size, Time

_T = {"text": "The text, taken as UTF-8."}


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


@function(docs=_T)
def base64_encode(text: str | bytes) -> str:
    """Base64 (RFC 4648, 4).

        base64_encode("hi") == "aGk="
    """
    return base64.b64encode(_bytes(text)).decode()


@function(docs={"text": "Base64 text."})
def base64_decode(text: str) -> str | None:
    """The text that Base64 holds.

        base64_decode("aGk=") == "hi"
    """
    try:
        return _text(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None


@function(docs=_T)
def base64url_encode(text: str | bytes) -> str:
    """Base64 for URLs without padding (RFC 4648, 5).

        base64url_encode("??>") == "Pz8-"
    """
    return base64.urlsafe_b64encode(_bytes(text)).rstrip(b"=").decode()


@function(docs={"text": "Base64url text, padded or not."})
def base64url_decode(text: str) -> str | None:
    """The text that Base64url holds.

        base64url_decode("Pz8-") == "??>"
    """
    try:
        standard = text.rstrip("=").translate({45: "+", 95: "/", 43: "!", 47: "!"})
        return _text(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


@function(docs=_T)
def hex_encode(text: str | bytes) -> str:
    """Bytes as lower-case hexadecimal digits.

        hex_encode("hi") == "6869"
    """
    return _bytes(text).hex()


@function(docs={"text": "Hexadecimal digits."})
def hex_decode(text: str) -> str | None:
    """The text that hexadecimal digits hold.

        hex_decode("6869") == "hi"
    """
    try:
        return _text(binascii.unhexlify(text))
    except (binascii.Error, ValueError):
        return None


@function(docs=_T)
def url_encode(text: str) -> str:
    """Percent-encoded, all but unreserved characters (RFC 3986, 2.3).

        url_encode("a b/c") == "a%20b%2Fc"
    """
    return quote(text, safe="", errors="surrogateescape")


@function(docs={"text": "Percent-encoded text."})
def url_decode(text: str) -> str | None:
    """Percent-encoded text decoded; a `+` stays a `+`.

        url_decode("a%20b") == "a b"
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return None


@function(docs=_T)
def html_escape(text: str) -> str:
    """Fit to stand in HTML text or a quoted attribute.

        html_escape("<a>") == "&lt;a&gt;"
    """
    return html.escape(text)


def dump_json(value: Any) -> bytes:
    """Raises Failed on what JSON has no form for: bytes, a range."""
    try:
        return orjson.dumps(value, default=_measure, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError as error:  # also a number beyond 64 bits, a text with stray bytes, too deep
        exact = long_json(value, _measure, error)
        if exact is None:
            raise wrong_type("a value has no form in JSON") from None
        return exact


def _measure(value: Any) -> str:
    """A time, or something with a unit, as it interpolates."""
    if isinstance(value, (Duration, Ip, Rate, Size, Time)):
        return str(value)
    raise wrong_type("a value has no form in JSON")


@function(name="json", docs={"value": "Any value."})
def to_json(value: Json) -> str:
    """A value as JSON text.

        json({ a: [1, none] }) == "{\\"a\\":[1,null]}"
    """
    return dump_json(value).decode()


@function(docs={"text": "JSON text."})
def parse_json(text: str) -> Json:
    """The value that JSON text holds, `none` where it is no JSON.

        parse_json("[1]") == [1]
    """
    try:
        return read_json(_bytes(text))
    except Failed:
        return None


FUNCTIONS = (
    base64_decode, base64_encode, base64url_decode, base64url_encode, hex_decode, hex_encode, html_escape, parse_json,
    to_json, url_decode, url_encode,
)  # fmt: skip
