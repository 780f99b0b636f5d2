"""One reload, in two phases: every worker compiles the new policy; when all of them have, all of them swap."""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.workers.child import Child, Slot, State
from runtime.workers.control import Message
from runtime.workers.inherited import sharing
from runtime.workers.operation import CannotOperate
from runtime.workers.policy import pack
from runtime.workers.settings import Loaded, PolicyRefused
from runtime.workers.sockets import CannotListen, open_sockets

if TYPE_CHECKING:
    from runtime.observe.sink import Sink
    from runtime.workers.seat import Admin
    from runtime.workers.supervisor import Supervisor

PREPARE_DEADLINE = 60.0
"""Seconds that reading and checking, and then compiling in all workers, may take each."""


class Reload:
    """From the signal to the last worker's word. The supervisor calls, and drops it at `reload_ended`."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.compiling = False
        self._deadline = time.monotonic() + PREPARE_DEADLINE
        self._result: Loaded | PolicyRefused | None = None
        self._loaded: Loaded | None = None
        self._waiting: set[Child] = set()
        self._committed = False
        self._admin: Admin | None = None
        self._admin_changed = False
        self._log: Sink | None = None
        self._opened: dict[str, list[socket.socket]] = {}

    # --- reading, in a thread: the workers are watched and replaced meanwhile ---

    def read(self, load: Callable[[], Loaded], wake: Callable[[], None]) -> None:
        def work() -> None:
            try:
                self._result = load()
            except PolicyRefused as refused:
                self._result = refused
            except Exception:
                self._result = PolicyRefused("a defect of polgate while it read the policy\n" + traceback.format_exc())
            wake()

        threading.Thread(target=work, name="reload", daemon=True).start()

    def result(self) -> Loaded | PolicyRefused | None:
        """What reading has given, once."""
        result, self._result = self._result, None
        return result

    # --- first phase ---

    def prepare(self, supervisor: Supervisor, loaded: Loaded) -> None:
        old = supervisor.current
        if loaded.settings.store != old.settings.store:
            supervisor.log.write("warning", "a changed `store` needs a restart: the old one stays")
            loaded = replace(loaded, settings=replace(loaded.settings, store=old.settings.store))
        self._loaded = loaded
        first = supervisor.slots[0].sockets
        ports = {one.getsockname()[1] for one in first.values()}
        try:
            for address in loaded.settings.addresses:
                if address not in first:
                    self._opened[address] = supervisor.open(address, len(supervisor.slots), ports)
            if loaded.settings.admin != old.settings.admin:
                self._admin = supervisor.seat.open(loaded.settings)
            self._log = supervisor.log.open(loaded.settings.error_log)
        except (CannotListen, CannotOperate) as error:
            self._fail(supervisor, str(error))
            return
        except OSError as error:
            self._fail(supervisor, f"cannot open `{loaded.settings.error_log}`: {error.strerror}")
            return
        self.compiling = True
        self._deadline = time.monotonic() + PREPARE_DEADLINE
        self._message: Message = {"do": "prepare", "generation": self.generation, "policy": pack(loaded)}
        for slot in supervisor.slots:
            if slot.child is not None and slot.child.state is not State.LEAVING:
                self.joined(slot.child)
        self._commit_if_ready(supervisor)

    def joined(self, child: Child) -> None:
        """A worker that started meanwhile has the old policy: it prepares the new one too."""
        if self.compiling:
            self._waiting.add(child)
            child.channel.send(self._message)

    def heard(self, supervisor: Supervisor, child: Child, message: Message) -> None:
        if message.get("generation") != self.generation or child not in self._waiting:
            return
        did = message.get("did")
        if did == "refused" and not self._committed:
            self._fail(supervisor, f"worker {child.slot}: {message.get('text')}")
        elif did in ("prepared", "committed") and (did == "committed") == self._committed:
            if self._committed:
                child.policy, child.generation = supervisor.current.hash, self.generation
            self._waiting.discard(child)
            self._commit_if_ready(supervisor)

    def died(self, supervisor: Supervisor, child: Child) -> None:
        if child in self._waiting:
            self._waiting.discard(child)
            if self._committed:
                self._commit_if_ready(supervisor)
            else:
                self._fail(supervisor, f"worker {child.slot} {child.fate()} while it compiled the new policy")

    def judge(self, supervisor: Supervisor, now: float) -> None:
        if now > self._deadline:
            if self._committed:
                self._succeeded(supervisor)  # who has not said so is stuck, and is killed for that
            else:
                self._fail(supervisor, f"it took longer than {PREPARE_DEADLINE:g} s")

    def abandon(self, supervisor: Supervisor, why: str) -> None:
        if self._committed:
            self._succeeded(supervisor)
        else:
            for slot in supervisor.slots:
                if slot.child is not None:
                    slot.child.channel.send({"do": "abandon", "generation": self.generation})
            for sockets in self._opened.values():
                for one in sockets:
                    one.close()
            self._opened = {}
            if self._admin is not None:
                self._admin.close()
                self._admin = None
            supervisor.log.abandon(self._log)
            supervisor.reload_ended(False, why)

    def _fail(self, supervisor: Supervisor, why: str) -> None:
        supervisor.log.write("error", f"the policy was not reloaded, the old one goes on: {why}")
        self.abandon(supervisor, why)

    # --- second phase ---

    def _commit_if_ready(self, supervisor: Supervisor) -> None:
        if self._waiting:
            return
        if not self._committed:
            self._commit(supervisor)
        if not self._waiting:
            self._succeeded(supervisor)

    def _succeeded(self, supervisor: Supervisor) -> None:
        assert self._loaded is not None
        supervisor.log.write("info", "the policy was reloaded", policy=self._loaded.hash)
        supervisor.reload_ended(True, f"every worker serves policy {self._loaded.hash}")
        if self._admin_changed:
            supervisor.seat.give(self._admin)  # last: the answer goes out through the one there was

    def _commit(self, supervisor: Supervisor) -> None:
        loaded = self._loaded
        assert loaded is not None
        self._committed, self.compiling = True, False
        supervisor.log.move(self._log)
        self._deadline = time.monotonic() + PREPARE_DEADLINE
        old, supervisor.current, supervisor.generation = supervisor.current.settings, loaded, self.generation
        self._admin_changed = (loaded.settings.admin, loaded.settings.admin_token) != (old.admin, old.admin_token)
        for listener in loaded.settings.listen:
            if listener.address in self._opened:
                supervisor.put(listener, self._opened[listener.address])
        closed = [address for address in supervisor.slots[0].sockets if address not in loaded.settings.addresses]
        for slot in supervisor.slots:
            for address in closed:
                slot.sockets.pop(address).close()
            child = slot.child
            if child is not None and child.state is not State.LEAVING:
                self._waiting.add(child)
                child.channel.send(
                    {"do": "commit", "generation": self.generation, "listen": list(loaded.settings.addresses),
                     "opened": list(self._opened), "shared": list(slot.shares)},
                    [slot.sockets[address].fileno() for address in self._opened],
                )  # fmt: skip
        for address in closed:
            supervisor.say(f"no longer listening on {address}")
        self._resize(supervisor, loaded)
        supervisor.list_urls()

    def _resize(self, supervisor: Supervisor, loaded: Loaded) -> None:
        """More or fewer workers. The sockets of a slot that goes are emptied by its worker, which then drains."""
        slots = supervisor.slots
        while len(slots) > loaded.settings.workers:
            gone = slots.pop()
            gone.close()
            if gone.child is not None:
                self._waiting.discard(gone.child)
                supervisor.retire(gone.child)
        more = loaded.settings.workers - len(slots)
        if more <= 0:
            return
        new = [Slot(len(slots) + number) for number in range(more)]
        try:
            for address, like in slots[0].sockets.items():
                # Those that the service manager has passed are divided anew; the workers that there are keep theirs.
                joined = supervisor.inherited.open(address, len(slots) + more)
                sockets = open_sockets(address, more, like=like) if joined is None else joined[len(slots) :]
                for one in (joined or [])[: len(slots)]:
                    one.close()
                shared = joined is not None and sharing([*(slot.sockets[address] for slot in slots), *sockets])
                for slot, one in zip(new, sockets, strict=True):
                    slot.sockets[address] = one
                    if shared:
                        slot.shares.add(address)
        except CannotListen as error:
            supervisor.log.write("error", f"the number of workers stays {len(slots)}: {error}")
            for slot in new:
                slot.close()
            return
        slots.extend(new)
