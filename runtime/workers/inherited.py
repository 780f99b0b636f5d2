"""Listening sockets from the service manager, as sd_listen_fds(3) has it, by the address that they are bound to."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable, MutableMapping

from runtime.workers.sockets import BACKLOG, CannotListen, open_sockets, resolved

FIRST = 3
"""SD_LISTEN_FDS_START."""


class Inherited:
    """They are kept as long as the supervisor lives: what it gives away are duplicates.

    An address has several where the manager's unit names it several times (with `ReusePort=yes`).
    """

    def __init__(self, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets: dict[tuple[object, ...], list[socket.socket]] = {}
        for one in sockets:
            one.setblocking(False)
            self._sockets.setdefault(_place(one.getsockname()), []).append(one)

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Inherited:
        """From the environment, out of which the variables are taken. Raises CannotListen for what is no socket."""
        pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
        names = environ.pop("LISTEN_FDNAMES", "").split(":")
        if pid != str(os.getpid()) or not count.isdecimal():
            return cls()  # meant for somebody else
        sockets = []
        for position in range(int(count)):
            number = FIRST + position
            name = names[position] if position < len(names) and names[position] else f"descriptor {number}"
            sockets.append(_socket(number, name))
        return cls(sockets)

    def __bool__(self) -> bool:
        return bool(self._sockets)

    def has(self, address: str) -> bool:
        return _place(resolved(address)[1]) in self._sockets

    def check(self, addresses: Iterable[str]) -> None:
        """Raises CannotListen when there is a socket for none of these addresses: it would be waited at for ever."""
        wanted = {_place(resolved(address)[1]) for address in addresses}
        unknown = sorted(_text(place) for place in self._sockets if place not in wanted)
        if unknown:
            raise CannotListen(
                f"the service manager passes a socket for {', '.join(unknown)}, where the policy does not listen: "
                "name the address in `listen`, or take it out of the socket unit"
            )

    def open(self, address: str, count: int) -> list[socket.socket] | None:
        """`count` sockets for an address, one for each worker; None when there is none for it.

        Where there are fewer, siblings join by SO_REUSEPORT if the kernel lets them (the socket has the option, and was
        made by the user that we are); else workers share a socket, see `sharing`.
        """
        found = self._sockets.get(_place(resolved(address)[1]))
        if found is None:
            return None
        given = [one.dup() for one in found[:count]]
        more = count - len(given)
        if more > 0 and found[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT):
            try:
                given += open_sockets(address, more, like=found[0])
            except CannotListen:
                pass
        given += [found[number % len(found)].dup() for number in range(len(given), count)]
        return given

    def close(self) -> None:
        for sockets in self._sockets.values():
            for one in sockets:
                one.close()
        self._sockets = {}


def sharing(sockets: Iterable[socket.socket]) -> bool:
    """Whether two of these are one socket: its workers then take one connection at a time, lest one takes them all."""
    inodes = [os.fstat(one.fileno()).st_ino for one in sockets]
    return len(set(inodes)) < len(inodes)


def _socket(number: int, name: str) -> socket.socket:
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            raise CannotListen(f"the service manager passes `{name}`, which is no socket: take it out of the unit")
    except OSError:
        raise CannotListen(f"the service manager announces `{name}` and does not pass it") from None
    os.set_inheritable(number, False)
    one = socket.socket(fileno=number)
    if one.family not in (socket.AF_INET, socket.AF_INET6) or one.type != socket.SOCK_STREAM:
        raise CannotListen(f"the service manager passes `{name}`, which is no TCP socket: take it out of the unit")
    if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        one.listen(BACKLOG)  # bound only: `Accept=no` units listen, other managers may not
    return one


def _place(name: tuple[object, ...]) -> tuple[object, ...]:
    return name[:2]


def _text(place: tuple[object, ...]) -> str:
    host, port = place
    return f"`[{host}]:{port}`" if ":" in str(host) else f"`{host}:{port}`"
