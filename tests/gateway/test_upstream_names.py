"""Servers by name: a name server on loopback, and answers that expire, change and stay away."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from twisted.names import dns

sys.path.insert(0, str(Path(__file__).parent))
from edges import Origin, bench, both_loops

from runtime.upstream.dns import Conf, Queries, candidates, read_conf, read_hosts
from runtime.upstream.resolve import (
    LONGEST_TTL,
    Found,
    Names,
    NoSuchName,
    Places,
    Unanswered,
    names_of,
    or_the_system,
    use_names,
)
from runtime.upstream.settings import RetrySettings, ServerAddress, UpstreamSettings

ONCE = RetrySettings(count=0)


class NameServer(asyncio.DatagramProtocol):
    """`records`: name and kind -> (ttl, values); a CNAME's kind is 5. `rcode` for names it does not have."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], tuple[int, list[str]]] = {}
        self.asked: list[tuple[str, int]] = []
        self.rcode = dns.ENAME
        self.silent = False
        self.short = False
        self.spoof: Callable[[dns.Message], None] | None = None
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def answer(self, data: bytes) -> dns.Message:
        message = dns.Message()
        message.fromStr(data)
        name, kind = message.queries[0].name.name.decode().lower(), message.queries[0].type
        self.asked.append((name, kind))
        message.answer = 1
        message.rCode = dns.OK if any(known == name for known, _ in self.records) else self.rcode
        while (name, dns.CNAME) in self.records:
            ttl, (alias,) = self.records[name, dns.CNAME]
            payload = dns.Record_CNAME(alias, ttl)
            message.answers.append(dns.RRHeader(name.encode(), dns.CNAME, ttl=ttl, payload=payload))
            name = alias
        ttl, values = self.records.get((name, kind), (0, []))
        record = dns.Record_A if kind == dns.A else dns.Record_AAAA
        for value in values:
            message.answers.append(dns.RRHeader(name.encode(), kind, ttl=ttl, payload=record(value, ttl)))
        return message

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.silent:
            return
        message = self.answer(data)
        if self.spoof is not None:
            id, self_spoof = message.id, self.spoof
            self_spoof(message)
            self.transport.sendto(b"\0\1garbage", addr)  # type: ignore[attr-defined]
            self.transport.sendto(message.toStr(), addr)  # type: ignore[attr-defined]
            message = self.answer(data)
            message.id = id
        if self.short:
            message.trunc = 1
            message.answers.clear()
        self.transport.sendto(message.toStr(), addr)  # type: ignore[attr-defined]

    async def by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        data = self.answer(await reader.readexactly(length)).toStr()
        writer.write(struct.pack(">H", len(data)) + data)
        writer.close()


