"""Calls of the members: each ends within the deadline, by an answer or by a word on why there is none.

The client's own calls wait for as long as the cluster is away, and a call that is cancelled leaves something behind
when its connection dies. So requests are handed to the part of the client that sends them, and what was not answered in
time is only forgotten here: its answer may come, or its connection be closed by the client's heartbeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_bytes
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from hazelcast.errors import ClientOfflineError, SplitBrainProtectionError, TargetDisconnectedError
from hazelcast.internal.asyncio_invocation import Invocation
from hazelcast.protocol.client_message import OutboundMessage

from policylang.sdk import Space
from runtime.cluster.deadlines import Deadlines
from runtime.cluster.frames import MapRequests, packed, packed_key
from runtime.cluster.silence import Silence
from runtime.cluster.spaces import map_name

MOST_CALLS = 2_000
"""Calls of one worker that may wait for their answers at a time."""
GREETINGS = 64
"""Calls that a client makes when it has connected: about so many keys that every member has some, and copies."""
MOST_BYTES = 64 << 20
"""What the requests may have in bytes that no member has answered yet, also those that nobody waits for any more."""
NO_RETRY = 1.0
"""When the client has to stop trying again, by the wall clock: long ago. Nobody here waits for so long."""


class Missed(NamedTuple):
    """Why there is no answer. `unsent`: nothing can have happened; else it may have, or happen yet.

    `late`: the deadline is over.
    """

    why: str
    unsent: bool = False
    late: bool = False


OFFLINE = Missed("no member is connected", unsent=True)
SILENT = Missed("a member does not answer", unsent=True)
TOO_MANY = Missed("too many calls wait for their answers", unsent=True)
LATE = Missed("no answer in time", late=True)
REFUSED = "the members refuse: they are too few (split-brain protection)"

Then: TypeAlias = Callable[[Any, Missed | None], None]
"""Hears once of the answer, or of why there is none; maybe at once."""


class _Reply:
    """Stands where the client expects a future of asyncio; hears at once, not a turn of the loop later."""

    __slots__ = ("_calls", "_owner", "_partition", "_size", "_then", "_write")

    def __init__(
        self, calls: Calls, then: Then, owner: UUID | None, partition: int, write: bool, size: int
    ) -> None:
        self._calls = calls
        self._then: Then | None = then
        self._owner = owner
        self._partition = partition
        self._write = write
        self._size = size

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return self._then is None

    @property
    def over(self) -> bool:
        return self._then is None

    def set_result(self, answer: Any) -> None:
        if self._then is not None:  # else it is late, and who is late may as well be silent
            self._calls.silence.answered(self._owner, self._partition, self._write)
        self._end(answer, None)

    def set_exception(self, error: BaseException) -> None:
        why, unsent = _told(error), isinstance(error, (SplitBrainProtectionError, ClientOfflineError))
        self._end(None, Missed(why, unsent))

    def _end(self, answer: Any, missed: Missed | None) -> None:
        calls, then = self._calls, self._then
        calls.unanswered -= self._size
        self._size = 0
        if then is not None:
            self._then = None
            calls.waiting -= 1
            try:
                then(answer, missed)
            except Exception as defect:  # the client would take it for an answer that cannot be read
                calls.loop.call_exception_handler({"message": "after a member's answer", "exception": defect})

    def expire(self) -> None:
        calls, then = self._calls, self._then
        if then is not None:
            self._then = None
            calls.waiting -= 1
            calls.missed(self._owner, self._partition, self._write)
            then(None, LATE)


class _Call(Invocation):
    """What the client sends. Its own constructor would make a future."""

    __slots__ = ()

    def __init__(self, request: bytearray, partition: int, decode: Callable[[Any], Any], reply: _Reply) -> None:
        self.request = OutboundMessage(request, False, True)  # type: ignore[no-untyped-call]
        self.partition_id = partition
        self.uuid = None
        self.connection = None
        self.event_handler = None
        self.urgent = False
        self.timeout = NO_RETRY
        self.future: Any = reply
        self.sent_connection = None
        self.response_handler = decode
        self.backup_acks_received = 0
        self.backup_acks_expected = -1
        self.pending_response = None
        self.pending_response_received_time = -1


class Calls:
    """`trips`: calls that were sent. `waiting`: those that somebody waits for. `unanswered`: bytes of requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.loop = loop
        self.silence = Silence(deadline)
        self.trips = 0
        self.waiting = 0
        self.unanswered = 0
        self._deadlines = Deadlines(loop, deadline)
        self._client: Any = None

    @property
    def offline(self) -> bool:
        return self._client is None

    def use(self, client: Any) -> None:
        """From now on calls go there; None: nowhere, they fail at once."""
        self._client = client
        self.silence.clear()

    @property
    def partitions(self) -> int:
        return 0 if self._client is None else int(self._client._internal_partition_service.partition_count)

    def ask(
        self, request: bytearray, number: int, write: bool, decode: Callable[[Any], Any], then: Then,
    ) -> None:  # fmt: skip
        """Ask the owner of the partition that `number`, a key's hash, falls into."""
        client = self._client
        if client is None:
            return then(None, OFFLINE)
        if self.waiting >= MOST_CALLS or self.unanswered + len(request) > MOST_BYTES:
            return then(None, TOO_MANY)
        partitions = client._internal_partition_service
        partition = number % partitions.partition_count
        owner = partitions.get_partition_owner(partition)
        if not self.silence.may_ask(owner, partition, write, self.loop.time()):
            return then(None, SILENT)
        size = len(request)
        reply = _Reply(self, then, owner, partition, write, size)
        self.trips += 1
        self.waiting += 1
        self.unanswered += size
        self._deadlines.add(reply)
        client._invocation_service.invoke(_Call(request, partition, decode, reply))
        return None

    def missed(self, owner: UUID | None, partition: int, write: bool) -> None:
        self.silence.missed(owner, partition, write, self.loop.time())


class _Greeting:
    """The answer to a greeting, in the place of a future; any will do, also an error."""

    __slots__ = ("_heard",)

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard: Callable[[], None] | None = heard

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return self._heard is None

    def set_result(self, _: Any) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            heard()

    set_exception = set_result


def greet(client: Any, heard: Callable[[], None]) -> None:
    """Ask of some keys what calls will ask, so that members load and compile what answers: a first change takes a
    member that has just started longer than any deadline. `heard` is called GREETINGS times.
    """
    requests = MapRequests(map_name(Space("hello", "passing", 1.0)))
    partitions = client._internal_partition_service.partition_count
    for _ in range(GREETINGS // 4):
        number, kept = packed_key(token_bytes(8))
        value = packed(bytes(16))
        for request in (
            requests.get(kept), requests.put_if_absent(kept, value), requests.replace_if_same(kept, value, value),
            requests.remove_if_same(kept, value),
        ):  # fmt: skip
            reply: Any = _Greeting(heard)
            client._invocation_service.invoke(_Call(request, number % partitions, _ignored, reply))


def give_up(client: Any, connection: Any) -> None:
    """What was sent over a connection that is closed is not answered any more; the client itself says so later."""
    service = client._invocation_service
    for call in list(service._pending.values()):
        if call.sent_connection is connection and isinstance(call, _Call):
            service._complete_with_error(call, TargetDisconnectedError("the connection was closed"))


def _ignored(_: Any) -> None:
    return None


def _told(error: BaseException) -> str:
    if isinstance(error, SplitBrainProtectionError):
        return REFUSED
    if isinstance(error, TargetDisconnectedError):
        return "a member's connection was closed"
    return f"a member answers {type(error).__name__}: {error}"[:200]
