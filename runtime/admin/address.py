"""Where the admin listener is: a Unix socket's path, or an address and port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path

SOCKET = "admin.sock"
LONGEST_PATH = 107
"""Bytes of a Unix socket's path: `sun_path` has 108 with the zero at its end (unix(7))."""
UNIX = "unix:"


class BadAddress(ValueError):
    """Its text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class AdminAddress:
    """Either `path`, or `host` and `port`."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"{UNIX}{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def admin_address(text: str, folder: Path) -> AdminAddress | None:
    """`unix:PATH`, `unix:` for the socket in the store's folder, or `ADDRESS:PORT`, with `http://` or without; None
    for `off`. Raises BadAddress."""
    if text == "off":
        return None
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX) or str(folder / SOCKET)
        length = len(os.fsencode(path))
        if length > LONGEST_PATH:
            here = os.path.relpath(path)  # deep as the folder may be, from here it is often not
            if len(os.fsencode(here)) <= LONGEST_PATH:
                return AdminAddress(path=here)
            raise BadAddress(
                f"the admin socket's path `{path}` has {length} bytes, and a socket's path at most {LONGEST_PATH}: "
                'give a shorter one with `admin "unix:PATH"`'
            )
        return AdminAddress(path=path)
    host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise BadAddress(f"`{text}` is no admin address: give unix:PATH or http://ADDRESS:PORT")
    try:
        if host.startswith("[") and host.endswith("]"):
            return AdminAddress(host=str(IPv6Address(host[1:-1])), port=int(port))
        return AdminAddress(host="127.0.0.1" if host == "localhost" else str(IPv4Address(host)), port=int(port))
    except AddressValueError:
        raise BadAddress(f"`{text}` is no admin address: give unix:PATH or http://ADDRESS:PORT") from None


def default_socket(environ: Mapping[str, str]) -> Path:
    """Where the socket is when nobody says otherwise: in `$STATE_DIRECTORY`, else in `./.polgate`."""
    return Path(os.path.abspath(environ.get("STATE_DIRECTORY", "").split(":")[0] or ".polgate")) / SOCKET
