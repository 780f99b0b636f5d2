"""Listening sockets: one for each worker slot and address, held by the supervisor."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection
from typing import Any

BACKLOG = 2048
"""Connections that may wait while a worker is replaced; the kernel's somaxconn caps it."""


class CannotListen(Exception):
    """One sentence for the operator."""


def split_address(text: str) -> tuple[str, int]:
    """`127.0.0.1:8080`, `[::1]:8080` -> host and port. Raises CannotListen."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or not host or (":" in host) != bracketed or not port.isascii() or not port.isdecimal():
        raise CannotListen(f"cannot listen on `{text}`: give an address and a port, as in `127.0.0.1:8080`")
    if int(port) > 65535:
        raise CannotListen(f"cannot listen on `{text}`: a port is at most 65535")
    return host, int(port)


def url(bound: socket.socket, secure: bool = False) -> str:
    host, port = bound.getsockname()[:2]
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"{scheme}://{host}:{port}"


def open_sockets(
    text: str, count: int, like: socket.socket | None = None, ours: Collection[int] = ()
) -> list[socket.socket]:
    """`count` listening sockets that share one address with SO_REUSEPORT. Raises CannotListen.

    An address that anybody else listens on is refused, since SO_REUSEPORT alone would quietly share its traffic with
    another process of the same user. `ours`: ports where we listen ourselves; `like`: a socket of ours whose address
    the new ones join.
    """
    family, place = resolved(text)
    if like is not None:
        place = like.getsockname()
    opened: list[socket.socket] = []
    try:
        if like is None and place[1] and place[1] not in ours:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                _bind(probe, place, shared=False)
        for _ in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            opened.append(one)
            _bind(one, place, shared=True)
            one.listen(BACKLOG)
            one.setblocking(False)
            place = one.getsockname()
    except OSError as error:
        for one in opened:
            one.close()
        why = _REASONS.get(error.errno or 0) or os.strerror(error.errno or 0).lower()
        raise CannotListen(f"cannot listen on `{text}`: {why}") from None
    return opened


_REASONS = {
    errno.EADDRINUSE: "another program listens there",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "ports below 1024 need a privilege: take another, or a socket that the service manager opens",
    errno.EMFILE: "this process may open no more files: raise `ulimit -Hn`",
}


def _bind(one: socket.socket, place: tuple[Any, ...], shared: bool) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(place)


def resolved(text: str) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Family and socket address. Raises CannotListen."""
    host, port = split_address(text)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise CannotListen(f"cannot listen on `{text}`: no such address") from None
    return found[0][0], found[0][4]
