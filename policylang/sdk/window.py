"""The arithmetic of rate limits: pure functions from one key's state, as bytes, to a decision and the next state.

A window keeps runs: how many passed, and when the last of them did. The newest run and the sums stand in the head;
the closed ones follow, oldest first, so that a decision reads the head, the runs that have ended and nothing else.
Until 80 units live each is a run of its own. Then the state is merged: admissions in one cell of a grid of T/82 are
one run, which ends T after its last. Whatever is rounded is rounded against the caller: never over the limit.

A bucket keeps the time at which it will be full again, as whole nanoseconds and a fraction in units of 1/limit.

All times are nanoseconds of one monotonic clock, as integers; one that reads less than before counts as standing still.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

EXACT_UNITS = 80
"""How many units a window keeps apart before it merges neighbours: up to this limit it is exact."""

CELLS = 82
"""Into how many cells a merged window is cut."""

MAX_LIMIT = 2**31 - 1
"""The highest limit of a window or bucket."""

MAX_STATE = 33 + 4 * (CELLS + 1)
"""The longest state, in bytes: a window with its times rounded up touches CELLS + 2 cells, of which one is the head."""

LAYOUT = 1
"""The number of the layout of states; a store must not mix two."""

State = bytes | bytearray | memoryview

_EXACT, _MERGED, _BUCKET = 0, 1, 2

# A window: when its newest run ends, T, when its oldest run ends, units in all runs, units in the newest, kind.
# A bucket: when it is full again, T, the same rounded down, the fraction above that, of which (the limit), kind.
_HEAD = Struct("<QQQIIB")
_EXPIRY = Struct("<Q")
# A closed unit of an exact window: its time (in the window's fine unit, modulo 2^32).
# A closed run of a merged one: its last time (coarse unit) modulo 2^13, and above these bits its count as a float.
_RUN = Struct("<I")
_HEAD_SIZE, _RUN_SIZE = _HEAD.size, _RUN.size
_FINE_MASK = 0xFFFFFFFF
_COARSE_BITS = 13
_COARSE_MASK = (1 << _COARSE_BITS) - 1
_MANTISSA_BITS = 14
_MANTISSA_MASK = (1 << _MANTISSA_BITS) - 1

_unpack_head, _pack_head = _HEAD.unpack_from, _HEAD.pack
_unpack_run, _pack_run = _RUN.unpack_from, _RUN.pack


class Decision(NamedTuple):
    """What a limit says of one request.

    remaining: how many units could pass now; reset: seconds until the whole limit is free again; retry_after: seconds
    until the same cost could pass if nothing else did, 0.0 when admitted (the whole window or burst for a cost that
    never can).
    """

    admitted: bool
    remaining: int
    reset: float
    retry_after: float


_new = tuple.__new__  # the constructor that NamedTuple generates costs twice as much


def admit_window(
    state: State | None, limit: int, window: int, now: int, cost: int = 1
) -> tuple[Decision, bytes | None]:
    """Admit `cost` units, or none, where at most `limit` may pass in any time of length `window` (ns).

    The second value is the state to keep; None means that nothing changed. A state made under another limit or window,
    or by `admit_bucket`, is taken over: what it counted stays counted.
    Raises ValueError for a cost below 1, a window below 1 or a limit above MAX_LIMIT.
    """
    if cost < 1 or limit > MAX_LIMIT or window < 1:
        raise _out_of_range(limit, window, cost)
    if state is None:
        return _first(limit, window, now, cost)
    expiry, span, oldest_end, total, count, kind = _unpack_head(state)
    if span != window or kind == _BUCKET:
        return _admit_changed(state, limit, window, now, cost)
    newest = expiry - window
    if now < newest:
        now = newest
    elif now >= expiry:
        return _first(limit, window, now, cost)
    begin, end, top, grain = _HEAD_SIZE, len(state), -1, None
    if now >= oldest_end:
        grain = _grain(window)
        unit = grain[kind]
        top = newest if unit == 1 else -(-newest // unit)
        begin, total, oldest_end = _drop(state, now, total, kind, unit, top, window)
        if begin == end:
            oldest_end = expiry
    after = total + cost
    if after > limit:
        if after - limit > 1:
            wait = _wait(state, begin, after - limit, cost > limit, now)
        else:
            # Rounded up, the oldest run may seem to outlive the newest, which is exact.
            wait = (oldest_end if oldest_end < expiry else expiry) - now
        refusal = _new(Decision, (False, limit - total if total < limit else 0, (expiry - now) / 1e9, wait / 1e9))
        if begin == _HEAD_SIZE:
            return refusal, None
        # What has ended is dropped for good, or every refusal would walk over it again.
        return refusal, _pack_head(expiry, window, oldest_end, total, count, kind) + state[begin:]

    decision = _new(Decision, (True, limit - after, window / 1e9, 0.0))
    if kind == _EXACT:
        if after > EXACT_UNITS:
            return admit_window(_encode(_live(state, window, now), window, _MERGED), limit, window, now, cost)
        if begin == end or top < 0:
            unit = _grain(window)[0]
            top = newest if unit == 1 else -(-newest // unit)
            if begin == end:
                oldest_end = top * unit + window
        closed = _pack_run(top & _FINE_MASK)
        return decision, (
            _pack_head(now + window, window, oldest_end, after, cost, kind)
            + state[begin:]
            + (closed if count == 1 else closed * count)
        )
    if limit <= EXACT_UNITS:
        # The limit was lowered; what still lives now fits an exact window, which the promise asks for.
        return admit_window(_encode(_live(state, window, now), window, _EXACT), limit, window, now, cost)
    _, unit, cell = grain or _grain(window)
    if now // cell == newest // cell:
        if begin == end:
            oldest_end = now + window
        return decision, _pack_head(now + window, window, oldest_end, after, count + cost, kind) + state[begin:]
    if top < 0:
        top = -(-newest // unit)
    if begin == end:
        oldest_end = top * unit + window
    if count > _MANTISSA_MASK:
        after -= count
        count = _to_float(count)
        after += _from_float(count)
    return decision, (
        _pack_head(now + window, window, oldest_end, after, cost, kind)
        + state[begin:]
        + _pack_run(top & _COARSE_MASK | count << _COARSE_BITS)
    )


def admit_bucket(
    state: State | None, limit: int, window: int, burst: int, now: int, cost: int = 1
) -> tuple[Decision, bytes | None]:
    """Admit `cost` units, or none, from a bucket of `limit * burst / window` refilled evenly at `limit` per `window`.

    So that in any time t at most `limit * (t + burst) / window` pass. Times in ns; `burst` is meant to be at least
    `window / limit`, since a bucket of less than one unit lets nothing pass. Returns and raises as `admit_window`;
    of a bucket under another limit the same part stays used up.
    """
    if cost < 1 or limit > MAX_LIMIT or window < 1:
        raise _out_of_range(limit, window, cost)
    if limit < 1:
        return _new(Decision, (False, 0, burst / 1e9, burst / 1e9)), None
    # All amounts are in units times window, that is in nanoseconds times limit: whole numbers, nothing is rounded.
    capacity = burst * limit
    used = 0
    if state is not None:
        expiry, _, full_at, fraction, units, kind = _unpack_head(state)
        if kind != _BUCKET:
            used = min(sum(count for _, count in _live(state, window, now)) * window, capacity)
        elif expiry > now:
            used = (full_at - now) * units + fraction
            if units != limit:
                used = -(-used * limit // units)
    after = used + cost * window
    if after > capacity:
        wait = (after - capacity) / limit if cost * window <= capacity else burst
        remaining = (capacity - used) // window if used < capacity else 0
        return _new(Decision, (False, remaining, used / limit / 1e9, wait / 1e9)), None
    full_at, fraction = divmod(after, limit)
    full_at += now
    return (
        _new(Decision, (True, (capacity - after) // window, after / limit / 1e9, 0.0)),
        _pack_head(full_at + (fraction > 0), window, full_at, fraction, limit, _BUCKET),
    )


def standing(state: State | None, limit: int, window: int, burst: int, now: int, cost: int = 1) -> Decision:
    """How a key stands: `admitted` tells whether `cost` would pass; `remaining` and `reset` are as nothing is taken."""
    # What can never pass is refused, and a refusal tells what is left.
    beyond = (limit * burst // window if burst else limit) + 1
    left = _judge(state, limit, window, burst, now, max(beyond, 1))
    if cost <= left.remaining:
        return Decision(True, left.remaining, left.reset, 0.0)
    return _judge(state, limit, window, burst, now, cost)


def _judge(state: State | None, limit: int, window: int, burst: int, now: int, cost: int) -> Decision:
    if burst:
        return admit_bucket(state, limit, window, burst, now, cost)[0]
    return admit_window(state, limit, window, now, cost)[0]


def expires_at(state: State) -> int:
    """When a state ceases to say anything that no state would not say: a store may delete it from then on (ns)."""
    at: int = _EXPIRY.unpack_from(state)[0]
    return at


def _out_of_range(limit: int, window: int, cost: int) -> ValueError:
    return ValueError(f"cost {cost} and window {window} ns must be at least 1, limit {limit} at most {MAX_LIMIT}")


def _first(limit: int, window: int, now: int, cost: int) -> tuple[Decision, bytes | None]:
    """Decide for a key of which nothing lives."""
    if cost > limit:
        return _new(Decision, (False, max(limit, 0), 0.0, window / 1e9)), None
    end = now + window
    return _new(Decision, (True, limit - cost, window / 1e9, 0.0)), _pack_head(end, window, end, cost, cost, _EXACT)


@lru_cache(maxsize=1024)
def _grain(window: int) -> tuple[int, int, int]:
    """The unit of times in exact runs, that in merged ones, and the width of a cell (ns).

    Units are 1, 2 or 5 times a power of ten, so that times as people give them are not rounded at all. A live window
    must span less than the modulus less one, since both its ends are rounded up.
    """
    units = []
    for mask in (_FINE_MASK, _COARSE_MASK):
        unit = power = 1
        while window // unit >= mask:
            unit = {1: 2, 2: 5, 5: 10}[unit // power] * power
            if unit == 10 * power:
                power = unit
        units.append(unit)
    return units[0], units[1], -(-window // CELLS)


def _to_float(count: int) -> int:
    """A count in 19 bits, 14 of them significant, rounded up: exact below 16,384, by 1/8,192 at most above."""
    exponent = max(0, count.bit_length() - _MANTISSA_BITS)
    mantissa = -(-count >> exponent)
    if mantissa > _MANTISSA_MASK:
        exponent, mantissa = exponent + 1, mantissa >> 1
    return exponent << _MANTISSA_BITS | mantissa


def _from_float(number: int) -> int:
    return (number & _MANTISSA_MASK) << (number >> _MANTISSA_BITS)


def _drop(
    state: State, now: int, total: int, kind: int, unit: int, top: int, window: int
) -> tuple[int, int, int]:
    """Leave out the closed runs that have ended: where the others begin, the sum of all left, when the next one ends.

    The newest run (whose time in units is `top`) lives and the oldest has ended; the end is 0 when no closed one lives.
    """
    begin, end, mask = _HEAD_SIZE, len(state), _COARSE_MASK if kind else _FINE_MASK
    (run,) = _unpack_run(state, begin)
    while True:
        count = run >> _COARSE_BITS if kind else 1
        total -= count if count <= _MANTISSA_MASK else _from_float(count)
        begin += _RUN_SIZE
        if begin == end:
            return begin, total, 0
        (run,) = _unpack_run(state, begin)
        ended = (top - (top - run & mask)) * unit + window
        if ended > now:
            return begin, total, ended


def _wait(state: State, begin: int, excess: int, never: bool, now: int) -> int:
    """How long until `excess` units have ended (ns); the whole window for what never can pass."""
    expiry, window, _, _, _, _ = _unpack_head(state)
    if never:
        return int(window)
    for last, count in _closed(state, begin):
        excess -= count
        if excess <= 0:
            return last + int(window) - now
    return int(expiry) - now


def _closed(state: State, begin: int) -> list[tuple[int, int]]:
    """The closed runs from an offset on, each as last time and count."""
    expiry, window, _, _, _, kind = _unpack_head(state)
    newest = expiry - window
    unit = _grain(window)[kind]
    top = -(-newest // unit)
    mask = _COARSE_MASK if kind else _FINE_MASK
    # Rounded up, a time may pass the newest run's, which is exact.
    return [
        (min((top - (top - run & mask)) * unit, newest), _from_float(run >> _COARSE_BITS) if kind else 1)
        for (run,) in _RUN.iter_unpack(state[begin:])
    ]


def _live(state: State, window: int, now: int) -> list[tuple[int, int]]:
    """All runs that live under a window which may not be the state's own; what a bucket has used up is one of now."""
    expiry, span, full_at, total, count, kind = _unpack_head(state)
    if kind == _BUCKET:
        used, limit = (full_at - now) * count + total, count
        return [(now, min(-(-used // span), MAX_LIMIT))] if expiry > now and limit else []
    runs = [*_closed(state, _HEAD_SIZE), (expiry - span, count)]
    return [(last, count) for last, count in runs if last + window > now]


def _encode(runs: list[tuple[int, int]], window: int, kind: int) -> bytes:
    """The state of some runs, of which there is at least one, oldest first."""
    fine, coarse, cell = _grain(window)
    if kind == _MERGED:
        merged = [runs[0]]
        for last, count in runs[1:]:
            if last // cell == merged[-1][0] // cell:
                merged[-1] = (last, merged[-1][1] + count)
            else:
                merged.append((last, count))
        runs = merged
    *closed, (newest, count) = runs
    total, oldest_end, tail = count, newest + window, []
    for last, number in reversed(closed):
        unit = coarse if kind else fine
        tick = -(-last // unit)
        oldest_end = tick * unit + window
        if kind == _EXACT:
            tail.append(_pack_run(tick & _FINE_MASK) * number)
            total += number
        else:
            packed = _to_float(number)
            tail.append(_pack_run(tick & _COARSE_MASK | packed << _COARSE_BITS))
            total += _from_float(packed)
    return _pack_head(newest + window, window, oldest_end, total, count, kind) + b"".join(reversed(tail))


def _admit_changed(
    state: State, limit: int, window: int, now: int, cost: int
) -> tuple[Decision, bytes | None]:
    """Decide under a window that is not the state's, and make the state one of this window even when refusing."""
    runs = _live(state, window, now)
    if not runs:
        return _first(limit, window, now, cost)
    exact = sum(count for _, count in runs) <= EXACT_UNITS
    taken_over = _encode(runs, window, _EXACT if exact else _MERGED)
    decision, after = admit_window(taken_over, limit, window, now, cost)
    return decision, after or taken_over
