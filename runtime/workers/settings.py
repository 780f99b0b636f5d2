"""What the processes of a gateway need to know of its policy: the `gateway` block as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from policylang.source import Span

STDOUT = "stdout"
STDERR = "stderr"
OFF = "off"


class Setting(Protocol):
    """One setting of the checked program: where it stands, its name and the value of every parameter."""

    @property
    def span(self) -> Span: ...
    @property
    def name(self) -> str: ...
    @property
    def values(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One `listen` of the policy. Files stand as they can be opened; without `cert` it speaks no TLS.

    `key` has as many files as `cert`, in the same order. `client_cert`: "required" or "optional"; `min_tls`: "1.2" or
    "1.3"; `handshake`: seconds for a PROXY header and the TLS handshake together.
    """

    address: str
    cert: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    client_ca: str | None = None
    client_cert: str = "required"
    crl: str | None = None
    min_tls: str = "1.2"
    proxy_protocol: bool = False
    handshake: float = 10.0


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`path`: a folder, "" for the default place. `members`: none for the embedded store. Sizes in bytes, `deadline` in
    seconds."""

    path: str = ""
    cluster: str = "dev"
    members: tuple[str, ...] = ()
    deadline: float = 0.1
    rates: int = 128 << 20
    lasting: int = 256 << 20
    cache: int = 256 << 20


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What of the `gateway` block is the supervisor's business; the edge reads the rest for itself.

    Times in seconds. `access_log`: a file, STDOUT or OFF. `error_log`: a
    file or STDERR. `drain_delay`: None where the policy does not say. `admin`: an address and port, `unix:` and a path
    (none: the default place), or OFF.
    """

    listen: tuple[ListenerSettings, ...] = (ListenerSettings("127.0.0.1:8080"),)
    workers: int = 1
    name: str = "polgate"
    store: StoreSettings = StoreSettings()
    access_log: str = STDOUT
    error_log: str = STDERR
    admin: str = "unix:"
    admin_token: str | None = None
    drain: float = 30.0
    drain_delay: float | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(listener.address for listener in self.listen)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that the supervisor has read and checked. `files`: every file's bytes, by the path it is known by."""

    paths: tuple[str, ...]
    files: dict[str, bytes]
    hash: str
    settings: GatewaySettings


class PolicyRefused(Exception):
    """A policy that cannot be served. `report` is what its author is shown; `unreadable`: a file could not be read."""

    def __init__(self, report: str, unreadable: bool = False) -> None:
        super().__init__(report)
        self.report = report
        self.unreadable = unreadable


def gateway_settings(settings: Iterable[Setting]) -> GatewaySettings:
    """From the checked program, where every parameter has a value; a setting that is left out has its default."""
    listen: list[Setting] = []
    given: dict[str, Any] = {}
    handshake = 10.0
    for setting in settings:
        values = setting.values
        if setting.name == "listen":
            listen.append(setting)
        elif setting.name in ("access_log", "error_log"):
            given[setting.name] = str(values["to"])
        elif setting.name == "name":
            given["name"] = str(values["text"])
        elif setting.name == "workers":
            given["workers"] = int(values["count"])
        elif setting.name == "store":
            given["store"] = StoreSettings(
                str(values["path"] or ""), str(values["cluster"]), tuple(values["members"]), values["deadline"].seconds,
                values["rates"].bytes, values["lasting"].bytes, values["cache"].bytes,
            )  # fmt: skip
        elif setting.name == "admin":
            given["admin"], given["admin_token"] = str(values["address"]), values["token"]
        elif setting.name == "timeouts":
            given |= {name: values[name].seconds for name in ("drain", "drain_delay") if values[name] is not None}
            handshake = values["handshake"].seconds
    if listen:
        given["listen"] = tuple(_listener(setting, handshake) for setting in listen)
    return GatewaySettings(**given)


def _listener(setting: Setting, handshake: float) -> ListenerSettings:
    from policylang.check.surroundings import resolve  # the checker is heavy, and not every command checks

    values = setting.values

    def files(name: str) -> tuple[str, ...]:
        """A file is named relative to the policy's file that names it."""
        given = values[name]
        texts = [given] if isinstance(given, str) else list(given or ())
        return tuple(resolve(text, setting.span.source.name) for text in texts)

    cert = files("cert")
    return ListenerSettings(
        address=str(values["address"]), cert=cert, key=files("key") or cert,
        client_ca=next(iter(files("client_ca")), None), client_cert=str(values["client_cert"]),
        crl=next(iter(files("crl")), None), min_tls=str(values["min_tls"]),
        proxy_protocol=bool(values["proxy_protocol"]), handshake=handshake,
    )  # fmt: skip


def packed_listeners(settings: GatewaySettings) -> list[dict[str, Any]]:
    """As they travel to a worker, which gives them to `unpacked_listeners`."""
    return [asdict(listener) for listener in settings.listen]


def unpacked_listeners(packed: list[dict[str, Any]]) -> tuple[ListenerSettings, ...]:
    return tuple(
        ListenerSettings(**{**one, "cert": tuple(one["cert"]), "key": tuple(one["key"])}) for one in packed
    )


def unpacked_store(packed: dict[str, Any]) -> StoreSettings:
    """From what `dataclasses.asdict` made of it, after its travel."""
    return StoreSettings(**{**packed, "members": tuple(packed["members"])})


def own_version() -> str:
    try:
        return version("polgate")
    except PackageNotFoundError:
        return "unknown"  # a checkout that is not installed
