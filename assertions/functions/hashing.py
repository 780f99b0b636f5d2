"""Digests, message authentication, random identifiers."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import uuid as uuids

from assertions.functions.arithmetic import whole
from policylang.sdk import function

_T = {"text": "Text, taken as UTF-8, or bytes (`request.body`)."}
_K = _T | {"key": "The shared secret."}


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


@function(docs=_T)
def sha256(text: str | bytes) -> str:
    """SHA-256 in hexadecimal (FIPS 180-4).

        substring(sha256("abc"), 0, 8) == "ba7816bf"
    """
    return hashlib.sha256(_bytes(text)).hexdigest()


@function(docs=_T)
def sha512(text: str | bytes) -> str:
    """SHA-512 in hexadecimal (FIPS 180-4).

        substring(sha512("abc"), 0, 8) == "ddaf35a1"
    """
    return hashlib.sha512(_bytes(text)).hexdigest()


@function(docs=_T)
def sha1(text: str | bytes) -> str:
    """SHA-1 in hexadecimal: for partners who still ask for it, not for security.

        substring(sha1("abc"), 0, 8) == "a9993e36"
    """
    return hashlib.sha1(_bytes(text), usedforsecurity=False).hexdigest()


@function(docs=_T)
def md5(text: str | bytes) -> str:
    """MD5 in hexadecimal: for checksums that partners ask for, not for security.

        substring(md5("abc"), 0, 8) == "90015098"
    """
    return hashlib.md5(_bytes(text), usedforsecurity=False).hexdigest()


@function(docs=_K)
def hmac_sha256(text: str | bytes, *, key: str) -> str:
    """HMAC with SHA-256 in hexadecimal (RFC 2104).

        substring(hmac_sha256("abc", key: "k"), 0, 8) == "342e519c"
    """
    return hmac.digest(_bytes(key), _bytes(text), "sha256").hex()


@function(docs=_K)
def hmac_sha512(text: str | bytes, *, key: str) -> str:
    """HMAC with SHA-512 in hexadecimal (RFC 2104).

        length(hmac_sha512("abc", key: "k")) == 128
    """
    return hmac.digest(_bytes(key), _bytes(text), "sha512").hex()


@function(docs={"left": "One text.", "right": "The other."})
def same_secret(left: str, right: str) -> bool:
    """Whether two texts are equal, in a time that does not tell where they differ.

        same_secret("abc", "abc")
    """
    return hmac.compare_digest(_bytes(left), _bytes(right))


@function(pure=False)
def uuid() -> str:
    """A random UUID, version 4 (RFC 9562).

        length(uuid()) == 36
    """
    return str(uuids.uuid4())


@function(docs={"bytes": "How many random bytes."}, defaults={"bytes": "16"}, pure=False)
def random_hex(bytes: int) -> str:
    """Random bytes from the system's secure source, in hexadecimal.

        length(random_hex(8)) == 16
    """
    return secrets.token_hex(max(1, min(whole(bytes), 1024)))


FUNCTIONS = (hmac_sha256, hmac_sha512, md5, random_hex, same_secret, sha1, sha256, sha512, uuid)
