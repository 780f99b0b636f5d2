"""The admin listener: a thread in the supervisor's process with a small loop of its own.

It is bounded in every way: connections, heads, how long anything may take, reloads that wait. What it is asked is
answered from a snapshot, so that nothing here ever holds up the supervisor, and `/livez` answers whatever else is away.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from runtime.admin.address import AdminAddress, BadAddress, admin_address
from runtime.admin.journals import KEEP_ALIVE
from runtime.admin.messages import MAX_HEAD, STREAM, Answer, Refused, parse, problem
from runtime.admin.operated import Operated
from runtime.admin.pages import Pages, Work
from runtime.observe.exposition import Exposition
from runtime.trace.follower import LONGEST_FOLLOW, Follower

CONNECTIONS = 64
"""More are closed at once."""
DEADLINE = 5.0
"""Seconds for a request to come, for each part of its answer to be taken, and for the client to close."""
ANSWER_DEADLINE = 30.0
"""Seconds for the whole of an answer to be taken."""
LINGER = 1.0
"""Seconds in which a client may read its answer before what it still sends would break the connection."""
WAITING = 4
"""Requests that may wait for a reload or a worker at a time."""
FOLD = 10.0
"""Seconds between looks for the counters that dead workers have left."""
STALLED = 60.0
"""Seconds that a follower may read nothing."""
PAUSE = 1.0
"""Seconds without accepting when there are no descriptors left."""


class CannotAdminister(Exception):
    """The admin listener cannot be opened; the text is one sentence for the operator."""


class AdminServer:
    """`address`: as `admin` in the policy says it; `folder`: the store's, where the socket is unless it says otherwise,
    and the counters are, in METRICS_FOLDER. `report` hears of mistakes of our own, from this thread.

    `start` raises CannotAdminister; `address` is then where it really is (a port of 0 is chosen by the system). With
    the address `off` it only takes over what dead workers have counted. `exposition`: where one listener replaces
    another, both have the same, which must be made before the first worker starts.
    """

    def __init__(
        self,
        address: str,
        token: str,
        operated: Operated,
        folder: Path,
        report: Callable[[str], None] = lambda text: None,
        exposition: Exposition | None = None,
    ) -> None:
        try:
            self.address: AdminAddress | None = admin_address(address, folder)
        except BadAddress as error:
            raise CannotAdminister(str(error)) from None
        self._exposition = exposition or Exposition(folder)
        self._pages = Pages(operated, self._exposition.text, token)
        self._report = report
        self._listening: socket.socket | None = None
        self._identity: tuple[int, int] | None = None  # of our socket's file
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        self._connections: set[_Connection] = set()
        self._done: deque[tuple[_Connection, Answer | Follower]] = deque()
        self._working = 0  # reloads that are waited for
        self._paused_until = 0.0
        self._closing = False

    def start(self) -> None:
        if self.address is not None:
            self._listen(self.address)
        for one in (self._waker, self._woken):
            one.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="admin", daemon=True)
        self._thread.start()

    def _listen(self, address: AdminAddress) -> None:
        try:
            self._listening = self._unix(address.path) if address.path else _tcp(address)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "another program listens there" if taken else (error.strerror or str(error)).lower()
            raise CannotAdminister(f"cannot listen for the operator on `{address}`: {why}") from None
        if not address.path:
            host, port = self._listening.getsockname()[:2]
            self.address = AdminAddress(host=host, port=port)
        self._listening.setblocking(False)
        self._selector.register(self._listening, selectors.EVENT_READ)

    def close(self) -> None:
        """Ends it; answers that are not written yet are lost."""
        self._closing = True
        self._wake()
        if self._thread is not None:
            self._thread.join(DEADLINE)
        if self._listening is not None:
            self._listening.close()
        if self._identity is not None and self.address is not None and _identity(self.address.path) == self._identity:
            with contextlib.suppress(OSError):
                os.unlink(self.address.path)
        for end in (self._waker, self._woken):
            end.close()
        self._selector.close()

    def _unix(self, path: str) -> socket.socket:
        _clear(path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.bind(path)
            os.chmod(path, 0o600)  # nobody can connect before it listens
            self._identity = _identity(path)
            listening.listen(CONNECTIONS)
        except OSError:
            listening.close()
            raise
        return listening

    # --- the loop ---

    def _run(self) -> None:
        next_fold = 0.0
        while not self._closing:
            try:
                now = time.monotonic()
                if now >= next_fold:
                    next_fold = now + FOLD
                    self._exposition.fold()
                self._turn(now, next_fold)
            except Exception as error:
                # Whatever it is, the operator must be able to ask; and not as fast as it can go wrong.
                self._report(f"the admin listener went wrong: {type(error).__name__}: {error}")
                time.sleep(PAUSE)
        for connection in list(self._connections):
            if connection.follower is not None:
                connection.follower.end("this admin listener closes")
                self._write(connection)
            self._drop(connection)

    def _turn(self, now: float, next_fold: float) -> None:
        due = min([next_fold, *(connection.deadline for connection in self._connections)])
        if self._paused_until:
            due = min(due, self._paused_until)
            if now >= self._paused_until:
                self._paused_until = 0.0
                assert self._listening is not None
                self._selector.register(self._listening, selectors.EVENT_READ)
        for key, events in self._selector.select(max(0.0, due - now)):
            if key.fileobj is self._listening:
                self._accept()
            elif key.fileobj is self._woken:
                self._take_done()
            else:
                self._move(key.data, events)
        now = time.monotonic()
        for connection in [one for one in self._connections if now >= one.deadline]:
            if connection.follower is not None and not connection.outgoing:
                connection.outgoing = memoryview(b"\n")
                self._write(connection)
            else:
                self._drop(connection)

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            one, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:
            # No descriptors: the connection stays in the queue, and would wake us again and again.
            self._selector.unregister(self._listening)
            self._paused_until = time.monotonic() + PAUSE
            return
        if len(self._connections) >= CONNECTIONS:
            one.close()
            return
        one.setblocking(False)
        connection = _Connection(one, _own_hosts(one))
        self._connections.add(connection)
        self._selector.register(one, selectors.EVENT_READ, connection)

    def _drop(self, connection: _Connection) -> None:
        if connection in self._connections:
            self._connections.discard(connection)
            self._selector.unregister(connection.end)
            connection.end.close()
            self._leave(connection)

    def _move(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = connection.end.recv(MAX_HEAD)
                if not data:  # it has left; what it asked for is done all the same
                    self._drop(connection)
                    return
                if connection.reading:
                    connection.incoming += data
                    self._look(connection)
            if events & selectors.EVENT_WRITE:
                self._write(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)

    def _look(self, connection: _Connection) -> None:
        """Answer the request if it is complete."""
        answer: Answer | Work
        head, complete, rest = connection.incoming.partition(b"\r\n\r\n")
        try:
            if not complete:
                if len(head) <= MAX_HEAD:
                    return
                raise Refused(431, "head-too-large", f"a request's head has at most {MAX_HEAD} bytes here")
            if len(head) > MAX_HEAD:
                raise Refused(431, "head-too-large", f"a request's head has at most {MAX_HEAD} bytes here")
            request = parse(head)
            connection.head_only = request.method == "HEAD"
            if len(rest) < request.length:
                return
            answer = self._pages.answer(replace(request, body=rest[: request.length]), connection.own_hosts)
        except Refused as refused:
            answer = problem(refused)
        except Exception as error:
            answer = self._defect(error)
        connection.reading = False
        if isinstance(answer, Answer):
            self._begin(connection, answer)
        elif self._working >= WAITING:
            busy = Refused(503, "busy", f"{WAITING} others wait for a reload or a worker", ("Retry-After", "1"))
            self._begin(connection, problem(busy))
        else:
            self._working += 1
            connection.working = True
            connection.deadline = float("inf")  # the work has a deadline of its own
            threading.Thread(target=self._work, args=(connection, answer), name="admin-work", daemon=True).start()

    def _defect(self, error: Exception) -> Answer:
        self._report(f"the admin listener went wrong: {type(error).__name__}: {error}")
        return problem(Refused(500, "defect", "a defect of ours; the error log says which"))

    def _work(self, connection: _Connection, work: Work) -> None:
        answer: Answer | Follower
        try:
            answer = work()
        except Refused as refused:
            answer = problem(refused)
        except Exception as error:
            answer = self._defect(error)
        self._done.append((connection, answer))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._waker.send(b"\0")

    def _take_done(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._done:
            connection, answer = self._done.popleft()
            self._working -= 1
            connection.working = False
            if isinstance(answer, Follower):
                connection.follower = answer
                answer.news = self._wake
            if connection in self._connections:
                self._begin(connection, answer)
            elif isinstance(answer, Follower):
                answer.leave()
        for connection in [one for one in self._connections if one.follower is not None]:
            if not connection.outgoing:
                self._write(connection)

    def _begin(self, connection: _Connection, answer: Answer | Follower) -> None:
        connection.last = time.monotonic() + ANSWER_DEADLINE
        if isinstance(answer, Follower):
            connection.outgoing = memoryview(STREAM)
            connection.last += LONGEST_FOLLOW
        else:
            connection.outgoing = memoryview(answer.bytes(connection.head_only))
        self._write(connection)

    def _write(self, connection: _Connection) -> None:
        """Send what can be sent; when all has been, the client is to close, or to wait for more journals."""
        now = time.monotonic()
        follower = connection.follower
        over = follower is None or follower.ended  # before the last look at what waits
        something = False
        try:
            while connection.outgoing or self._take(connection):
                something = True
                connection.deadline = min(now + (DEADLINE if follower is None else STALLED), connection.last)
                sent = connection.end.send(connection.outgoing[:65536])
                connection.outgoing = connection.outgoing[sent:]
        except BlockingIOError:
            self._selector.modify(connection.end, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
            return
        except OSError:
            self._drop(connection)
            return
        self._selector.modify(connection.end, selectors.EVENT_READ, connection)
        if not over:
            if something:  # the news may be another follower's
                connection.deadline = now + KEEP_ALIVE
            return
        self._leave(connection)
        with contextlib.suppress(OSError):
            connection.end.shutdown(socket.SHUT_WR)
        connection.deadline = now + LINGER

    def _take(self, connection: _Connection) -> bool:
        """Have what waits for a follower sent next."""
        if connection.follower is not None:
            connection.outgoing = memoryview(connection.follower.take())
        return bool(connection.outgoing)

    def _leave(self, connection: _Connection) -> None:
        follower, connection.follower = connection.follower, None
        if follower is not None:
            follower.leave()


class _Connection:
    """One client. `own_hosts`: what its Host may say, None on a Unix socket."""

    def __init__(self, end: socket.socket, own_hosts: frozenset[str] | None) -> None:
        self.end = end
        self.own_hosts = own_hosts
        self.incoming = b""
        self.outgoing = memoryview(b"")
        self.reading = True
        self.working = False
        self.head_only = False
        self.follower: Follower | None = None
        self.deadline = time.monotonic() + DEADLINE
        self.last = self.deadline


def _own_hosts(one: socket.socket) -> frozenset[str] | None:
    if one.family == socket.AF_UNIX:
        return None
    host, port = one.getsockname()[:2]
    names = [f"[{host}]" if one.family == socket.AF_INET6 else host]
    if names[0] == "[::1]" or names[0].startswith("127."):
        names.append("localhost")
    return frozenset([*(f"{name}:{port}" for name in names), *(names if port == 80 else ())])


def _tcp(address: AdminAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address.host, address.port))
        listening.listen(CONNECTIONS)
    except OSError:
        listening.close()
        raise
    return listening


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _clear(path: str) -> None:
    """Remove a socket's file that nobody listens on. Raises OSError for anything else that is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something else than a socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return
        except TimeoutError:
            pass  # its queue is full: somebody is there
    raise OSError(errno.EADDRINUSE, "in use")