@contextlib.asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    server = NameServer()
    tcp = await asyncio.start_server(server.by_tcp, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", server.port))
    try:
        yield server
    finally:
        transport.close()
        tcp.close()


def queries(server: NameServer, hosts: str = "/nonexistent", **given: object) -> Queries:
    made = Queries("/nonexistent", hosts)
    made._reread()
    made._conf = Conf(servers=(("127.0.0.1", server.port),), **given)  # type: ignore[arg-type]
    return made


@both_loops
async def test_both_kinds_of_addresses_with_the_shorter_ttl() -> None:
    async with name_server() as server:
        server.records["a.example", dns.A] = (60, ["10.0.0.1", "10.0.0.2"])
        server.records["a.example", dns.AAAA] = (30, ["fd00::1"])
        assert await queries(server).find("A.example") == Found(("10.0.0.1", "10.0.0.2", "fd00::1"), 30)
        server.records["b.example", dns.A] = (7, ["10.0.0.3"])
        assert await queries(server).find("b.example") == Found(("10.0.0.3",), 7)
        with pytest.raises(NoSuchName):
            await queries(server).find("c.example")
        assert len(set(server.asked)) == 6


@both_loops
async def test_aliases_are_followed() -> None:
    async with name_server() as server:
        server.records["www.example", dns.CNAME] = (5, ["lb.example"])
        server.records["lb.example", dns.CNAME] = (50, ["real.example"])
        server.records["real.example", dns.A] = (60, ["10.0.0.1"])
        assert await queries(server).find("www.example") == Found(("10.0.0.1",), 5)
        server.records["round.example", dns.CNAME] = (5, ["www.example"])
        server.records["other.example", dns.A] = (5, ["6.6.6.6"])
        assert (await queries(server).find("round.example")).addresses == ("10.0.0.1",)


@both_loops
async def test_what_does_not_fit_is_asked_for_by_tcp() -> None:
    async with name_server() as server:
        server.short = True
        many = [f"10.0.{number}.1" for number in range(100)]
        server.records["a.example", dns.A] = (60, many)
        assert (await queries(server).find("a.example")).addresses == tuple(many)


@both_loops
async def test_answers_of_strangers_are_not_taken() -> None:
    def other_id(message: dns.Message) -> None:
        message.id ^= 1
        message.answers.clear()
        message.answers.append(dns.RRHeader(b"a.example", dns.A, ttl=9, payload=dns.Record_A("6.6.6.6", 9)))

    def other_question(message: dns.Message) -> None:
        message.queries[0] = dns.Query(b"b.example", dns.A)

    def no_answer(message: dns.Message) -> None:
        message.answer = 0

    async with name_server() as server:
        server.records["a.example", dns.A] = (60, ["10.0.0.1"])
        for spoof in (other_id, other_question, no_answer):
            server.spoof = spoof
            assert (await queries(server).find("a.example")).addresses == ("10.0.0.1",)
        server.spoof = None
        # What stands in the answer, but under a name that was not asked for.
        server.records["c.example", dns.CNAME] = (5, ["a.example"])
        assert (await queries(server).find("c.example")).addresses == ("10.0.0.1",)


@both_loops
async def test_servers_that_fail_or_are_silent() -> None:
    async with name_server() as away, name_server() as server:
        server.records["a.example", dns.A] = (60, ["10.0.0.1"])
        away.silent = True
        found = queries(server, timeout=0.1, attempts=1)
        found._conf = Conf((("127.0.0.1", away.port), ("127.0.0.1", server.port)), timeout=0.1, attempts=1)
        assert (await found.find("a.example")).addresses == ("10.0.0.1",)
        away.silent, away.rcode = False, dns.ESERVER
        assert (await found.find("a.example")).addresses == ("10.0.0.1",)
        server.rcode = dns.EREFUSED
        with pytest.raises(Unanswered):
            await found.find("b.example")


@both_loops
async def test_search_domains_and_hosts() -> None:
    async with name_server() as server:
        server.records["orders.default.svc.cluster.local", dns.A] = (5, ["10.96.0.7"])
        found = queries(server, search=("default.svc.cluster.local", "svc.cluster.local"), ndots=5)
        assert (await found.find("orders")).addresses == ("10.96.0.7",)
        found = queries(server, search=("svc.cluster.local",), ndots=5)
        assert (await found.find("orders.default")).addresses == ("10.96.0.7",)
        with pytest.raises(NoSuchName):
            await found.find("orders.")
        found._hosts = {"legacy": ("10.9.9.9", "fd00::9")}
        asked = len(server.asked)
        assert (await found.find("Legacy")).addresses == ("10.9.9.9", "fd00::9")
        assert len(server.asked) == asked


def test_files(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(
        "# comment\nnameserver 10.0.0.53\nnameserver fe80::1%eth0\nnameserver nonsense\nsearch a.example b.example.\n"
        "options ndots:5 timeout:1 attempts:9 rotate\n"
    )
    assert read_conf(str(conf)) == Conf(
        (("10.0.0.53", 53), ("fe80::1%eth0", 53)), ("a.example", "b.example"), 5, 1.0, 5
    )
    assert read_conf(str(tmp_path / "absent")) == Conf()
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost Vm # us\n::1 localhost\nbroken line\n\n")
    assert read_hosts(str(hosts)) == {"localhost": ("127.0.0.1", "::1"), "vm": ("127.0.0.1",)}


def test_candidates() -> None:
    conf = Conf(search=("x", "y"), ndots=2)
    assert candidates("a", conf) == ["a.x", "a.y", "a"]
    assert candidates("a.b.c", conf) == ["a.b.c", "a.b.c.x", "a.b.c.y"]
    assert candidates("a.", conf) == ["a"]


# --- names that live ---


class Answers:
    """A resolver in the test's hands. `held`: the next look-ups wait."""

    def __init__(self, *addresses: str, ttl: float = 60.0) -> None:
        self.found: Found | OSError = Found(addresses, ttl)
        self.asked = 0
        self.held: asyncio.Event | None = None

    async def __call__(self, host: str) -> Found:
        self.asked += 1
        if self.held is not None:
            await self.held.wait()
        if isinstance(self.found, OSError):
            raise self.found
        return self.found


class Timers:
    """Stands for a loop whose timers a test fires."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.now = 0.0

    def create_task(self, work: object) -> asyncio.Task[None]:
        return self.loop.create_task(work)  # type: ignore[arg-type]

    def call_later(self, delay: float, call: Callable[..., None], *args: object) -> asyncio.TimerHandle:
        self.timers.append((delay, lambda: call(*args)))
        return self.loop.call_later(1e6, lambda: None)

    async def fire(self) -> float:
        delay, call = self.timers.pop()
        call()
        for _ in range(5):
            await asyncio.sleep(0)
        return delay


def living(answers: Answers) -> tuple[Names, Places, Timers]:
    timers = Timers()
    names = Names(timers, answers)  # type: ignore[arg-type]
    return names, Places(names, "up.example", lambda: timers.now), timers


@both_loops
async def test_a_name_is_asked_for_once_at_a_time() -> None:
    answers = Answers("10.0.0.1", "10.0.0.2")
    answers.held = asyncio.Event()
    _, places, timers = living(answers)
    waiting = [asyncio.ensure_future(places.in_turn()) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # who leaves does not take the answer along
    answers.held.set()
    orders = await asyncio.gather(*waiting[1:])
    assert answers.asked == 1
    assert {tuple(order) for order in orders} == {("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")}
    assert [delay for delay, _ in timers.timers] == [60.0]


@both_loops
async def test_the_ttl_is_kept_within_bounds() -> None:
    for ttl, wanted in ((0.0, 1.0), (30.0, 30.0), (86400.0, LONGEST_TTL)):
        _, places, timers = living(Answers("10.0.0.1", ttl=ttl))
        await places.in_turn()
        assert [delay for delay, _ in timers.timers] == [wanted]


@both_loops
async def test_a_changed_record_is_taken_up_when_it_expires() -> None:
    answers = Answers("10.0.0.1")
    _, places, timers = living(answers)
    assert await places.in_turn() == ("10.0.0.1",)
    answers.found = Found(("10.0.0.2",), 5.0)
    assert await places.in_turn() == ("10.0.0.1",)
    assert answers.asked == 1
    await timers.fire()
    assert await places.in_turn() == ("10.0.0.2",)
    assert answers.asked == 2


@both_loops
async def test_the_last_good_answer_holds_while_nobody_answers() -> None:
    answers = Answers("10.0.0.1")
    _, places, timers = living(answers)
    await places.in_turn()
    answers.found = Unanswered("away")
    assert await timers.fire() == 60.0
    waits = [await timers.fire() for _ in range(8)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert await places.in_turn() == ("10.0.0.1",)
    answers.found = Found(("10.0.0.2",), 5.0)
    await timers.fire()
    assert await places.in_turn() == ("10.0.0.2",)
    answers.found = NoSuchName("gone")
    await timers.fire()
    with pytest.raises(OSError, match="gone"):
        await places.in_turn()


@both_loops
async def test_a_failure_holds_for_a_moment_too() -> None:
    answers = Answers()
    answers.found = NoSuchName("there is no such name")
    _, places, timers = living(answers)
    for _ in range(5):
        with pytest.raises(OSError, match="no such name"):
            await places.in_turn()
    assert answers.asked == 1
    answers.found = Found(("10.0.0.1",), 5.0)
    await timers.fire()
    assert await places.in_turn() == ("10.0.0.1",)


@both_loops
async def test_a_name_that_nobody_has_any_more_is_not_asked_for() -> None:
    answers = Answers("10.0.0.1")
    names, places, timers = living(answers)
    await places.in_turn()
    del places
    await timers.fire()
    assert answers.asked == 1
    assert names._entries == {}


@both_loops
async def test_an_address_that_fails_is_tried_last_for_a_while() -> None:
    _, places, timers = living(Answers("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    await places.in_turn()
    places.failed("10.0.0.2")
    for _ in range(6):
        assert list(await places.in_turn())[-1] == "10.0.0.2"
    timers.now = 11.0
    assert {next(iter(await places.in_turn())) for _ in range(3)} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


@both_loops
async def test_localhost_and_what_name_servers_do_not_know_is_the_systems_business() -> None:
    async def never(host: str) -> Found:
        raise NoSuchName(f"no {host}")

    find = or_the_system(asyncio.get_running_loop(), never)
    for host in ("localhost", "api.localhost"):
        assert "127.0.0.1" in (await find(host)).addresses
    with pytest.raises(NoSuchName, match="no nowhere"):
        await find("nowhere.invalid")


# --- through a gateway ---


@both_loops
async def test_addresses_are_tried_in_turn_and_left_when_they_go() -> None:
    loop = asyncio.get_running_loop()
    origin = await Origin().start()
    answers = Answers("127.0.0.9", "127.0.0.1", "::1")  # only the second listens
    timers = Timers()
    use_names(loop, Names(timers, answers))  # type: ignore[arg-type]
    up = UpstreamSettings((ServerAddress("up.example", origin.port),), retries=ONCE)
    async with bench(up=up) as made:
        wire = await made.connect()
        for _ in range(3):
            assert (await wire.ask("GET /")).status == 200
        assert (answers.asked, len(origin.wires)) == (1, 1)
        assert all(ip_address(one) for one in names_of(loop).entry("up.example").addresses)
        # The connection is at an address that the name still has: it stays.
        answers.found = Found(("127.0.0.1",), 5.0)
        await timers.fire()
        assert (await wire.ask("GET /")).status == 200
        assert len(origin.wires) == 1
        answers.found = Found(("127.0.0.1", "127.0.0.2"), 5.0)
        await timers.fire()
        answers.found = Found(("127.0.0.2",), 5.0)
        await timers.fire()
        assert await origin.wires[0].rest() == b""
        assert (await wire.ask("GET /")).status == 502  # nobody listens there
    await origin.stop()


@both_loops
async def test_a_connection_in_use_finishes_at_the_address_that_went() -> None:
    loop = asyncio.get_running_loop()

    async def script(wire: object) -> None:
        await wire.head()  # type: ignore[attr-defined]
        await go.wait()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")  # type: ignore[attr-defined]
        await wire.rest()  # type: ignore[attr-defined]

    go = asyncio.Event()
    origin = await Origin(script).start()  # type: ignore[arg-type]
    answers = Answers("127.0.0.1")
    timers = Timers()
    use_names(loop, Names(timers, answers))  # type: ignore[arg-type]
    async with bench(up=UpstreamSettings((ServerAddress("up.example", origin.port),), retries=ONCE)) as made:
        wire = await made.connect()
        answer = asyncio.ensure_future(wire.ask("GET /"))
        await made.until(lambda: origin.wires)
        answers.found = Found(("127.0.0.2",), 5.0)
        await timers.fire()
        go.set()
        assert (await answer).body == b"ok"
        await made.until(lambda: made.pools["up"].open == 0)
    await origin.stop()


@both_loops
async def test_a_name_that_is_none() -> None:
    loop = asyncio.get_running_loop()
    answers = Answers()
    answers.found = NoSuchName("there is no such name")
    use_names(loop, Names(loop, answers))
    async with bench(up=UpstreamSettings((ServerAddress("up.example", 80),), retries=ONCE)) as made:
        answer = await (await made.connect()).ask("GET /")
        assert answer.status == 502
        failure = made.done[-1][0].failure
        assert failure.name == "upstream-unreachable"
        assert ("Proxy-Status", "polgate; error=dns_error") in failure.headers
    names_of(loop).close()
