"""What may stand in `gateway { … }`: one class a setting, read by checker, runtime and docs alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_network
from typing import Any, ClassVar, Literal

from policylang.check.setting import Setting, positive, whole
from policylang.sdk import Duration, Size, param

_MEMBER = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


class Listen(Setting):
    """An address and port to accept connections on.

    An IPv6 address stands in brackets. With `cert: "api.pem", key: "api.key"` it speaks TLS. Several may be listed,
    each with its key at the same place: the name that the client asks for (SNI) chooses among them, and the first is
    for who asks for none of them. They are taken up again when their files change. With `client_ca:` clients show
    certificates, which `client.cert` gives. With `proxy_protocol: true` each connection begins with a PROXY header
    (version 1 or 2), which gives `client.ip`. May stand several times.

        listen "127.0.0.1:8080"
    """

    name: ClassVar[str] = "listen"
    several: ClassVar[bool] = True

    address: str = param("Address and port.", positional=True, default='"127.0.0.1:8080"')
    cert: str | list[str] | None = param("PEM files of certificates, with those that issued them.", default=None)
    key: str | list[str] | None = param("PEM files of the keys; left out: they stand in `cert`.", default=None)
    client_ca: str | None = param("A PEM file of those who issue clients' certificates.", default=None)
    client_cert: Literal["required", "optional"] = param(
        "Whether a client may do without a certificate.", default="required"
    )
    crl: str | None = param("A PEM file of revoked certificates of clients.", default=None)
    min_tls: str = param('The oldest version of TLS: `"1.2"` or `"1.3"`.', default='"1.2"')
    proxy_protocol: bool = param("Whether a PROXY header comes first.", default="false")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        address = constants.get("address")
        wrong = wrong_address(address) if isinstance(address, str) else None
        cert, key = constants.get("cert"), constants.get("key")
        if wrong is not None:
            return wrong
        if cert is None:
            for name in ("key", "client_ca", "crl"):
                if constants.get(name) is not None:
                    return f"`{name}` needs `cert`: without a certificate there is no TLS"
        elif not _texts(cert):
            return "`cert` names no file"
        elif key is not None and len(_texts(key)) != len(_texts(cert)):
            return "`key` names as many files as `cert`, in the same order"
        if constants.get("crl") is not None and constants.get("client_ca") is None:
            return "`crl` needs `client_ca`: only clients' certificates are looked up in it"
        if constants.get("min_tls", "1.2") not in ("1.2", "1.3"):
            return '`min_tls` is "1.2" or "1.3"'
        return None


def _texts(value: Any) -> list[str]:
    return [text for text in ([value] if isinstance(value, str) else list(value)) if text]


class Workers(Setting):
    """How many processes serve.

        workers 2
    """

    name: ClassVar[str] = "workers"

    count: int = param("Processes.", positional=True, default="1")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return whole("count", constants, 1, 256)


class GatewayName(Setting):
    """What the gateway calls itself, in logs and in `gateway.name`.

        name "edge"
    """

    name: ClassVar[str] = "name"

    text: str = param("The name.", positional=True, default='"polgate"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        text = constants.get("text")
        if isinstance(text, str) and not (text and text.isprintable() and text.isascii() and len(text) <= 64):
            return "a gateway's name has 1 to 64 printable ASCII characters"
        return None


class StoreSetting(Setting):
    """Where counters, quotas, maps and caches live.

    `embedded` is for the workers of one machine. `hazelcast` is for many: the members of a Hazelcast cluster hold what
    is shared, and each gateway still keeps a folder of its own, with what it must not lose. Whoever can reach a member
    can read and write everything in it: the members belong in a network of their own.

        store hazelcast, cluster: "edge", members: ["10.0.0.5:5701", "10.0.0.6:5701"]
    """

    name: ClassVar[str] = "store"

    kind: Literal["embedded", "hazelcast"] = param("The kind of store.", positional=True, default="embedded")
    path: str | None = param("Its folder; left out: `$STATE_DIRECTORY`, else `./.polgate`.", default=None)
    cluster: str = param("The name of the Hazelcast cluster.", default='"dev"')
    members: list[str] = param("Addresses and ports of members to begin with; the others are found.", default="[]")
    deadline: Duration = param("How long a call of the cluster may take before it counts as away.", default="100ms")
    rates: Size = param("Room for rate limits; half as much again is for permits. Taken at start.", default="128MiB")
    lasting: Size = param("Room for quotas and maps.", default="256MiB")
    cache: Size = param("Room for caches.", default="256MiB")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        path, members = constants.get("path"), constants.get("members") or ()
        if path is not None and not path.strip():
            return "`path` cannot be empty"
        if constants.get("kind") == "embedded" and members:
            return "`members` is for `store hazelcast`: an embedded store has none"
        if constants.get("kind") == "hazelcast":
            if not members:
                return "`members` names no member: write one such as \"10.0.0.5:5701\""
            if not constants.get("cluster"):
                return "`cluster` cannot be empty"
            for member in members:
                if not _MEMBER.fullmatch(member):
                    return f"`{member}` is no member: write its host and port, such as \"10.0.0.5:5701\""
        for name in ("rates", "lasting", "cache"):
            size = constants.get(name)
            if isinstance(size, Size) and size.bytes < 1 << 20:
                return f"`{name}` must be at least `1MiB`"
        deadline = constants.get("deadline")
        if isinstance(deadline, Duration) and not 0.005 <= deadline.seconds <= 10:
            return "`deadline` is from `5ms` to `10s`"
        return None


class AccessLog(Setting):
    """Where the access log goes: `"stdout"`, `"off"`, or a file's path.

    With `sample: 0.1` one in ten of the answers that went well is written; failures and what an upstream answered with
    500 and above always are.

        access_log "/var/log/polgate/access.log"
    """

    name: ClassVar[str] = "access_log"

    to: str = param("The destination.", positional=True, default='"stdout"')
    sample: float = param("The share of what went well that is written, 0 to 1.", default="1")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        if not 0 <= constants.get("sample", 1) <= 1:
            return "`sample` is a share from 0 to 1"
        return "`to` cannot be empty: write \"off\" for no log" if constants.get("to") == "" else None


class ErrorLog(Setting):
    """Where the gateway says what its operator must know: `"stderr"` or a file's path.

        error_log "/var/log/polgate/error.log"
    """

    name: ClassVar[str] = "error_log"

    to: str = param("The destination.", positional=True, default='"stderr"')

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return "`to` cannot be empty" if constants.get("to") == "" else None


class Admin(Setting):
    """Where the gateway answers its operator: `/livez`, `/readyz`, `/startupz`, `/metrics`, and `polgate`'s commands.

    Left out: a Unix socket `admin.sock` in the store's folder, for its owner alone. An address and port is for probes
    and scrapers; there every change needs the token. `"off"` for none.

        admin "127.0.0.1:9901", token: secret("POLGATE_ADMIN_TOKEN")
    """

    name: ClassVar[str] = "admin"

    address: str = param(
        'Address and port, `"unix:"` and a path, or `"off"`.', positional=True, default='"unix:"'
    )
    token: str | None = param("What a change must show, as `Authorization: Bearer …`.", default=None)

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        address, token = constants.get("address"), constants.get("token")
        if isinstance(token, str) and len(token) < 16:
            return "`token` has at least 16 characters"
        if not isinstance(address, str) or address == "off" or address.startswith("unix:"):
            return None
        return wrong_address(address)


class _Networks(Setting):
    """Takes addresses and networks."""

    networks: list[str] = param("Addresses and networks.", positional=True, default="[]")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return wrong_networks(constants.get("networks"))


class TrustedProxies(_Networks):
    """Networks whose word about the client counts: who stands in front of the gateway.

    What they say in `Forwarded` (RFC 7239) or `X-Forwarded-For` gives `client.ip`, read from the right up to the first
    address that is none of theirs; what stands left of it is dropped. The scheme that they name is `request.scheme`.
    `request.host` is never theirs to say: a host that they name only goes upstream, in `X-Forwarded-Host`. A proxy
    that writes one kind of these fields must drop the other: both are 400 where they disagree, and what only one of
    them says of scheme and host does not count. From everybody else all of them are removed.

        trusted_proxies ["10.0.0.0/8", "fd00::/8"]
    """

    name: ClassVar[str] = "trusted_proxies"


class ServerTiming(_Networks):
    """Callers that are told in `Server-Timing` how long the gateway and the upstream took.

        server_timing ["127.0.0.1", "10.0.0.0/8"]
    """

    name: ClassVar[str] = "server_timing"


class Limits(Setting):
    """The largest things that are taken from a client.

    A body in a content coding (`Content-Encoding`: gzip, deflate, br, zstd) is unpacked for the statements that read
    it, which `decoded` bounds, and goes on as it came unless the policy writes it. `body`, `limit_size` and
    `request.size` count the bytes as they were received. `decoded` and what is said of JSON and XML hold for the
    bodies of upstreams too.

        limits body: 10MiB, header: 32KiB
    """

    name: ClassVar[str] = "limits"

    body: Size = param("The body as it is received, where it is held in memory.", default="10MiB")
    decoded: Size = param("A compressed body, once it is unpacked to be read.", default="10MiB")
    header: Size = param("All header fields together.", default="32KiB")
    request_line: Size = param("The request line.", default="8KiB")
    fields: int = param("Header fields.", default="100")
    chunk_extensions: Size = param("Chunk extensions of one message.", default="16KiB")
    pipelined: int = param("Requests that wait on one connection.", default="16")
    connections: int = param("Connections of one worker.", default="10_000")
    body_rate: Size = param("The slowest body that is waited for, in bytes a second.", default="500B")
    json_depth: int = param("How deep JSON may be nested.", default="128")
    xml_depth: int = param("How deep XML may be nested.", default="128")
    xml_text: Size = param("One run of XML text, or one attribute's value.", default="10MiB")

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        for name in ("header", "request_line", "body", "decoded", "chunk_extensions", "xml_text"):
            size = constants.get(name)
            if isinstance(size, Size) and size.bytes < 1:
                return f"`{name}` must be at least `1B`"
        for name in ("fields", "pipelined", "connections"):
            wrong = whole(name, constants, 1, 10_000_000)
            if wrong is not None:
                return wrong
        return whole("json_depth", constants, 1, 1000) or whole("xml_depth", constants, 1, 255)


class Timeouts(Setting):
    """How long a client is waited for.

        timeouts header: 10s, idle: 60s
    """

    name: ClassVar[str] = "timeouts"

    header: Duration = param("Until the head of a request is complete.", default="10s")
    handshake: Duration = param("For a PROXY header and the TLS handshake together.", default="10s")
    idle: Duration = param("Between two requests of a connection.", default="60s")
    request: Duration = param("For a whole request.", default="60s")
    upgrade_idle: Duration = param(
        "For an upgraded connection (WebSocket) on which nothing moves; `idle` at most, once one side is done.",
        default="5m",
    )
    upgrade_life: Duration = param("For an upgraded connection in all.", default="1d")
    drain: Duration = param("For open requests, when the gateway stops.", default="30s")
    drain_delay: Duration | None = param(
        "Between the wish to stop and the end of accepting; left out: `0s` on a terminal, else `15s`.", default=None
    )

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        return positive(constants, "header", "handshake", "idle", "request", "upgrade_idle", "upgrade_life")


GATEWAY_SETTINGS = (
    Listen, Workers, GatewayName, StoreSetting, AccessLog, ErrorLog, Admin, TrustedProxies, ServerTiming, Limits,
    Timeouts,
)  # fmt: skip


# --- what their constants must be ----------------------------------------------------------------


def split_address(text: str) -> tuple[str, int] | None:
    """Address and port of `127.0.0.1:8080` or `[::1]:8080`; None when it is none."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535 or len(port) > 5:
        return None
    try:
        if host.startswith("[") and host.endswith("]"):
            return str(IPv6Address(host[1:-1])), int(port)
        return str(IPv4Address(host)), int(port)
    except AddressValueError:
        return None


def wrong_address(text: str) -> str | None:
    if split_address(text) is not None:
        return None
    host, _, port = text.rpartition(":")
    if text.isdigit():
        return f"`{text}` is a port only: write \"127.0.0.1:{text}\" or \"0.0.0.0:{text}\""
    if host == "" and port.isdigit():
        return f"`{text}` has no address: write \"0.0.0.0:{port}\" for every IPv4 address"
    if host == "localhost":
        return f"`{text}` has a name for its address: write \"127.0.0.1:{port}\""
    if text.count(":") > 1 and not text.startswith("["):
        return f"`{text}` has an IPv6 address without brackets: write \"[::1]:8080\""
    return f"`{text}` is no address with a port: write one such as \"127.0.0.1:8080\" or \"[::1]:8080\""


def wrong_networks(texts: Any) -> str | None:
    for text in texts or ():
        try:
            ip_network(text)
        except ValueError as error:
            if "host bits" in str(error):
                return f"`{text}` has bits beyond its length: write \"{ip_network(text, strict=False)}\""
            return f"`{text}` is no address or network: write one such as \"10.0.0.0/8\""
    return None
