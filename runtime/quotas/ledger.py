"""Quotas over the entries of a store: units are leased in batches from what is on disk, and spent from what is at hand.

The record of a quota (see `record`) is in the store's lasting entries. A gateway takes a lease by raising its share in
it; its workers spend the lease in the machine's passing entries, one LMDB transaction a request. With a cluster the
machine keeps the whole record that it saw last on its own disk before it spends, and puts back what the cluster has
lost. So at every moment the shares are at least what was spent, and together at most the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from policylang.sdk import UNKNOWN, Changed, Clock, Entries, Space, Unavailable, Waiter, settled
from policylang.sdk.periods import LONGEST, UNITS, Period
from policylang.sdk.quotas import Taken
from runtime.quotas.held import Held, begin, give_back, lay_down, overdraw, spend, take_up
from runtime.quotas.leasing import grow, keep, shrink
from runtime.quotas.record import NOTHING, Record, merged, unpack
from runtime.upstream.alone import Alone

if TYPE_CHECKING:
    from runtime.quotas.witness import Witness

GRACE: Final = {"s": 60, "min": 600, "hour": 3600, "day": 86_400, "month": 7 * 86_400}
"""Seconds for which a period's record is kept after its end."""
BATCH_SHARE: Final = 100
"""A lease is at most one part in so many of the limit, beyond what is asked for at that moment."""
QUICK: Final = 1_000_000_000
"""Nanoseconds: a lease that was spent sooner is followed by one of twice the size, else by one of what is needed."""
ALONE_BATCH: Final = 8
"""What a machine that is alone leases at first; a boot that loses it counts it as spent."""
REFUSED_FOR: Final = 250_000_000
"""Nanoseconds in which the same is refused again without asking a cluster."""
TICK: Final = 0.5
"""Seconds after which what lies idle is given back to a cluster, and what was overdrawn is told to the store."""
TRUST_WAIT: Final = 0.1
"""Seconds that a lease waits to hear that the cluster still has its records, after its members have changed."""
TRUST_LOOKS: Final = 5
ROUNDS: Final = 1000
PATIENCE: Final = 2_000_000_000
"""Leases, and nanoseconds, that one request waits for, others being quicker each time, until the store counts as away.
Near the end leases are small, and whoever asks at that moment takes from them first."""
STATES: Final = 20_000
"""Keys whose leasing is remembered in a process."""


class _Key:
    """What a process remembers of leasing for one key in one period."""

    __slots__ = ("batch", "debt", "laid", "last", "leased_at", "name", "refusal", "running", "unit", "waiting")

    def __init__(self, unit: str, name: bytes) -> None:
        self.unit = unit
        self.name = name
        self.waiting: list[tuple[int, int, Waiter[None]]] = []  # units, limit
        self.running = False
        self.batch = 0
        self.leased_at = -QUICK
        self.refusal: tuple[bytes, int, int, int] | None = None  # the entry then, limit, units, until when
        self.last: bytes | None = None  # the entry at the last tick
        self.laid: Held | None = None  # laid down, and not given back yet
        self.debt: tuple[int, int] | None = None  # units that stand nowhere yet, and their limit


def named(key: bytes, period: Period) -> bytes:
    return key + period.start.to_bytes(8, "big", signed=True)


