"""Which addresses a server's name has now: asked again when the record expires, and which of them to try first."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakSet

if TYPE_CHECKING:
    from runtime.upstream.connection import UpstreamConnection

LEAST_TTL: Final = 1.0
LONGEST_TTL: Final = 300.0
SYSTEM_TTL: Final = 30.0
"""Seconds for what the system's own resolver says, which tells none."""
MOST_WAIT: Final = 30.0
"""Seconds between two attempts while no name server answers; the first comes after LEAST_TTL."""
SHUNNED: Final = 10.0
"""Seconds for which an address that could not be connected to is tried last."""


@dataclass(frozen=True, slots=True)
class Found:
    """`ttl`: seconds that the answer holds."""

    addresses: tuple[str, ...]
    ttl: float


class NoSuchName(OSError):
    """The servers know for sure that there is no such name, or that it has no address."""


class Unanswered(OSError):
    """No server has given an answer."""


Find = Callable[[str], Awaitable[Found]]


class Names:
    """The names of a worker's servers. Each is asked for once at a time, whoever wants it, and as long as any does.

    While no name server answers, the last good answer holds; that there is no such name is an answer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, find: Find | None = None) -> None:
        self._loop = loop
        self._find = find or or_the_system(loop, _name_servers())
        self._entries: dict[str, Entry] = {}

    def entry(self, host: str) -> Entry:
        found = self._entries.get(host)
        if found is None:
            found = self._entries[host] = Entry(host)
        return found

    async def addresses(self, entry: Entry) -> tuple[str, ...]:
        """Raises OSError when nothing is known and nothing can be found out."""
        if not entry.addresses:
            if entry.error is not None and entry.task is None:
                raise OSError(str(entry.error))  # as of a moment ago
            await asyncio.shield(self._refresh(entry))
        return entry.addresses

    def _refresh(self, entry: Entry) -> asyncio.Task[None]:
        if entry.task is None:
            entry.task = self._loop.create_task(self._ask(entry))
            entry.task.add_done_callback(_looked_at)
        return entry.task

    async def _ask(self, entry: Entry) -> None:
        if entry.timer is not None:
            entry.timer.cancel()
        wait = entry.wait
        try:
            found = await self._find(entry.host)
        except NoSuchName as error:
            entry.change(())
            entry.error = error
            wait = LEAST_TTL
            raise
        except (OSError, TimeoutError) as error:
            wait = entry.wait = min(max(LEAST_TTL, entry.wait * 2), MOST_WAIT)
            if not entry.addresses:
                entry.error = error
                raise OSError(str(error) or "no name server answers") from None
        else:
            entry.wait = 0.0
            entry.error = None
            wait = min(max(found.ttl, LEAST_TTL), LONGEST_TTL)
            entry.change(found.addresses)
        finally:
            entry.task = None
            entry.timer = self._loop.call_later(wait, self._expired, entry)

    def _expired(self, entry: Entry) -> None:
        entry.timer = None
        if entry.users:
            self._refresh(entry)
        else:
            self._entries.pop(entry.host, None)

    def close(self) -> None:
        for entry in self._entries.values():
            if entry.timer is not None:
                entry.timer.cancel()
            if entry.task is not None:
                entry.task.cancel()
        self._entries.clear()


class Entry:
    """One name. `users`: the servers that have it. `wait`: seconds after which a failed attempt is repeated.

    `error`: why there is no address, until it is asked for again.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: tuple[str, ...] = ()
        self.users: WeakSet[Places] = WeakSet()
        self._connections: dict[str, WeakSet[UpstreamConnection]] = {}
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.wait = 0.0
        self.error: OSError | TimeoutError | None = None

    def connected(self, address: str, connection: UpstreamConnection) -> None:
        self._connections.setdefault(address, WeakSet()).add(connection)

    def change(self, addresses: tuple[str, ...]) -> None:
        """Connections to an address that the name has no more take no further request."""
        self.addresses = addresses
        if addresses:
            for address in [address for address in self._connections if address not in addresses]:
                for connection in list(self._connections.pop(address)):
                    connection.retire()


class Places:
    """Where one server can be found: the addresses of its name, each connection beginning with the next of them."""

    def __init__(self, names: Names, host: str, now: Callable[[], float]) -> None:
        self._names = names
        self._now = now
        self._turn = 0
        self._shunned: dict[str, float] = {}
        self._fixed: tuple[str, ...] = ()
        self._entry: Entry | None = None
        try:
            ip_address(host.partition("%")[0])
            self._fixed = (host,)
        except ValueError:
            self._entry = names.entry(host)
            self._entry.users.add(self)

    async def in_turn(self) -> Sequence[str]:
        """The addresses in the order to try them. Raises OSError."""
        if self._entry is None:
            return self._fixed
        addresses = await self._names.addresses(self._entry)
        self._turn += 1
        start = self._turn % len(addresses) if addresses else 0
        turned = addresses[start:] + addresses[:start]
        if self._shunned:
            now = self._now()
            self._shunned = {address: until for address, until in self._shunned.items() if until > now}
            return sorted(turned, key=self._shunned.__contains__)
        return turned

    def failed(self, address: str) -> None:
        if self._entry is not None:
            self._shunned[address] = self._now() + SHUNNED

    def connected(self, address: str, connection: UpstreamConnection) -> None:
        self._shunned.pop(address, None)
        if self._entry is not None:
            self._entry.connected(address, connection)

    def close(self) -> None:
        """Nobody needs the name any more, as far as this server is concerned."""
        if self._entry is not None:
            self._entry.users.discard(self)


def _name_servers() -> Find:
    """Most gateways have servers with addresses, and never need this."""
    queries: list[Find] = []

    async def find(host: str) -> Found:
        if not queries:
            from runtime.upstream.dns import Queries

            queries.append(Queries().find)
        return await queries[0](host)

    return find


def or_the_system(loop: asyncio.AbstractEventLoop, ask: Find) -> Find:
    """Ask name servers, and the system's own resolver (in a thread) for what they do not know: it may have other
    sources. `localhost` is nobody's business but the host's (RFC 6761 6.3)."""

    async def find(host: str) -> Found:
        if host == "localhost" or host.endswith(".localhost"):
            return await _system(loop, "localhost")
        try:
            return await ask(host)
        except OSError as failure:
            try:
                return await _system(loop, host)
            except OSError:
                raise failure from None

    return find


async def _system(loop: asyncio.AbstractEventLoop, host: str) -> Found:
    places = await loop.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    return Found(tuple(dict.fromkeys(str(place[4][0]) for place in places)), SYSTEM_TTL)


_NAMES: WeakKeyDictionary[asyncio.AbstractEventLoop, Names] = WeakKeyDictionary()


def names_of(loop: asyncio.AbstractEventLoop) -> Names:
    """The names of a loop's servers."""
    found = _NAMES.get(loop)
    if found is None:
        found = _NAMES[loop] = Names(loop)
    return found


def use_names(loop: asyncio.AbstractEventLoop, names: Names) -> None:
    """From now on `names_of` gives these."""
    _NAMES[loop] = names


def _looked_at(task: asyncio.Task[None]) -> None:
    """Nobody may be waiting for it any more; its failure is in the entry then."""
    if not task.cancelled():
        task.exception()
