"""The supervisor: keeps one worker in each slot, reloads them together, drains them, and does nothing else.

It has no reactor and no client; it waits in one `select` for signals, its workers' channels and the next deadline. It
holds the listening sockets, so that a worker's death loses nothing: its successor accepts what has queued up since.
Other threads (the admin listener's, the watching of files) leave their wishes in `operation` and wake it.
"""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from runtime.observe.events import EventLog
from runtime.stores import StoreUnavailable
from runtime.trace.tokens import KEY_BYTES
from runtime.workers.child import Child, Slot, State, spawn
from runtime.workers.control import ChannelBroken, Message
from runtime.workers.followers import ENDING, FOLLOWED
from runtime.workers.inherited import Inherited, sharing
from runtime.workers.notify import Notifier
from runtime.workers.operation import CannotOperate, Operation, Order
from runtime.workers.policy import pack
from runtime.workers.reload import Reload
from runtime.workers.seat import OpenAdmin, Seat
from runtime.workers.settings import ListenerSettings, Loaded, PolicyRefused
from runtime.workers.signals import Signals
from runtime.workers.sockets import CannotListen, open_sockets, url

STUCK = 2.0
"""A worker that has given no sign of life for so many seconds is killed."""
STUCK_COMPILING = 15.0
"""The same while a policy is compiled: that is another thread's work, but one step of it may be long."""
LET_GO = 1.0
"""Seconds more for one that may hang only because of another: it waits for the store's lock, which that one holds."""
START_DEADLINE = 60.0
"""Seconds a worker may take until it accepts."""
GRACE = 2.0
"""Seconds beyond what a worker was given to end, after which it is killed."""
ABORT = 0.3
"""Seconds in which a worker that hangs may write down where it does."""
TURN = 0.5
"""Seconds: the longest that the supervisor waits for anything."""
PAUSED = 1.0
"""A turn that took so much longer than it should: the supervisor was stopped, and cannot blame its workers."""

_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD)


class Claim(Protocol):
    """The store's folder as the supervisor sees it: `runtime.stores.folder.FolderClaim`."""

    folder: Path

    def check_readers(self) -> int: ...


