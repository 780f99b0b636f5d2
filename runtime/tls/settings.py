"""What TLS needs to be told: by a listener, and by an upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class TlsListener(Protocol):
    """What of a listener's settings concerns TLS. File names stand as they can be opened.

    `key` has as many files as `cert`, in the same order, or none where the keys stand in `cert`. `client_cert`:
    "required" or "optional"; `min_tls`: "1.2" or "1.3"; `handshake`: seconds.
    """

    @property
    def address(self) -> str: ...
    @property
    def cert(self) -> tuple[str, ...]: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def client_ca(self) -> str | None: ...
    @property
    def client_cert(self) -> str: ...
    @property
    def crl(self) -> str | None: ...
    @property
    def min_tls(self) -> str: ...
    @property
    def handshake(self) -> float: ...


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How servers with `https://` are spoken to; the defaults hold where an upstream has no `tls`.

    `ca` None: whom the system trusts. `key` None: it stands in `cert`. `server_name` None: the server's own name.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    verify: bool = True
