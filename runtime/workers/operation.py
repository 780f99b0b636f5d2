"""What an operator may see and order, from other threads than the supervisor's: `runtime.admin.operated.Operated`."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from runtime.admin.operated import ReloadStatus, Status, WorkerStatus
from runtime.trace.follower import Follower
from runtime.workers.child import Child, State
from runtime.workers.followers import Followers
from runtime.workers.questions import Questions
from runtime.workers.settings import own_version

if TYPE_CHECKING:
    from runtime.workers.supervisor import Supervisor

class CannotOperate(Exception):
    """The admin listener cannot be opened: one sentence for the operator."""


class Order:
    """A reload that somebody waits for."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._answer = (False, "")

    def answer(self, ok: bool, text: str) -> None:
        self._answer = ok, text
        self._done.set()

    def wait(self, timeout: float) -> tuple[bool, str] | None:
        return self._answer if self._done.wait(timeout) else None


class Operation:
    """The supervisor's thread calls `take`, `loaded` and `reloaded`, others the rest."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._orders: deque[Order | None] = deque()
        self._version = own_version()
        self.started = self.taken_up = time.time()
        self.last_reload: ReloadStatus | None = None
        self.restarts = 0
        self.store = ""
        self.questions = Questions(lambda: supervisor.wake())
        self.followers = Followers(lambda: supervisor.wake())

    # --- from other threads ---

    def status(self) -> Status:
        supervisor = self._supervisor
        current = supervisor.current
        slots = list(supervisor.slots)
        children = [child for slot in slots if (child := slot.child) is not None] + list(supervisor.leaving)
        return Status(
            name=current.settings.name, version=self._version, pid=supervisor.pid, started=self.started,
            policy=current.hash, generation=supervisor.generation, loaded=self.taken_up,
            workers_wanted=current.settings.workers, workers=[_worker(child) for child in children],
            listeners=list(supervisor.urls), reloading=supervisor.reload is not None, draining=supervisor.draining,
            running=supervisor.running, restarts=self.restarts, store=self.store,
            last_reload=self.last_reload,
        )  # fmt: skip

    def reload(self, timeout: float) -> tuple[bool, str]:
        order = Order()
        self._orders.append(order)
        self._supervisor.wake()
        answer = order.wait(timeout)
        return answer or (False, f"there is no result after {timeout:g} s; it may still come: see `polgate status`")

    def ask(self, what: str, arguments: dict[str, Any], timeout: float) -> Any:
        return self.questions.ask(what, arguments, timeout)

    def follow(self, follower: Follower, timeout: float) -> None:
        self.followers.add(follower, timeout)
        asked = {"service": follower.service, "expression": follower.expression}
        said = {name: value for name, value in asked.items() if value}
        self._supervisor.log.write("info", "an operator follows journals", **said)

    def again(self, why: str) -> None:
        """Reload, and nobody waits for the result: it is logged."""
        self._supervisor.log.write("info", f"{why}: reading the policy again")
        self._orders.append(Order())
        self._supervisor.wake()

    def drain(self) -> None:
        self._orders.append(None)
        self._supervisor.wake()

    # --- from the supervisor's ---

    def take(self) -> list[Order | None]:
        """What was ordered: reloads, and None for the wish to end."""
        taken = []
        while self._orders:
            taken.append(self._orders.popleft())
        return taken

    def reloaded(self, ok: bool, text: str) -> None:
        now = time.time()
        self.last_reload = ReloadStatus(at=now, ok=ok, text="" if ok else text)
        if ok:
            self.taken_up = now


def _worker(child: Child) -> WorkerStatus:
    state = child.state
    status = WorkerStatus(
        slot=child.slot, pid=child.pid, state=state.value, policy="" if state is State.STARTING else child.policy,
        generation=child.generation, started=child.began,
    )  # fmt: skip
    if child.cluster is not None:
        status["cluster"] = child.cluster
    return status
