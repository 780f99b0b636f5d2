"""Asking the name servers of /etc/resolv.conf as a host does (RFC 1123 6.1.3.1), without blocking and with the TTL.

Each question has a socket and an id of its own: who wants to forge an answer has both to guess (RFC 5452).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from twisted.names import dns

from runtime.upstream.resolve import Found, NoSuchName, Unanswered

CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
_LEAST_WAIT: Final = 0.5
_LONGEST_CHAIN: Final = 8


@dataclass(frozen=True, slots=True)
class Conf:
    """What resolv.conf says. `timeout`: seconds for one try at one server."""

    servers: tuple[tuple[str, int], ...] = ()
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 2.0
    attempts: int = 2


def read_conf(path: str = CONF) -> Conf:
    """Without a file, or without servers in it, there is nobody to ask."""
    servers: list[tuple[str, int]] = []
    search: tuple[str, ...] = ()
    numbers = {"ndots": 1, "timeout": 2, "attempts": 2}
    for words in _lines(path):
        if words[0] == "nameserver" and len(words) > 1:
            try:
                ip_address(words[1].partition("%")[0])
            except ValueError:
                continue
            servers.append((words[1], 53))
        elif words[0] in ("search", "domain"):
            search = tuple(word.strip(".").lower() for word in words[1:] if word.strip("."))
        elif words[0] == "options":
            for word in words[1:]:
                name, _, number = word.partition(":")
                if name in numbers and number.isdecimal():
                    numbers[name] = int(number)
    return Conf(
        tuple(servers[:3]), search, min(numbers["ndots"], 15), max(_LEAST_WAIT, min(numbers["timeout"], 5)),
        max(1, min(numbers["attempts"], 5)),
    )  # fmt: skip


def read_hosts(path: str = HOSTS) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for words in _lines(path):
        try:
            address = str(ip_address(words[0]))
        except ValueError:
            continue
        for name in words[1:]:
            found[name.lower()] = (*found.get(name.lower(), ()), address)
    return found


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].partition(";")[0].split() for line in file]
    except OSError:
        return []
    return [words for words in lines if words]


class Queries:
    """Finds the addresses of names. `conf` and `hosts` are files that may change at any time."""

    def __init__(self, conf: str = CONF, hosts: str = HOSTS) -> None:
        self._paths = conf, hosts
        self._marks: tuple[Any, ...] = ()
        self._conf = Conf()
        self._hosts: dict[str, tuple[str, ...]] = {}

    async def find(self, name: str) -> Found:
        """Raises NoSuchName, Unanswered."""
        self._reread()
        name = name.lower()
        known = self._hosts.get(name.rstrip("."))
        if known is not None:
            return Found(known, 1.0)
        if not self._conf.servers:
            raise Unanswered(f"no name server in {self._paths[0]}")
        for whole in candidates(name, self._conf):
            try:
                return await self._addresses(whole)
            except NoSuchName:
                pass
        raise NoSuchName("the name has no address")

    def _reread(self) -> None:
        marks = tuple(map(_mark, self._paths))
        if marks != self._marks:
            self._marks = marks
            self._conf = read_conf(self._paths[0])
            self._hosts = read_hosts(self._paths[1])

    async def _addresses(self, name: str) -> Found:
        """IPv4 and IPv6 are asked for side by side; what one of them has is enough."""
        results = await asyncio.gather(
            self._ask(name, dns.A), self._ask(name, dns.AAAA), return_exceptions=True
        )
        found = [result for result in results if isinstance(result, Found)]
        if found:
            addresses = tuple(address for one in found for address in one.addresses)
            return Found(addresses, min(one.ttl for one in found))
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, NoSuchName):
                raise result
        raise NoSuchName("the name has no address")

    async def _ask(self, name: str, kind: int) -> Found:
        for _ in range(self._conf.attempts):
            for server in self._conf.servers:
                try:
                    async with asyncio.timeout(self._conf.timeout):
                        message = await _exchange(server, name, kind)
                    return addresses_in(message, name, kind)
                except NoSuchName:
                    raise
                except (OSError, TimeoutError):
                    continue
        raise Unanswered("no name server answers")


def candidates(name: str, conf: Conf) -> list[str]:
    """The names to try, in turn (resolv.conf(5), `search` and `ndots`)."""
    if name.endswith("."):
        return [name.rstrip(".")]
    longer = [f"{name}.{domain}" for domain in conf.search]
    return [name, *longer] if name.count(".") >= conf.ndots else [*longer, name]


def addresses_in(message: Any, name: str, kind: int) -> Found:
    """What an answer says. Raises NoSuchName, Unanswered."""
    if message.rCode == dns.ENAME:
        raise NoSuchName("there is no such name")
    if message.rCode != dns.OK:
        raise Unanswered(f"the name server answers with code {message.rCode}")
    ttl = float("inf")
    wanted = name.lower()
    aliases = {_text(record.name): record for record in message.answers if record.type == dns.CNAME}
    for _ in range(_LONGEST_CHAIN):
        alias = aliases.get(wanted)
        if alias is None:
            break
        wanted = _text(alias.payload.name)
        ttl = min(ttl, alias.ttl)
    addresses: list[str] = []
    for record in message.answers:
        if record.type == kind and _text(record.name) == wanted:
            addresses.append(str(ip_address(record.payload.address)))
            ttl = min(ttl, record.ttl)
    if not addresses:
        raise NoSuchName("the name has no address of this kind")
    return Found(tuple(addresses), ttl)


def _text(name: Any) -> str:
    text: str = name.name.decode("ascii", "replace")
    return text.lower().rstrip(".")


async def _exchange(server: tuple[str, int], name: str, kind: int) -> Any:
    """One question and its answer; by TCP where it does not fit into a datagram (RFC 7766 5)."""
    try:
        question = dns.Message(id=secrets.randbelow(1 << 16), recDes=1)
        question.addQuery(name.encode("idna"), kind)
        data: bytes = question.toStr()
    except UnicodeError:
        raise NoSuchName("this can be no name") from None
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Any] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answer(question, answer), remote_addr=server)
    try:
        transport.sendto(data)
        message = await answer
    finally:
        transport.close()
    if not message.trunc:
        return message
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(data)) + data)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        message = _parsed(await reader.readexactly(length), question)
    except asyncio.IncompleteReadError:
        raise Unanswered("the name server closed the connection") from None
    finally:
        writer.transport.abort()
    if message is None:
        raise Unanswered("the name server answers something else")
    return message


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, question: Any, answer: asyncio.Future[Any]) -> None:
        self._question = question
        self._answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = _parsed(data, self._question)
        if message is not None and not self._answer.done():
            self._answer.set_result(message)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def _parsed(data: bytes, question: Any) -> Any:
    """The message, or None where it is no answer to the question."""
    message = dns.Message()
    try:
        message.fromStr(data)
    except Exception:  # a stranger's bytes: the parser of names raises whatever its structs do
        return None
    same = message.id == question.id and message.answer and message.queries == question.queries
    return message if same else None


def _mark(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino
