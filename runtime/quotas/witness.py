"""What a gateway does so that a cluster that has forgotten everything still knows what was used.

In the cluster stands a roll: a token that it was begun with, which gateways have put back what they have seen since
then, and what operators have changed. When the roll is missing the cluster has started anew. Then each gateway puts
back every record that it keeps on its own disk, and says so in the roll; and none leases anything before all gateways
that it knows have done so, or WAIT has passed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypedDict

import orjson

from policylang.sdk import Change, Changed, Clock, Space, Unavailable, Waiter, settled
from policylang.sdk.periods import LONGEST, UNITS
from runtime.quotas.leasing import put_back
from runtime.quotas.ledger import Ledger
from runtime.quotas.record import Record, unpack
from runtime.upstream.alone import Alone

WAIT: Final = 15.0
"""Seconds after a cluster's new beginning in which gateways that are known and have not come back are waited for."""
NEW_WAIT: Final = 3.0
"""The same for a gateway that has never known any other."""
SKEW: Final = 2.0
"""Seconds by which the clocks of gateways may differ."""
SAID_AGAIN: Final = 3600.0
"""Seconds after which a gateway says again that it is there."""
KNOWN_FOR: Final = 35 * 86_400.0
"""Seconds for which a gateway is known that does not come back: a month's quota may have a share of it."""
POLL: Final = 0.5
"""Seconds between two looks at the roll."""
NOTICES: Final = 200
"""Changes by operators that the roll holds; a gateway that has missed more of them looks at everything."""
AT_ONCE: Final = 32
"""Records that are put back at a time."""
BREATH: Final = 0.004
"""Seconds between two such times: whoever is served meanwhile comes first."""

_ROLL: Final = b"roll"


class Roll(TypedDict):
    """`birth`: the token; `began`: when, by the wall clock; `spoken`: gateway in hex -> when; `notices`: number, unit
    and name in hex."""

    birth: str
    began: float
    spoken: dict[str, float]
    notices: list[tuple[int, str, str]]


class Remembered(TypedDict):
    """What a machine keeps of it: the birth that it has put everything back for, and the gateways it knows."""

    birth: str
    known: dict[str, float]