class Ledger:
    """`policylang.sdk.quotas.Quotas`. `gateway`: 8 bytes that this machine keeps. One for each worker.

    `entries` hold the records, `machine` what this machine has leased; where they are the same, it is alone. `report`
    hears of mistakes of our own.
    """

    def __init__(
        self, entries: Entries, machine: Entries, gateway: bytes, clock: Clock,
        report: Callable[[BaseException], object], family: str = "quotas",
    ) -> None:  # fmt: skip
        self.entries = entries
        self.machine_entries = machine
        self.gateway = gateway
        self.shared = entries is not machine
        self.records = _spaces(family, "lasting")
        self.seen = _spaces(f"{family}-seen", "lasting")
        self.held = _spaces(f"{family}-held", "passing")
        self.trusted = True  # whether the store's records are whole
        self.witness: Witness | None = None  # who finds out
        self._clock = clock
        self.report = report
        self._keys: dict[bytes, _Key] = {}
        self._restless: set[_Key] = set()  # keys with something to give back or to add
        self._machine: Ledger | None = None
        self._update: Callable[..., Any] = machine.update  # of passing entries: at once

    @property
    def machine(self) -> Ledger:
        if self._machine is None:
            entries = self.machine_entries
            self._machine = Ledger(entries, entries, self.gateway, self._clock, self.report, "quotas-here")
        return self._machine

    # --- traffic ---

    def take(
        self, key: bytes, period: Period, limit: int, units: int, overdraw: bool = False
    ) -> Taken | Coroutine[Any, Any, Taken]:
        unit = period.unit
        name = key + period.start.to_bytes(8, "big", signed=True)
        try:
            found = self._update(self.held[unit], name, spend(units, limit))
        except Unavailable:
            if not overdraw:
                raise
            return self._owe(unit, name, limit, units)
        if found.__class__ is tuple:
            return Taken(True, found[0], found[1])
        state = self._state(unit, name)
        if state.refusal is not None and found is not None:
            entry, refused_limit, refused_units, until = state.refusal
            same = entry == found and limit <= refused_limit and units >= refused_units
            if same and (not self.shared or self._clock.monotonic() < until):
                return _refused(Held.of(found), limit)
        return self._wait(state, limit, units, overdraw)

    async def _wait(self, state: _Key, limit: int, units: int, overdraw: bool) -> Taken:
        space = self.held[state.unit]
        until = self._clock.monotonic() + PATIENCE
        for _ in range(ROUNDS):
            if self._clock.monotonic() > until:
                break
            waiter: Waiter[None] = Waiter()
            wish = (units, limit, waiter)
            state.waiting.append(wish)
            if not state.running:
                state.running = True
                self._go(self._lease(state))
            try:
                await waiter
                found = self._update(space, state.name, spend(units, limit))
            except Unavailable:
                if overdraw:
                    return await self._overdraw(state, limit, units)
                raise
            except GeneratorExit:  # who asked has left
                if wish in state.waiting:
                    state.waiting.remove(wish)
                raise
            if found.__class__ is tuple:
                return Taken(True, found[0], found[1])
            held = Held.of(found)
            if units > limit - held.others - held.spent:
                state.refusal = found, limit, units, self._clock.monotonic() + REFUSED_FOR
                return _refused(held, limit)
        raise Unavailable("store", "others were quicker each time")

    def give_back(self, key: bytes, period: Period, units: int, epoch: int) -> None:
        try:
            self._update(self.held[period.unit], named(key, period), give_back(units, epoch))
        except Unavailable:
            pass  # it counts as used

    def left(self, key: bytes, period: Period, limit: int) -> int | Coroutine[Any, Any, int]:
        data = self.machine_entries.read(self.held[period.unit], named(key, period))
        if data.__class__ is bytes and not self.shared:
            held = Held.of(data)
            return max(0, limit - held.others - held.spent)
        return self._left(period.unit, named(key, period), limit)

    async def _left(self, unit: str, name: bytes, limit: int) -> int:
        record, held = await self.look(unit, name)
        return max(0, limit - used(record, held))

    # --- leasing ---

    async def _lease(self, state: _Key) -> None:
        """Until nobody waits any more. One lease at a time for all who ask for the same meanwhile."""
        try:
            while state.waiting:
                asked, state.waiting = state.waiting, []
                try:
                    await self._lease_once(state, [wish[0] for wish in asked], max(wish[1] for wish in asked))
                except Exception as error:
                    for *_, waiter in asked:
                        waiter.fail(error)
                else:
                    for *_, waiter in asked:
                        waiter.fire(None)
        finally:
            state.running = False

    async def _lease_once(self, state: _Key, needs: list[int], limit: int) -> Record:
        unit, name = state.unit, state.name
        held = await self._begun(unit, name)
        known = await self._known(unit, name)
        for _ in range(TRUST_LOOKS):
            if self.trusted:
                break
            await self._clock.sleep(TRUST_WAIT / TRUST_LOOKS)
        now = self._clock.monotonic()
        quick = now - state.leased_at < QUICK
        most = max(1, limit // BATCH_SHARE)
        if quick:
            state.batch = min(max(state.batch, sum(needs)) * 2, most)
        else:
            # Alone, what lies idle is refused to nobody, and a key that is asked for now and then costs fewer syncs.
            state.batch = 0 if self.shared else min(ALONE_BATCH, most)
        state.leased_at = now
        growing = grow(self.gateway, held, known, needs, limit, state.batch)

        def change(data: bytes | None) -> Changed:
            if not self.trusted:  # not even now: the cluster may start anew while this is under way
                raise Unavailable("store", "what was used before it started anew is not known yet")
            return growing(data)

        record: Record = await settled(
            self.entries.update(
                self.records[unit], name, change, UNKNOWN if known is NOTHING else known.pack()
            )
        )  # fmt: skip
        await self.take_up(unit, name, record, limit)
        if self.shared:
            state.last = None
            self._restless.add(state)
        return record

    async def _begun(self, unit: str, name: bytes) -> Held:
        """What this machine holds. After a loss of the passing entries all that it had leased counts as spent."""
        data: bytes | None = await settled(self.machine_entries.read(self.held[unit], name))
        if data is None:
            record = unpack(await settled(self.entries.read(self.records[unit], name)))
            record = merged(record, await self._known(unit, name))
            data = self._update(self.held[unit], name, begin(record, self.gateway))
        return Held.of(data)

    async def _known(self, unit: str, name: bytes) -> Record:
        """What this machine has seen of a cluster's record."""
        if not self.shared:
            return NOTHING
        return unpack(await settled(self.machine_entries.read(self.seen[unit], name)))

    async def take_up(self, unit: str, name: bytes, record: Record, limit: int = 0) -> bytes:
        """Spend by this record of the store from now on. `limit`: what its shares were compared with."""
        if self.shared:
            record = await settled(self.machine_entries.update(self.seen[unit], name, keep(record)))
        data: bytes = self._update(
            self.held[unit], name, take_up(record, self.gateway, limit if self.shared else 0)
        )
        return data

    # --- overdrawing ---

    async def _overdraw(self, state: _Key, limit: int, units: int) -> Taken:
        unit, name = state.unit, state.name
        try:
            if await settled(self.machine_entries.read(self.held[unit], name)) is None:
                # The machine's own share is on its own disk before anything of it is spent.
                spaces = self.seen if self.shared else self.records
                record = unpack(await settled(self.machine_entries.read(spaces[unit], name)))
                self._update(self.held[unit], name, begin(record, self.gateway))
            left, epoch = self._update(self.held[unit], name, overdraw(units, limit))
        except Unavailable:
            return self._owe(unit, name, limit, units)
        state.debt = state.debt or (0, limit)
        self._restless.add(state)
        return Taken(True, max(0, left), epoch, True)

    def _owe(self, unit: str, name: bytes, limit: int, units: int) -> Taken:
        """Not even the machine can note it: this process does."""
        state = self._state(unit, name)
        state.debt = ((state.debt or (0, 0))[0] + units, limit)
        self._restless.add(state)
        return Taken(True, 0, overdrawn=True)

    async def _settle(self, state: _Key) -> None:
        """Add to the share what was overdrawn."""
        assert state.debt is not None
        units, limit = state.debt
        await self._begun(state.unit, state.name)
        self._update(self.held[state.unit], state.name, overdraw(units, limit))
        state.debt = (state.debt[0] - units, limit)
        await self._lease_once(state, [], limit)
        if state.debt[0] == 0:
            state.debt = None

    # --- beside the traffic ---

    def start(self) -> None:
        if self.witness is not None:
            self.witness.start()
        self._again()

    def _again(self) -> None:
        self.tick()
        self._clock.sleep(TICK).callback = self._again

    def tick(self) -> None:
        for ledger in (self, self._machine):
            if ledger is not None and ledger._restless:
                ledger._go(ledger._rest())
        if len(self._keys) > STATES:
            self._keys = {name: state for name, state in self._keys.items() if state.running or state in self._restless}

    async def _rest(self) -> None:
        """Give back to a cluster what nobody has spent for a while; tell what was overdrawn."""
        for state in list(self._restless):
            if state.running:
                continue
            state.running = True
            try:
                if state.debt is not None:
                    await self._settle(state)
                if not self.shared or await self._returned(state):
                    self._restless.discard(state)
            except Unavailable:
                pass  # at the next tick again
            except Exception as error:
                self._restless.discard(state)
                self.report(error)
            await self._lease(state)  # for who has asked meanwhile

    async def _returned(self, state: _Key) -> bool:
        """True when there is nothing left to give back."""
        unit, name = state.unit, state.name
        if state.laid is None:
            data = await settled(self.machine_entries.read(self.held[unit], name))
            if data is None or Held.of(data).free <= 0:
                return True
            if data != state.last:
                state.last = data
                return False
            state.laid = self._update(self.held[unit], name, lay_down)
            if state.laid is None:
                return True
        known = await self._known(unit, name)
        record = await settled(
            self.entries.update(self.records[unit], name, shrink(self.gateway, state.laid, known), known.pack())
        )
        state.laid = None
        await self.take_up(unit, name, record, record.limit)
        return True

    # --- for operators ---

    async def look(self, unit: str, name: bytes) -> tuple[Record, Held | None]:
        """What the store has, and what this machine holds of it."""
        record = unpack(await settled(self.entries.read(self.records[unit], name)))
        record = merged(record, await self._known(unit, name))
        data = await settled(self.machine_entries.read(self.held[unit], name))
        return record, None if data is None else Held.of(data)

    async def change(self, unit: str, name: bytes, change: Callable[[Record], Record]) -> None:
        """Have an operator's word count, here at once and on other gateways within a second."""
        known = await self._known(unit, name)

        def changed(data: bytes | None) -> Changed:
            record = change(merged(unpack(data), known))
            return Changed(record, record.pack())

        record = await settled(self.entries.update(self.records[unit], name, changed))
        await self.take_up(unit, name, record, record.limit)
        self.forget(unit, name)
        if self.witness is not None:
            await self.witness.notify(unit, name)

    def forget(self, unit: str, name: bytes) -> None:
        """The record has changed: ask anew."""
        state = self._keys.get(name + unit.encode())
        if state is not None:
            state.refusal = None

    # --- small things ---

    def _state(self, unit: str, name: bytes) -> _Key:
        name += unit.encode()
        state = self._keys.get(name)
        if state is None:
            state = self._keys[name] = _Key(unit, name[: -len(unit)])
        return state

    def _go(self, coroutine: Coroutine[Waiter[Any], None, None]) -> None:
        """Whoever waits for it may leave; it goes on."""
        Alone(coroutine, self._ended).advance()

    def _ended(self, error: Exception | None) -> None:
        if error is not None:
            self.report(error)


def used(record: Record, held: Held | None) -> int:
    """What is used, as far as this machine knows: what others hold counts as used."""
    if held is None or held.epoch != record.epoch:
        return record.total
    return record.total - max(0, held.free)


def _refused(held: Held, limit: int) -> Taken:
    return Taken(False, max(0, limit - held.others - held.spent), held.epoch)


def _spaces(family: str, kind: Any) -> dict[str, Space]:
    return {unit: Space(f"{family}.{unit}", kind, LONGEST[unit] + GRACE[unit]) for unit in UNITS}
