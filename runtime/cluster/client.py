"""The cluster as a worker sees it: a client that is connected, or tries to be, for as long as the worker lives.

Nothing here waits: a gateway starts, and serves, while the cluster is away. What the client of Hazelcast does by itself
(it connects again, finds members that join, asks connections for signs of life) is watched, because some of it stops
for ever where a member hangs at the wrong moment.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from hazelcast.asyncio import HazelcastClient
from hazelcast.config import Config, IntType, ReconnectMode
from hazelcast.errors import HazelcastSerializationError
from hazelcast.lifecycle import LifecycleState

from runtime.cluster.calls import GREETINGS, Calls, give_up, greet
from runtime.cluster.wire import connect_with
from runtime.workers.settings import StoreSettings

HEARTBEAT = 1.0
"""Seconds between two questions to an idle connection whether it lives."""
HEARTBEAT_TIMEOUT = 4.0
"""Seconds without a byte after which a connection is closed."""
CONNECT_TIMEOUT = 1.0
"""Seconds for a TCP connection."""
HELLO_TIMEOUT = 2.0
"""Seconds for a member to answer the first words on a connection."""
GREETING_TIMEOUT = 2.0
"""Seconds that members may take to answer the first calls, before callers are let in all the same."""
PATIENCE = 5.0
"""Seconds that a client may take to connect, before another is tried; each begins with a member of its own choice."""
GRACE = 1.0
"""Seconds that the cluster may be away before the log says so."""
WATCH = 0.5
"""Seconds between two looks at all this."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two lines of the log that say the same."""

Listener = Callable[[], None]