class Supervisor:
    """`run` returns when all workers have ended. `load` reads and checks the policy, and raises PolicyRefused.

    `drain_delay`: seconds, where the policy does not say.
    """

    def __init__(
        self,
        loaded: Loaded,
        load: Callable[[], Loaded],
        command: Sequence[str],
        log: EventLog,
        say: Callable[[str], None],
        claim: Claim | None = None,
        *,
        notifier: Notifier | None = None,
        inherited: Inherited | None = None,
        open_admin: OpenAdmin | None = None,
        drain_delay: float = 0.0,
    ) -> None:
        self.current = loaded
        self.load = load
        self.command = command
        self.log = log
        self.say = say
        self.claim = claim
        self.slots: list[Slot] = []
        self.leaving: set[Child] = set()
        self.generation = 1
        self.reload: Reload | None = None
        self.pid = os.getpid()
        self.urls: list[str] = []
        self.running = False
        self.draining = False
        self.operation = Operation(self)
        self.inherited = inherited or Inherited()
        self.seat = Seat(open_admin, self.operation)
        self._notifier = notifier or Notifier()
        self._drain_delay = drain_delay
        self._accept_until: float | None = None
        self._reload_again = False
        self._waiting: list[Order] = []
        self._waiting_next: list[Order] = []
        self._forced = False
        self._status = 0
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Child, int] = {}
        self._signals = Signals()
        self.wake = self._signals.wake
        self._trace_key = secrets.token_hex(KEY_BYTES)
        self._turned = time.monotonic()

    # --- the main road ---

    def run(self) -> int:
        """Serve until told to stop. Gives the exit status: 0, or 1 when it could not start."""
        self._signals.catch(_SIGNALS)
        self._selector.register(self._signals, selectors.EVENT_READ)
        try:
            self._open()
            self.seat.fill(self.current.settings)
            while self.slots or self.leaving:
                self._turn()
            return self._status
        except (CannotListen, CannotOperate) as error:
            self._notifier.failed(str(error))
            self.say(str(error))
            return 1
        finally:
            for child in self._children():
                child.kill()
                child.process.wait(timeout=GRACE)
                child.channel.close()
            self.seat.close()
            self._close_slots()
            self.inherited.close()
            self._notifier.close()
            self._selector.close()
            self._signals.close()

    def _open(self) -> None:
        settings = self.current.settings
        if self.inherited:
            self.inherited.check(settings.addresses)
        self.slots = [Slot(number) for number in range(settings.workers)]
        for listener in settings.listen:
            self.put(listener, self.open(listener.address, settings.workers))
        self.list_urls()

    def open(self, address: str, count: int, ours: Collection[int] = ()) -> list[socket.socket]:
        """A socket for each worker: the service manager's where it has passed one. Raises CannotListen."""
        return self.inherited.open(address, count) or open_sockets(address, count, ours=ours)

    def put(self, listener: ListenerSettings, sockets: list[socket.socket]) -> None:
        shared = sharing(sockets)
        for slot, one in zip(self.slots, sockets, strict=True):
            slot.sockets[listener.address] = one
            slot.shares.discard(listener.address)
            if shared:
                slot.shares.add(listener.address)
        self.say(f"listening on {url(sockets[0], bool(listener.cert))}")

    def list_urls(self) -> None:
        """For the status: where it listens."""
        sockets = self.slots[0].sockets
        self.urls = [url(sockets[one.address], bool(one.cert)) for one in self.current.settings.listen]

    def _turn(self) -> None:
        now = time.monotonic()
        self._notifier.alive(now, self._well(now))
        if self._accept_until is not None and now >= self._accept_until:
            self._stop_accepting()
        self.seat.change(now, self.current.settings, lambda text: self.log.write("error", text))
        self._start_due(now)
        self._write_out()
        for key, _ in self._selector.select(self._patience(now)):
            if key.fileobj is self._signals:
                self._take_signals()
                self._take_orders()
            else:
                self._hear(key.data)
        now = time.monotonic()
        self.operation.followers.turn(self._children(), now)
        if now - self._turned > TURN + PAUSED:
            for child in self._children():
                child.seen = now
        self._turned = now
        self._reap(now)
        self._judge(now)

    def _patience(self, now: float) -> float:
        dates = [slot.next_start for slot in self.slots] + [child.deadline for child in self._children()]
        dates += [self._accept_until, self.seat.due, self._notifier.due() if self._well(now) else None]
        return max(0.0, min([TURN, *(date - now for date in dates if date is not None)]))

    def _children(self) -> list[Child]:
        return [slot.child for slot in self.slots if slot.child is not None] + list(self.leaving)

    def _well(self, now: float) -> bool:
        """Whether anybody serves, which is what the service manager's watchdog wants to know; the end is no fault."""
        return self.draining or any(
            slot.child is not None and slot.child.state is State.READY and now - slot.child.seen < STUCK
            for slot in self.slots
        )

    # --- signals and orders ---

    def _take_signals(self) -> None:
        for number in self._signals.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop(signal.Signals(number).name)
            elif number == signal.SIGHUP:
                self._begin_reload()
            elif number == signal.SIGUSR1:
                self.log.reopen()
                self._tell_all({"do": "reopen"})
        if self.reload is not None:
            self._go_on_reloading()

    def _take_orders(self) -> None:
        for order in self.operation.take():
            if order is not None:
                self._begin_reload(order)
            elif not self.draining:
                self._drain("an operator asks")
        self.operation.questions.send(
            slot.child for slot in self.slots if slot.child is not None and slot.child.state is State.READY
        )

    def _stop(self, why: str) -> None:
        if not self.draining:
            self._drain(why)
        elif not self._forced:
            self._forced = True
            self.log.write("warning", f"{why} again: closing every connection now")
            self._accept_until = None
            self._close_slots()
            self._dismiss({"do": "stop"}, GRACE)

    def _drain(self, why: str) -> None:
        """First of all /readyz says so; who balances the load reads it, and meanwhile everybody is still served."""
        self.draining = True
        self.operation.followers.end(ENDING)
        settings = self.current.settings
        delay = self._drain_delay if settings.drain_delay is None else settings.drain_delay
        if not self.running:
            delay = 0.0
        words = f"draining, for at most {delay + settings.drain:g} s"
        self.log.write("info", f"{why}: {words}")
        self._notifier.stopping(words, delay + settings.drain + GRACE + ABORT)
        if self.reload is not None:
            self.reload.abandon(self, "polgate is draining")
        self._accept_until = time.monotonic() + delay
        if delay:
            self._tell_all({"do": "part"})
        else:
            self._stop_accepting()

    def _stop_accepting(self) -> None:
        self._accept_until = None
        self._close_slots()
        timeout = self.current.settings.drain
        self._dismiss({"do": "drain", "timeout": timeout}, timeout + GRACE)

    def _dismiss(self, message: Message, seconds: float) -> None:
        """Tell every worker to end, and give it so long."""
        for slot in self.slots:
            if slot.child is not None:
                self.leaving.add(slot.child)
        self.slots = []
        for child in self.leaving:
            self._dismiss_one(child, message, seconds)

    def _dismiss_one(self, child: Child, message: Message, seconds: float) -> None:
        child.state = State.LEAVING
        child.deadline = time.monotonic() + seconds
        child.channel.send(message)

    def retire(self, child: Child) -> None:
        """Let a worker whose slot is gone drain and end."""
        self.leaving.add(child)
        timeout = self.current.settings.drain
        self._dismiss_one(child, {"do": "drain", "timeout": timeout}, timeout + GRACE)

    def _close_slots(self) -> None:
        for slot in self.slots:
            slot.close()

    # --- workers ---

    def _start_due(self, now: float) -> None:
        for slot in self.slots:
            if slot.next_start is not None and slot.next_start <= now:
                slot.next_start = None
                self._start(slot, now)

    def _start(self, slot: Slot, now: float) -> None:
        try:
            child = spawn(slot.number, self.command, now)
        except OSError as error:
            if not self.running and not self.draining:
                raise CannotOperate(f"cannot start a worker: {(error.strerror or str(error)).lower()}") from None
            delay = slot.died(now, now)
            self.log.write("error", f"cannot start a worker: {error}", again_in=f"{delay:g}s")
            return
        slot.child = child
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        self._watched[child] = selectors.EVENT_READ
        child.deadline = now + START_DEADLINE
        message = {
            "do": "start",
            "slot": slot.number,
            "generation": self.generation,
            "policy": pack(self.current),
            "listen": list(slot.sockets),
            "shared": list(slot.shares),
            "parting": self._accept_until is not None,
            "folder": str(self.claim.folder) if self.claim is not None else "",
            "store": asdict(self.current.settings.store),
            "workers": self.current.settings.workers,
            "trace_key": self._trace_key,
            "follow": self.operation.followers.orders,
        }
        child.policy, child.generation = self.current.hash, self.generation
        child.channel.send(message, [one.fileno() for one in slot.sockets.values()])
        if self.reload is not None:
            self.reload.joined(child)

    def _write_out(self) -> None:
        for child, watched in self._watched.items():
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if child.channel.unsent else 0)
            if wanted != watched:
                self._selector.modify(child.channel, wanted, child)
                self._watched[child] = wanted

    def _tell_all(self, message: Message) -> None:
        for child in self._children():
            child.channel.send(message)

    def _hear(self, child: Child) -> None:
        child.channel.flush()
        try:
            frames = child.channel.receive()
        except ChannelBroken as error:
            self.log.write("error", f"worker {child.slot} sends nonsense: {error}", pid=child.pid)
            child.kill()
            self._forget_channel(child)
            return
        if frames:
            child.seen = time.monotonic()
        for message, _ in frames:
            self._heard(child, message)
        if child.channel.closed:
            self._forget_channel(child)

    def _heard(self, child: Child, message: Message) -> None:
        did = message.get("did")
        if did == "ready":
            if child.state is State.STARTING:
                child.state, child.deadline = State.READY, None
                self._ready()
        elif did == "failed":
            self.log.write("error", f"worker {child.slot} cannot start: {message.get('text')}", pid=child.pid)
            if not self.running and not self.draining:
                self._status = max(self._status, 3 if message.get("defect") else 1)
        elif did == "tick":
            child.cluster = message.get("cluster")
        elif did == "answered":
            self.operation.questions.answered(message)
        elif did in FOLLOWED:
            self.operation.followers.heard(child, message)
        elif did == "leaving" and child.state is not State.LEAVING:
            self._leaves(child)
        elif self.reload is not None:
            self.reload.heard(self, child, message)

    def _leaves(self, child: Child) -> None:
        """A worker drains by itself (it was sent TERM): another one takes its slot, and its sockets, at once."""
        child.state = State.LEAVING
        child.deadline = time.monotonic() + self.current.settings.drain + GRACE
        self.leaving.add(child)
        for slot in self.slots:
            if slot.child is child:
                slot.child = None
                slot.next_start = time.monotonic()

    def _ready(self) -> None:
        states = [slot.child.state if slot.child else State.STARTING for slot in self.slots]
        if self.draining or not states or any(state is not State.READY for state in states):
            return
        if self.running:
            self._notifier.status(self._words())
        else:
            self.running = True
            self.say("ready")
            self._notifier.ready(self._words())
            if self._reload_again:
                self._next_reload()

    def _words(self) -> str:
        settings = self.current.settings
        return f"serving policy {self.current.hash[:12]} with {settings.workers} workers on {', '.join(self.urls)}"

    def _forget_channel(self, child: Child) -> None:
        if self._watched.pop(child, None) is not None:
            self._selector.unregister(child.channel)
            child.channel.close()
            self.operation.questions.lost(child)
            self.operation.followers.lost(child)

    def _reap(self, now: float) -> None:
        for child in self._children():
            if child.process.poll() is None:
                continue
            if child in self._watched:
                self._hear(child)  # its last words
            self._forget_channel(child)
            self._clear_up_behind(child)
            if self.reload is not None:
                self.reload.died(self, child)
            if child in self.leaving:
                self.leaving.discard(child)
                continue
            slot = next(slot for slot in self.slots if slot.child is child)
            if not self.running and not self.draining:
                self._give_up(child)
                return
            self.operation.restarts += 1
            delay = slot.died(child.started, now)
            self.log.write(
                "error", f"worker {child.slot} {child.fate()}: another one starts", pid=child.pid, after=f"{delay:g}s"
            )
            if not self.draining:
                self._notifier.status(f"worker {child.slot} {child.fate()}: another one starts")

    def _clear_up_behind(self, child: Child) -> None:
        """A worker killed within a read transaction would keep LMDB from ever reusing a page."""
        if self.claim is not None:
            try:
                self.claim.check_readers()
                self.operation.store = ""
            except StoreUnavailable as error:
                self.operation.store = str(error)
                self.log.write("error", str(error), worker=child.slot)

    def _give_up(self, child: Child) -> None:
        """The first start has failed: there is nothing to fall back to."""
        if self._status == 0:
            self.log.write("error", f"worker {child.slot} {child.fate()} before it was ready", pid=child.pid)
            self._notifier.failed(f"worker {child.slot} {child.fate()} before it was ready")
        self._status = self._status or 1
        next(slot for slot in self.slots if slot.child is child).child = None
        self.draining = True
        self._close_slots()
        self._dismiss({"do": "stop"}, GRACE)

    def _judge(self, now: float) -> None:
        """End workers that hang: with ABRT first, on which they show where, and KILL if that does not do it."""
        limit = STUCK_COMPILING if self.reload is not None and self.reload.compiling else STUCK
        for child in self._children():
            if child.condemned:
                if child.deadline is not None and now > child.deadline:
                    child.deadline = None
                    self._let_go(now)
                    child.kill()
                continue
            if child.deadline is not None and now > child.deadline:
                what = "did not end in time" if child.state is State.LEAVING else "was not ready in time"
            elif child.state is not State.STARTING and now - child.seen > limit:
                if now - child.seen <= limit + LET_GO and self._waits(child, now - limit + LET_GO):
                    continue
                what = f"gave no sign of life for {limit:g} s"
            else:
                continue
            self.log.write("error", f"worker {child.slot} {what}: killed", pid=child.pid)
            child.condemned, child.deadline = True, now + ABORT
            self._let_go(now)
            child.process.send_signal(signal.SIGABRT)
        if self.reload is not None:
            self.reload.judge(self, now)

    def _waits(self, child: Child, silent_since: float) -> bool:
        """Whether it sleeps while another one that was silent as long does not, but was stopped, say."""
        return child.sleeps() and any(
            other.seen < silent_since and not other.sleeps()
            for other in self._children()
            if other is not child and other.state is not State.STARTING
        )

    def _let_go(self, now: float) -> None:
        """Somebody is ended: who sleeps may have waited for his lock, and can soon show that he lives."""
        for child in self._children():
            if now - child.seen > STUCK - LET_GO and child.sleeps():
                child.seen = now - STUCK + LET_GO

    # --- reload ---

    def _begin_reload(self, order: Order | None = None) -> None:
        if self.draining:
            if order is not None:
                order.answer(False, "polgate is draining")
            return
        if order is not None:
            self._waiting_next.append(order)
        if self.reload is not None or not self.running:
            self._reload_again = True
            return
        self._next_reload()

    def _next_reload(self) -> None:
        self._reload_again = False
        self._waiting, self._waiting_next = self._waiting_next, []
        self._notifier.reloading()
        self.reload = Reload(self.generation + 1)
        self.reload.read(self.load, self.wake)

    def _go_on_reloading(self) -> None:
        assert self.reload is not None
        result = self.reload.result()
        if isinstance(result, PolicyRefused):
            self.log.write("error", "the policy was not reloaded, the old one goes on")
            self.say(result.report)
            self.reload_ended(False, result.report)
        elif result is not None:
            self.reload.prepare(self, result)

    def reload_ended(self, ok: bool, text: str) -> None:
        self.reload = None
        self.operation.reloaded(ok, text)
        waiting, self._waiting = self._waiting, []
        if self.draining:
            waiting, self._waiting_next = waiting + self._waiting_next, []
        for order in waiting:
            order.answer(ok, text)
        if self.draining:
            return
        self._notifier.ready(self._words() if ok else f"{self._words()}; the last reload failed")
        if self._reload_again:
            self._next_reload()
