"""Who follows journals: every worker is told, and what it sends is given to them.

An operator's thread adds a follower and waits until every worker that serves has taken it up; the supervisor's thread
does the rest. A worker that starts is told who follows, and one that takes up another policy tells who cannot.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from runtime.admin.messages import Refused
from runtime.trace.follower import LONGEST_FOLLOW, Follower
from runtime.workers.child import Child, State
from runtime.workers.control import Message
from runtime.workers.questions import away

MOST_FOLLOWERS: Final = 8
FOLLOWED: Final = ("follows", "journal", "missed")
"""What workers tell: that they have taken a follower up, or with this policy cannot; a journal; what they left out."""
ENDING: Final = "the gateway is ending"


class _Followed:
    """`waiting`: workers that have not said that they follow; None before they were asked."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.until = time.monotonic() + LONGEST_FOLLOW
        self.waiting: set[Child] | None = None
        self.started = threading.Event()
        self.error: Refused | None = None

    @property
    def order(self) -> Message:
        one = self.follower
        return {"do": "follow", "id": one.number, "expression": one.expression, "service": one.service}

    def taken_up(self, child: Child) -> None:
        if self.waiting is not None:
            self.waiting.discard(child)
            if not self.waiting:
                self.started.set()

    def refuse(self, error: Refused) -> None:
        """Whoever waits for the start hears of it; later it is the end."""
        if not self.started.is_set():
            self.error = error
            self.started.set()
        self.follower.end(error.detail)


class Followers:
    """`add` is called from other threads, and so is what it gives a follower as `leave`; the rest from the
    supervisor's."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._numbers = itertools.count(1)
        self._new: deque[_Followed] = deque()
        self._gone: deque[int] = deque()
        self._all: dict[int, _Followed] = {}

    def add(self, follower: Follower, timeout: float) -> None:
        """Raises Refused: too many, no worker, an expression that does not fit the policy."""
        followed = _Followed(follower)
        follower.number = next(self._numbers)

        def leave() -> None:
            self._gone.append(follower.number)
            self._wake()

        follower.leave = leave
        self._new.append(followed)
        self._wake()
        if not followed.started.wait(timeout):
            leave()
            raise away(f"the workers have not begun to follow within {timeout:g} s", 504)
        if followed.error is not None:
            raise followed.error

    # --- from the supervisor's thread ---

    def turn(self, children: Collection[Child], now: float) -> None:
        """Tell the workers who has come and who has left."""
        if not (self._new or self._gone or self._all):
            return
        ready = [child for child in children if child.state is State.READY]
        for followed in [one for one in self._all.values() if now >= one.until]:
            followed.follower.end(f"journals can be followed for {LONGEST_FOLLOW:g} s")
            self._gone.append(followed.follower.number)
        while self._new:
            followed = self._new.popleft()
            if len(self._all) >= MOST_FOLLOWERS:
                detail = f"{MOST_FOLLOWERS} others follow already"
                followed.refuse(Refused(503, "busy", detail, ("Retry-After", "10")))
            elif not ready:
                followed.refuse(away("no worker is ready"))
            else:
                self._all[followed.follower.number] = followed
                followed.waiting = set(ready)
                for child in children:
                    if child.state is not State.LEAVING:
                        child.channel.send(followed.order)
        while self._gone:
            number = self._gone.popleft()
            if self._all.pop(number, None) is not None:
                for child in children:
                    child.channel.send({"do": "unfollow", "id": number})

    @property
    def orders(self) -> list[Message]:
        """For a worker that starts: it serves nobody before it follows. What changes meanwhile it is told behind."""
        return [followed.order for followed in self._all.values()]

    def heard(self, child: Child, message: Message) -> None:
        """One of FOLLOWED."""
        if message["did"] == "journal":
            line = message["text"].encode()
            for number in message["to"]:
                if (followed := self._all.get(number)) is not None:
                    followed.follower.journal(line)
            return
        followed = self._all.get(message["id"])
        if followed is None:
            return
        if message["did"] == "missed":
            followed.follower.missed(message["lost"], message["unread"])
        elif message["error"]:
            followed.refuse(Refused(422, "wrong-expression", message["error"]))
            self._gone.append(message["id"])
            self._wake()
        else:
            followed.taken_up(child)

    def lost(self, child: Child) -> None:
        """It will say nothing any more."""
        for followed in self._all.values():
            followed.taken_up(child)

    def end(self, why: str) -> None:
        for number, followed in self._all.items():
            followed.refuse(Refused(409, "draining", why))
            self._gone.append(number)
        self._wake()