class Cluster:
    """`report` hears what the operator must know. `members`: how many there are, as far as the client knows.

    `on_connected`: called after every connect and whenever the members have changed, since entries may be gone then
    (all members were started anew, two were lost at once, a split was merged): what must not be lost is put there
    again. `on_lost`: called when no member is connected any more. Both are called in the loop, and wait for nothing.
    """

    def __init__(self, settings: StoreSettings, loop: asyncio.AbstractEventLoop, report: Callable[[str], None]) -> None:
        self.calls = Calls(loop, settings.deadline)
        self.connected = False
        self.on_connected: list[Listener] = []
        self.on_lost: list[Listener] = []
        self._settings = settings
        self._loop = loop
        self._report = report
        self._client: Any = None
        self._generation = 0  # of connections: what belongs to a former one is not heard any more
        self._unanswered = 0
        self._began = self._lost = 0.0
        self._greeted_at = -GREETING_TIMEOUT
        self._told = self._closed = self._telling = False
        self._complaints: dict[str, float] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._overheard = _Overheard.install()

    @property
    def deadline(self) -> float:
        return self._settings.deadline

    @property
    def name(self) -> str:
        return self._settings.cluster

    @property
    def members(self) -> int:
        return len(self._client.cluster_service.get_members()) if self.connected else 0

    def start(self) -> None:
        """Begin to connect, as soon as the loop runs."""
        self._loop.call_soon(self._start)

    def _start(self) -> None:
        if not self._closed:
            self._lost = self._loop.time()
            self._begin()
            self._timer = self._loop.call_later(WATCH, self._watch)

    async def stop(self) -> None:
        """Leave the cluster. A worker that ends may also just end."""
        self.close()
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await client.shutdown()

    def close(self) -> None:
        """Calls fail from now on, and nothing is tried any more."""
        self._closed = True
        self.connected = False
        self.calls.use(None)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def complain(self, text: str) -> None:
        """Into the log, but not the same at every request."""
        now = self._loop.time()
        if now - self._complaints.get(text, -COMPLAINT_INTERVAL) >= COMPLAINT_INTERVAL:
            if len(self._complaints) > 100:
                self._complaints.clear()
            self._complaints[text] = now
            self._report(f"cluster `{self.name}`: {text}")

    # --- a client's life ---

    def _begin(self) -> None:
        self._began = self._loop.time()
        client: Any = HazelcastClient(_config(self._settings))
        self._client = client
        refuse_pickles(client)
        connect_with(client)
        client._connection_manager._heartbeat_manager._tasks = _Pings()
        client.lifecycle_service.add_listener(partial(self._changed, client))
        client._connection_manager.add_listener(None, partial(give_up, client))
        client.cluster_service.add_listener(self._members_changed, self._members_changed)
        self._do(client._start())

    def _do(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._overheard.last = str(error)

    def _changed(self, client: Any, state: str) -> None:
        if client is not self._client or self._closed:
            return  # one that was given up
        if state == LifecycleState.CONNECTED:
            self._greet(client)
        elif state in (LifecycleState.DISCONNECTED, LifecycleState.SHUTDOWN):
            self._disconnected()

    def _greet(self, client: Any) -> None:
        """Members that have just started are slow at first: they are asked before anybody waits for them."""
        self._began = self._greeted_at = self._loop.time()
        self._unanswered = GREETINGS
        self._loop.call_later(GREETING_TIMEOUT, self._up, client, self._generation)
        greet(client, partial(self._greeted, client, self._generation))

    def _greeted(self, client: Any, generation: int) -> None:
        if generation == self._generation:
            self._unanswered -= 1
            if self._unanswered == 0:
                self._up(client, generation)

    def _up(self, client: Any, generation: int) -> None:
        if generation != self._generation or self.connected or self._closed:
            return  # it has been lost again in between
        self.connected = True
        self._overheard.last = ""
        self.calls.use(client)
        if self._told:
            self._told = False
            self._report(f"cluster `{self.name}` is there again")
        self._tell()

    def _disconnected(self) -> None:
        self._generation += 1
        self._began = self._loop.time()
        if self.connected:
            self.connected = False
            self._lost = self._began
            self.calls.use(None)
            for each in self.on_lost:
                self._loop.call_soon(each)

    def _members_changed(self, _: Any) -> None:
        if self.connected:
            self.calls.silence.clear()
            self._tell()

    def _tell(self) -> None:
        """In the loop's next turn, once however much has changed: who is told may ask the cluster at once."""
        if not self._telling:
            self._telling = True
            self._loop.call_soon(self._tell_now)

    def _tell_now(self) -> None:
        self._telling = False
        if self.connected:
            for each in self.on_connected:
                self._loop.call_soon(each)

    # --- what the client does not look after ---

    def _watch(self) -> None:
        self._timer = self._loop.call_later(WATCH, self._watch)
        now, client = self._loop.time(), self._client
        self._close_unanswered(client)
        if self.connected:
            self._check_heartbeat(client)
            return
        if not self._told and now - self._lost > GRACE and now - self._greeted_at > GREETING_TIMEOUT:
            self._told = True
            at = ", ".join(self._settings.members)
            why = f" ({self._overheard.last})" if self._overheard.last else ""
            self._report(f"cluster `{self.name}` is away: no member answers at {at}{why}")
        if now - self._began > PATIENCE or not client.lifecycle_service.is_running():
            self._replace()

    def _close_unanswered(self, client: Any) -> None:
        """A member that hangs takes connections and never answers the first words; the client waits for ever."""
        oldest = time.time() + client._config.invocation_timeout - HELLO_TIMEOUT
        for call in list(client._invocation_service._pending.values()):
            connection = call.connection
            if connection is not None and connection.remote_uuid is None and call.timeout < oldest and connection.live:
                self._do(connection.close_connection("no answer to the first words", None))

    def _check_heartbeat(self, client: Any) -> None:
        """The client should have closed what is silent for so long; if it has not, its heartbeat has stopped."""
        oldest = time.time() - HEARTBEAT_TIMEOUT - PATIENCE
        if any(0 < each.last_read_time < oldest for each in client._connection_manager.active_connections.values()):
            self._disconnected()
            self._replace()

    def _replace(self) -> None:
        self._generation += 1
        client = self._client
        for task in self._tasks:
            task.cancel()
        self._do(client.shutdown())
        self._begin()


def _config(settings: StoreSettings) -> Any:
    config: Any = Config()  # type: ignore[no-untyped-call]
    config.cluster_name = settings.cluster
    config.cluster_members = list(settings.members)
    config.default_int_type = IntType.LONG
    config.reconnect_mode = ReconnectMode.ASYNC
    config.cluster_connect_timeout = -1
    config.connection_timeout = CONNECT_TIMEOUT
    config.retry_initial_backoff = 0.1
    config.retry_max_backoff = 1.0
    config.retry_multiplier = 1.5
    config.retry_jitter = 0.5
    config.heartbeat_interval = HEARTBEAT
    config.heartbeat_timeout = HEARTBEAT_TIMEOUT
    # The members wait for the copy before they answer: one message for each change, and no listener that must be there.
    config.backup_ack_to_client_enabled = False
    return config


def refuse_pickles(client: Any) -> None:
    """The client writes what it has no form for as a pickle, and reads one that it finds, which runs what is in it."""

    def refuse(*_: Any) -> NoReturn:
        raise HazelcastSerializationError("pickles are neither read nor written here")

    serializer = client._serialization_service._python_serializer
    serializer.read = serializer.write = refuse


class _Pings(set[asyncio.Task[Any]]):
    """The client's questions for signs of life. That nobody answers one is no defect: the client closes the connection,
    and forgets to look at the question's own error, which the loop would report."""

    def add(self, task: asyncio.Task[Any]) -> None:
        super().add(task)
        task.add_done_callback(_looked_at)


def _looked_at(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


class _Overheard(logging.Handler):
    """What the client says to its own log: the last reason is told with the cluster's absence, the rest is not."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.last = ""

    @classmethod
    def install(cls) -> _Overheard:
        logger = logging.getLogger("hazelcast")
        found = next((one for one in logger.handlers if isinstance(one, cls)), None)
        if found is None:
            found = cls()
            logger.addHandler(found)
            logger.setLevel(logging.WARNING)
            logger.propagate = False
        return found

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.last = str(record.exc_info[1])[:200]
