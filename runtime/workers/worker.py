"""A worker process: it does what the supervisor says over the channel, and ends when that closes."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from runtime.edge.environment import SystemClock
from runtime.edge.loop import install
from runtime.observe.events import EventLog
from runtime.observe.telemetry import Telemetry
from runtime.observe.unexpected import Unexpected
from runtime.stores import StoreUnavailable
from runtime.stores.opened import Stores
from runtime.trace.tracing import Order
from runtime.workers.aside import aside
from runtime.workers.control import Channel, ChannelBroken, Message
from runtime.workers.descriptors import raise_limit
from runtime.workers.gateway import Compiled, Gateway, compile_policy
from runtime.workers.settings import PolicyRefused, unpacked_store

HEARTBEAT = 0.5
"""Seconds between signs of life."""
FIRST_WORD = 30.0
"""Seconds to wait for the supervisor's first message."""
ORPHAN_DRAIN = 2.0
"""Seconds for the answers under way once the supervisor is gone."""
SELF_DRAIN = 30.0
"""Seconds for the answers under way when somebody else than the supervisor sends TERM."""
LAST_WORDS = 1.0
"""Seconds in which the last message must be written."""
FAILED, DEFECT = 1, 3

Frame: TypeAlias = tuple[Message, list[socket.socket]]


def main(number: int) -> None:
    """Serve with the channel's end at that descriptor; never returns."""
    gc.disable()  # until it serves: what is made before then stays
    faulthandler.enable()  # ABRT, with which the supervisor ends a worker that hangs, shows where it hangs
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(ignored, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=number))
    frames = _first(channel)
    start = frames[0][0]
    events = EventLog(f"worker-{start['slot']}")
    try:
        loop = install()
        loop.set_exception_handler(Unexpected(events))
        compiled = compile_policy(start["policy"], _orders(start))
        folder = Path(start["folder"])
        clock = SystemClock(loop)
        stores = Stores.open(
            folder, unpacked_store(start["store"]), start["workers"], loop, clock,
            lambda text: events.write("error", text),
        )  # fmt: skip
        telemetry = Telemetry(events, clock, folder if start["folder"] else None, start["slot"])
        gateway = Gateway(loop, stores, events, compiled, telemetry, bytes.fromhex(start["trace_key"]))
        _raise_file_limit(compiled.edge.connections, events)
    except OSError as error:
        _fail(channel, f"cannot open `{error.filename}`: {(error.strerror or str(error)).lower()}", FAILED)
    except (PolicyRefused, StoreUnavailable, ValueError) as error:
        _fail(channel, str(error), FAILED)
    except Exception as error:
        _fail(channel, f"a defect of ours, logged as {events.defect(error)}", DEFECT)
    worker = Worker(channel, gateway, loop)
    from twisted.internet import reactor

    running: Any = reactor
    running.callWhenRunning(worker.begin, frames)
    running.run(installSignalHandlers=False)
    gateway.close()
    events.close()
    # Everything is closed and written; a compiling thread or a client of a plug-in must not hold up the end.
    os._exit(worker.status)


def _raise_file_limit(connections: int, events: EventLog) -> None:
    """Each exchange takes two, with its upstream's."""
    limit = raise_limit()
    if limit < connections:
        text = f"this process may open {limit} files, too few for {connections} connections: raise `ulimit -Hn`"
        events.write("warning", text)


def _first(channel: Channel) -> list[Frame]:
    """The message that starts a worker, and what has come behind it."""
    while True:
        ready, _, _ = select.select([channel], [], [], FIRST_WORD)
        frames = channel.receive() if ready else []
        if frames:
            return frames
        if not ready or channel.closed:
            sys.exit(FAILED)


def _orders(start: Message) -> list[Order]:
    """Who follows journals already."""
    return [_order(one) for one in start["follow"]]


def _order(message: Message) -> Order:
    return Order(message["id"], message["expression"], message["service"])


def _fail(channel: Channel, text: str, status: int) -> NoReturn:
    channel.send({"did": "failed", "text": text, "defect": status == DEFECT})
    _last_words(channel)
    sys.exit(status)


def _last_words(channel: Channel) -> None:
    while channel.unsent and not channel.closed:
        _, ready, _ = select.select([], [channel], [], LAST_WORDS)
        if not ready:
            break
        channel.flush()


