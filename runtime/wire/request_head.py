"""A request's head: what it says, and what must not be let in although llhttp accepts it."""

from __future__ import annotations

import re
from typing import Final

from policylang.sdk.hop_by_hop import connection_options
from runtime.wire.authority import read_authority
from runtime.wire.fields import HTTP_1_0, HTTP_1_1, LONGEST_LENGTH, NO_NAMES, Field, Version
from runtime.wire.limits import WireError, WireLimits
from runtime.wire.memo import KnownFields

_KNOWN_METHODS: Final = {
    name.encode("ascii"): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
}
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?]*)(/[^?]*)?(?:\?(.*))?", re.IGNORECASE)
_TOKENS: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
# As numbers: looking for a byte is six times as fast as looking for bytes.
_HASH, _SLASH, _UNDERSCORE = b"#/_"
# The start line beside its method and target: two spaces and `HTTP/1.1`.
_VERSION_AND_SPACES: Final = 10


USUAL_START: Final = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!\"$-~]*) HTTP/1\.1\r\n")
"""A start line that needs no closer look."""


class RequestHead:
    """A request up to its empty line.

    `target` is as received, `path` and `query` its two parts, not decoded (`*` for a request about the server as a
    whole). `headers` are (lower-case name, name as received, value); names with `_` are not among them but in
    `dropped`. `host` is what the request is for: lower-case `host[:port]`, from an absolute target or from Host, empty
    only in HTTP/1.0; the Host field in `headers` agrees with it. `scheme` is that of an absolute target, else empty.
    `connection` holds the names of fields that Connection lists and that must not be forwarded. `upgrade` says that
    another protocol was offered, `expect_continue` that the client waits for 100 before it sends the body. A body
    comes if `chunked` or if `content_length` is above 0. `offered`: the protocols among them that the connection may
    change to, where somebody can do so. `known`: the same fields came before.
    """

    __slots__ = (
        "chunked",
        "connection",
        "content_length",
        "dropped",
        "expect_continue",
        "headers",
        "host",
        "keep_alive",
        "known",
        "method",
        "offered",
        "path",
        "query",
        "scheme",
        "target",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: bytes,
        query: bytes,
        version: Version,
        headers: list[Field],
        host: bytes,
    ) -> None:
        self.method = method
        self.target = target
        self.path = path
        self.query = query
        self.version = version
        self.headers = headers
        self.host = host
        self.keep_alive = version is HTTP_1_1
        self.known: KnownFields | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.connection = NO_NAMES
        self.dropped: tuple[bytes, ...] = ()
        self.expect_continue = False
        self.offered = b""
        self.scheme = b""
        self.upgrade = False


def read_request_head(
    raw: bytes,
    method: bytes,
    target: bytes,
    fields: list[Field],
    framing: list[tuple[bytes, bytes]],
    limits: WireLimits,
) -> RequestHead:
    """Make the head of what llhttp read; `raw` is all of it, `framing` the fields of `FRAMING` as (name, value).

    Raises WireError: 400, 414, 417, 431, 501 or 505.
    """
    # `raw` is longer than the start line, and mostly shorter than its limit: so the sum is seldom needed.
    if len(raw) > limits.request_line and len(method) + len(target) + _VERSION_AND_SPACES > limits.request_line:
        raise WireError(414, "request-line-too-long", f"the request line is longer than {limits.request_line} bytes")
    if len(fields) > limits.fields:
        raise too_many_fields(limits)

    # Where `HTTP/1.1` stands right behind method and target, nothing else can be in front of or between them. llhttp
    # also takes empty lines before, several spaces, ICE, RTSP and versions from 0.9 to 2.0.
    if raw.startswith(b"HTTP/1.1\r\n", len(method) + len(target) + 2):
        version = HTTP_1_1
    else:
        version = _read_version(raw, method, target)

    # Most requests have Host and no other field of those that matter here.
    if len(framing) == 1 and framing[0][0] == b"host":
        authority = read_authority(framing[0][1])
        said = None
    else:
        said = dict(framing)
        if len(said) < len(framing):
            said = _join_repeated(framing)
        authority = _read_host(said, version)

    verb = _KNOWN_METHODS.get(method) or method.decode("ascii")
    # RFC 9112 3.2: no form of target has a fragment; who cuts it off and who does not would see two paths.
    if _HASH in target:
        raise WireError(400, "bad-target", "the request target has a fragment")
    if target[0] == _SLASH:
        path, _, query = target.partition(b"?")
        head = RequestHead(verb, target, path, query, version, fields, authority)
    else:
        head = _other_target(verb, target, version, fields, authority)

    if _UNDERSCORE in raw:
        _drop_underscores(head)
    if said is not None:
        _apply(head, said)
    return head


def known_request_head(method: bytes, target: bytes, known: KnownFields) -> RequestHead:
    """Make the head of a request whose start line is usual and whose fields are known."""
    path, _, query = target.partition(b"?")
    head = RequestHead(_KNOWN_METHODS[method], target, path, query, HTTP_1_1, known.headers, known.host)
    head.keep_alive = known.keep_alive
    head.connection = known.connection
    head.dropped = known.dropped
    head.known = known
    return head