class Witness:
    """Keeps `ledger.trusted`. `look` is to be called when the cluster was connected, or its members have changed."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._me = ledger.gateway.hex()
        self._rolls = Space("quotas-roll", "lasting", KNOWN_FOR)
        self._looking = self._wanted = False
        self._birth = ""  # that this process has put everything back for
        self._waits_for = ""  # the birth whose other gateways are waited for
        self._waits_since = 0
        self._noticed = -1
        self.others: list[Callable[[], Coroutine[Waiter[Any], None, None]]] = []
        """Who else puts back what it keeps, before this gateway says that it has."""
        ledger.trusted = False

    def start(self) -> None:
        self._again()

    def _again(self) -> None:
        self.poll()
        self._clock.sleep(POLL).callback = self._again

    def look(self) -> None:
        """Entries may be gone: nothing is leased until it is known that they are not."""
        self._ledger.trusted = False
        self._wanted = True
        self.poll()

    def poll(self) -> None:
        if not self._looking:
            self._looking = True
            Alone(self._run(), self._ended).advance()

    def _ended(self, error: Exception | None) -> None:
        self._looking = False
        if error is not None:
            if not isinstance(error, Unavailable):  # away: at the next poll again
                self._ledger.report(error)
        elif self._wanted:  # the members have changed meanwhile
            self.poll()

    # --- one look ---

    async def _run(self) -> None:
        everything, self._wanted = self._wanted, False
        try:
            roll = await self._roll()
            mine = await self._remembered()
            missed = bool(roll["notices"]) and roll["notices"][0][0] > self._noticed + 1 and self._noticed >= 0
            if roll["birth"] != self._birth or everything or missed:
                if roll["birth"] == mine["birth"] and self._me in roll["spoken"]:
                    self._trust(roll, mine)  # as the cluster goes on, what it has can be leased from meanwhile
                await self._put_back()
                for each in self.others:
                    await each()
                self._birth = roll["birth"]
                self._noticed = max([self._noticed, *(notice[0] for notice in roll["notices"])])
            said = roll["spoken"].get(self._me, 0.0)
            if not 0 <= self._clock.wall() - said < SAID_AGAIN:
                roll = await self._speak()
            self._trust(roll, mine)
            await self._remember(roll, mine)
            for number, unit, name in roll["notices"]:
                if number > self._noticed:
                    self._noticed = number
                    await self._look_at(unit, bytes.fromhex(name))
        except BaseException:
            self._wanted = self._wanted or everything
            raise

    def _trust(self, roll: Roll, mine: Remembered) -> None:
        """Lease, if all who may know of more have said so."""
        if self._wanted or self._me not in roll["spoken"]:
            return
        if mine["birth"] == roll["birth"]:
            self._ledger.trusted = True
            return
        now = self._clock.monotonic()
        if self._waits_for != roll["birth"]:
            self._waits_for, self._waits_since = roll["birth"], now
        others = set(mine["known"]) - {self._me}
        wait = WAIT if others else NEW_WAIT
        spoken = bool(others) and others <= set(roll["spoken"])
        waited = now - self._waits_since >= wait * 1e9 or self._clock.wall() - roll["began"] >= wait + SKEW
        self._ledger.trusted = spoken or waited

    async def _roll(self) -> Roll:
        data = await settled(self._ledger.entries.read(self._rolls, _ROLL))
        if data is None:
            return await self._change_roll(lambda roll: None)
        roll: Roll = orjson.loads(data)
        return roll

    async def _speak(self) -> Roll:
        return await self._change_roll(lambda roll: roll["spoken"].update({self._me: self._clock.wall()}))

    async def _change_roll(self, write: Any) -> Roll:
        birth, began = secrets.token_hex(8), self._clock.wall()

        def change(data: bytes | None) -> Changed:
            roll = Roll(birth=birth, began=began, spoken={}, notices=[])
            if data is not None:
                roll = orjson.loads(data)
            write(roll)
            return Changed(roll, orjson.dumps(roll))

        roll: Roll = await settled(self._ledger.entries.update(self._rolls, _ROLL, change))
        return roll

    async def _remembered(self) -> Remembered:
        data = await settled(self._ledger.machine_entries.read(self._rolls, _ROLL))
        found: Remembered = orjson.loads(data) if data is not None else Remembered(birth="", known={})
        return found

    async def _remember(self, roll: Roll, mine: Remembered) -> None:
        """That everything was put back for this birth, and is whole; and who is there."""
        oldest = self._clock.wall() - KNOWN_FOR
        known = {name: when for name, when in {**mine["known"], **roll["spoken"]}.items() if when > oldest}
        birth = roll["birth"] if self._ledger.trusted else mine["birth"]
        now = Remembered(birth=birth, known=known)
        if now != mine:
            data = orjson.dumps(now)
            await settled(
                self._ledger.machine_entries.update(self._rolls, _ROLL, lambda before: Changed(None, data))
            )

    # --- records ---

    async def _put_back(self) -> None:
        """Let the cluster have everything that this machine has seen, and take up what it has."""
        ledger = self._ledger
        for unit in UNITS:
            after, page = b"", [(b"", b"")]
            oldest = self._clock.wall() - LONGEST[unit]
            while page:
                page = await settled(ledger.machine_entries.scan(ledger.seen[unit], after))
                if page:
                    after = page[-1][0]
                current = [one for one in page if int.from_bytes(one[0][-8:], "big", signed=True) > oldest]
                for start in range(0, len(current), AT_ONCE):
                    part = current[start : start + AT_ONCE]
                    await together([self._put_one_back(unit, name, unpack(data)) for name, data in part])
                    await self._clock.sleep(BREATH)

    async def _put_one_back(self, unit: str, name: bytes, known: Record) -> None:
        ledger = self._ledger
        change: Change = put_back(known)
        record = await settled(ledger.entries.update(ledger.records[unit], name, change, known.pack()))
        await ledger.take_up(unit, name, record, record.limit)
        ledger.forget(unit, name)

    async def _look_at(self, unit: str, name: bytes) -> None:
        """An operator has changed it."""
        ledger = self._ledger
        record = unpack(await settled(ledger.entries.read(ledger.records[unit], name)))
        await ledger.take_up(unit, name, record, record.limit)
        ledger.forget(unit, name)

    async def notify(self, unit: str, name: bytes) -> None:
        """Have all gateways look at this record within a POLL."""

        def write(roll: Roll) -> None:
            number = roll["notices"][-1][0] + 1 if roll["notices"] else 0
            roll["notices"] = [*roll["notices"], (number, unit, name.hex())][-NOTICES:]

        await self._change_roll(write)


async def together(coroutines: list[Coroutine[Waiter[Any], None, None]]) -> None:
    """Run them side by side to their ends. Raises what one of them has raised, once all have ended."""
    left = len(coroutines)
    errors: list[Exception] = []
    done: Waiter[None] = Waiter()

    def ended(error: Exception | None) -> None:
        nonlocal left
        left -= 1
        if error is not None:
            errors.append(error)
        if not left:
            done.fire(None)

    for coroutine in coroutines:
        Alone(coroutine, ended).advance()
    if left:
        await done
    if errors:
        raise errors[0]