class Worker:
    """Obeys the supervisor. `status` is the process's exit status."""

    def __init__(self, channel: Channel, gateway: Gateway, loop: asyncio.AbstractEventLoop) -> None:
        self.status = 0
        self._channel = channel
        self._gateway = gateway
        self._loop = loop
        self._events = gateway.events
        gateway.tracing.channel = channel
        self._generation = 0
        self._prepared: Compiled | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, frames: list[Frame]) -> None:
        (start, sockets), *rest = frames
        self._loop.add_signal_handler(signal.SIGTERM, self._terminated)
        self._loop.add_reader(self._channel.fileno(), self._read)
        self._gateway.start()
        self._beat()
        for order in _orders(start):
            self._gateway.tracing.follow(order)
        if start["parting"]:
            self._gateway.part()
        self._do(self._listen(start["listen"], start["shared"], sockets))
        self._take(rest)

    async def _listen(self, names: list[str], shared: list[str], sockets: list[socket.socket]) -> None:
        for name, one in zip(names, sockets, strict=True):
            await self._gateway.listen(name, one, name in shared)
        self._channel.send({"did": "ready"})

    def _beat(self) -> None:
        self._channel.flush()
        if not self._channel.unsent:  # else the supervisor is stopped: it needs no second sign
            cluster = self._gateway.stores.cluster
            self._channel.send({"did": "tick"} if cluster is None else {"did": "tick", "cluster": cluster.connected})
        self._loop.call_later(HEARTBEAT, self._beat)

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Half of an order done is a state that nobody has thought of: the next worker begins with a whole one.
            self._events.defect(error)
            self.status = DEFECT
            self._end()

    # --- the supervisor's orders ---

    def _read(self) -> None:
        try:
            frames = self._channel.receive()
        except ChannelBroken as error:
            self._events.write("error", f"the supervisor sends nonsense: {error}")
            frames = []
            self._channel.closed = True
        self._take(frames)

    def _take(self, frames: list[Frame]) -> None:
        for message, sockets in frames:
            self._obey(message, sockets)
        if self._channel.closed:
            self._loop.remove_reader(self._channel.fileno())
            self._leave(ORPHAN_DRAIN)
            self._loop.call_later(ORPHAN_DRAIN + ORPHAN_DRAIN, self._end)  # also if it was draining for longer

    def _obey(self, message: Message, sockets: list[socket.socket]) -> None:
        do = message["do"]
        if do == "prepare":
            self._prepare(message)
        elif do == "commit":
            self._do(self._commit(message, sockets))
        elif do == "abandon":
            self._prepared = None
            self._generation = 0
            self._gateway.abandon()
        elif do == "drain":
            self._leave(message["timeout"])
        elif do == "part":
            self._gateway.part()
        elif do == "stop":
            self._do(self._stop())
        elif do == "reopen":
            self._gateway.reopen_logs()
        elif do == "ask":
            self._gateway.answers.take(message, self._channel.send)
        elif do == "follow":
            self._gateway.tracing.follow(_order(message))
        elif do == "unfollow":
            self._gateway.tracing.unfollow(message["id"])

    # --- a new policy: compiled in a thread, swapped between two turns of the loop ---

    def _prepare(self, message: Message) -> None:
        generation = self._generation = message["generation"]
        orders = self._gateway.tracing.orders
        aside(
            self._loop, lambda: compile_policy(message["policy"], orders),
            lambda result: self._compiled(generation, result),
        )  # fmt: skip

    def _compiled(self, generation: int, result: Compiled | BaseException) -> None:
        if generation != self._generation:
            return  # abandoned meanwhile
        if isinstance(result, Compiled):
            try:
                self._gateway.prepare(result)
            except OSError as error:
                result = PolicyRefused(f"cannot open `{error.filename}`: {error.strerror}")
            except ValueError as error:
                result = error
            else:
                self._prepared = result
                self._channel.send({"did": "prepared", "generation": generation})
                return
        if isinstance(result, (PolicyRefused, ValueError)):
            text = str(result)
        else:
            text = f"a defect of ours, logged as {self._events.defect(result)}"
        self._channel.send({"did": "refused", "generation": generation, "text": text})

    async def _commit(self, message: Message, sockets: list[socket.socket]) -> None:
        compiled, self._prepared = self._prepared, None
        if compiled is None or message["generation"] != self._generation:
            raise RuntimeError("the supervisor commits what was not prepared")
        self._gateway.install(compiled)
        for name, one in zip(message["opened"], sockets, strict=True):
            await self._gateway.listen(name, one, name in message["shared"])
        await self._gateway.change_listeners()
        self._gateway.keep_listeners(message["listen"])
        self._channel.send({"did": "committed", "generation": message["generation"]})

    # --- the end ---

    def _terminated(self) -> None:
        if self._leaving is None:
            self._channel.send({"did": "leaving"})
        self._leave(SELF_DRAIN)

    def _leave(self, timeout: float) -> None:
        if self._leaving is None:
            self._leaving = self._do(self._drain(timeout))

    async def _drain(self, timeout: float) -> None:
        await self._gateway.drain(timeout)
        self._end()

    async def _stop(self) -> None:
        await self._gateway.cut()
        self._end()

    def _end(self) -> None:
        from twisted.internet import reactor

        running: Any = reactor
        if running.running:
            running.stop()