def _drop_underscores(head: RequestHead) -> None:
    # RFC 3875 4.1.18 is why: CGI and its heirs see `X_User` and `X-User` as one field.
    for field in head.headers:
        if _UNDERSCORE in field[0]:
            head.dropped = tuple(field[1] for field in head.headers if _UNDERSCORE in field[0])
            head.headers = [field for field in head.headers if _UNDERSCORE not in field[0]]
            return


def _join_repeated(framing: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """One value a name: repeated fields are one list (RFC 9110 5.3), but where they must not be repeated."""
    said: dict[bytes, bytes] = {}
    for name, value in framing:
        if name not in said:
            said[name] = value
        elif name == b"host":
            raise WireError(400, "bad-host", "the request has more than one host field")
        elif name == b"content-length":
            raise _bad_framing("the request has more than one content-length field")
        else:
            said[name] += b"," + value
    return said


def _read_host(said: dict[bytes, bytes], version: Version) -> bytes:
    # RFC 9112 3.2: exactly one valid Host, also where the target is absolute; HTTP/1.0 had none.
    host = said.get(b"host")
    if host is not None:
        return read_authority(host)
    if version is HTTP_1_1:
        raise WireError(400, "bad-host", "the request has no host field")
    return b""


def _apply(head: RequestHead, said: dict[bytes, bytes]) -> None:
    http_1_1 = head.version is HTTP_1_1
    length = said.get(b"content-length")
    if b"transfer-encoding" in said:
        _read_coding(head, said[b"transfer-encoding"], length)
    elif length is not None:
        # llhttp has refused what is no number or above 2^64, but not zeros without end in front of it.
        if not length.isdigit() or len(length) > LONGEST_LENGTH:
            raise _bad_framing("the content-length is not a number of at most 20 digits")
        head.content_length = int(length)
    connection = said.get(b"connection")
    if connection is not None:
        options, head.connection = connection_options(connection)
        head.keep_alive = b"close" not in options and (http_1_1 or b"keep-alive" in options)
    expect = said.get(b"expect")
    # RFC 9110 10.1.1: an expectation in HTTP/1.0 is ignored, as is 100-continue where no body comes.
    if expect is not None and http_1_1:
        if {expectation.strip() for expectation in expect.lower().split(b",")} != {b"100-continue"}:
            raise WireError(417, "expectation-failed", "only the expectation `100-continue` can be met")
        head.expect_continue = head.chunked or bool(head.content_length)


def _read_version(raw: bytes, method: bytes, target: bytes) -> Version:
    start = raw.lstrip(b"\r\n")
    # RFC 9112 2.2: empty lines before a request are ignored; a lone CR or LF is none.
    if raw[: len(raw) - len(start)].replace(b"\r\n", b""):
        raise _malformed("the request has line ends without CR or without LF in front")
    line, _, _ = start.partition(b"\r\n")
    prefix = b"%b %b " % (method, target)
    if line.startswith(prefix):
        if line == prefix + b"HTTP/1.1":
            return HTTP_1_1
        if line == prefix + b"HTTP/1.0":
            return HTTP_1_0
        if line.startswith(b"HTTP/", len(prefix)):
            raise WireError(505, "version-not-supported", "only HTTP/1.1 and HTTP/1.0 are spoken here")
    elif line == prefix[:-1]:
        raise WireError(505, "version-not-supported", "only HTTP/1.1 and HTTP/1.0 are spoken here")
    raise _malformed("the request line is not a method, a target and a version with one space between them")


def _other_target(
    method: str, target: bytes, version: Version, fields: list[Field], authority: bytes
) -> RequestHead:
    """Absolute form (RFC 9112 3.2.2) and asterisk form (3.2.4); the authority form is for CONNECT only."""
    if target == b"*" and method == "OPTIONS":
        return RequestHead(method, target, target, b"", version, fields, authority)
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise WireError(400, "bad-target", "the request target must be a path or an absolute http or https URL")
    scheme, named, path, query = match.groups(b"")
    # RFC 9110 4.2.4: user information before an `@` is an error; it is not part of a valid authority here.
    authority = read_authority(named)
    if not path:
        path = b"*" if method == "OPTIONS" and not query else b"/"
    # RFC 9112 3.2.2: Host is ignored, and replaced with the target's authority where the request goes on.
    fields = [(low, name, named if low == b"host" else value) for low, name, value in fields]
    head = RequestHead(method, target, path, query, version, fields, authority)
    head.scheme = scheme.lower()
    return head


def _read_coding(head: RequestHead, coding: bytes, length: bytes | None) -> None:
    if length is not None:
        raise _bad_framing("the request has both content-length and transfer-encoding")
    if head.version is not HTTP_1_1:
        # RFC 9112 6.1: framing that HTTP/1.0 does not know is faulty.
        raise _bad_framing("a request of HTTP/1.0 has a transfer-encoding")
    if coding.lower() != b"chunked":
        if _TOKENS.fullmatch(coding) and b"chunked" not in coding.lower().split(b",")[0]:
            raise WireError(501, "transfer-coding-not-implemented", "the only transfer coding understood is `chunked`")
        raise _bad_framing("the transfer-encoding must be exactly `chunked`")
    head.chunked = True


def too_many_fields(limits: WireLimits) -> WireError:
    return WireError(431, "too-many-fields", f"the request has more than {limits.fields} header fields")


def _bad_framing(detail: str) -> WireError:
    return WireError(400, "bad-framing", detail)


def _malformed(detail: str) -> WireError:
    return WireError(400, "malformed-request", detail)
