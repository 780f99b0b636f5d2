"""Generated arrivals at the holders of a cluster, judged by an exact counter in true time."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from lease_world import DEADLINE, MS, HolderWorld, Network, S, World

from policylang.sdk import Unavailable
from policylang.sdk.store import Decision, Limit


@dataclass(frozen=True)
class Scene:
    """`offered`: arrivals, of the limit. `quiet`: how often a pause of up to three windows comes, of one. `costs`: what
    a request may cost. `leaves`: how many clients leave while they wait, of one. `beside`: limits that have to pass as
    well. `local`: what the store does not decide, a holder does alone. `faults`: after how many windows what happens.
    """

    limit: int
    holders: int = 4
    window: int = S
    burst: int = 0
    offered: float = 1.5
    delay: int = 0
    lost: float = 0.0
    late: float = 0.0
    skew: float = 0.0
    quiet: float = 0.001
    costs: tuple[int, ...] = (1,)
    leaves: float = 0.0
    beside: tuple[Limit, ...] = ()
    local: bool = False
    faults: tuple[tuple[float, Callable[[Run], None]], ...] = ()

    @property
    def limits(self) -> tuple[Limit, ...]:
        return (Limit(self.limit, self.window, self.burst), *self.beside)


class ExactWindow:
    """What may pass, and what has passed: never more than the limit in any window."""

    def __init__(self, limit: Limit) -> None:
        self.limit, self.window = limit.most, limit.window
        self.log: deque[tuple[int, int]] = deque()
        self.sum = 0

    def fits(self, now: int, cost: int) -> bool:
        while self.log and self.log[0][0] + self.window <= now:
            self.sum -= self.log.popleft()[1]
        return self.sum + cost <= self.limit

    def take(self, now: int, cost: int) -> None:
        self.log.append((now, cost))
        self.sum += cost

    @property
    def over(self) -> float:
        """By how much of the limit more has passed than may."""
        return self.sum / self.limit - 1


class ExactBucket:
    """The same for a bucket; amounts are units times the window."""

    def __init__(self, limit: Limit) -> None:
        self.limit, self.window, self.capacity = limit.most, limit.window, limit.most * limit.burst
        self.used = self.at = 0

    def fits(self, now: int, cost: int) -> bool:
        self.used = max(0, self.used - self.limit * (now - self.at))
        self.at = now
        return self.used + cost * self.window <= self.capacity

    def take(self, now: int, cost: int) -> None:
        self.used += cost * self.window

    @property
    def over(self) -> float:
        return self.used / self.capacity - 1


class Exact:
    """Several limits, of which all have to let a request pass."""

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.each = [ExactBucket(limit) if limit.burst else ExactWindow(limit) for limit in limits]

    def fits(self, now: int, cost: int) -> bool:
        each = [one.fits(now, cost) for one in self.each]  # all of them hear of the time
        return all(each)

    def take(self, now: int, cost: int) -> None:
        for one in self.each:
            one.take(now, cost)

    @property
    def over(self) -> float:
        return max(one.over for one in self.each)


@dataclass
class Run:
    """`due`: what an exact limiter would have let pass, `passed`: what did. `differ`: decisions that an exact limiter
    would have made otherwise. `over`: the most that was above the limit at any time, of the limit. `slowest`: ns."""

    scene: Scene
    seed: int = 1
    asked: int = 0
    due: int = 0
    passed: int = 0
    differ: int = 0
    refused: int = 0
    away: int = 0
    over: float = 0.0
    slowest: int = 0
    alone: int = 0
    hung: int = 0

    def __post_init__(self) -> None:
        scene = self.scene
        self.world = World(self.seed)
        self.network = Network(self.world, scene.delay, scene.lost, scene.late)
        draw = self.world.random
        self.holders = [
            HolderWorld(self.world, self.network, number, scene.holders, (draw.random() - 0.5) * scene.skew)
            for number in range(scene.holders)
        ]
        self.living = list(self.holders)
        self.wished, self.real = Exact(scene.limits), Exact(scene.limits)
        self.wished.fits(self.world.now, 1)

    def go(self, arrivals: int) -> Run:
        """Everything that `arrivals` requests bring about."""
        scene, world = self.scene, self.world
        for holder in self.holders:
            holder.rates.start()
        world.run(world.now + 100 * MS)
        start = world.now
        for after, do in scene.faults:
            world.at(start + round(after * scene.window), lambda do=do: do(self))  # type: ignore[misc]
        gap = scene.window / (scene.limit * scene.offered) * (sum(scene.costs) / len(scene.costs))
        self._left = arrivals
        self._gap = gap
        self._next()
        while self._left:
            world.run(world.now + S)
        world.run(world.now + S)
        return self

    def _next(self) -> None:
        draw = self.world.random
        wait = draw.expovariate(1 / self._gap)
        if draw.random() < self.scene.quiet:
            wait = draw.random() * 3 * self.scene.window
        self.world.at(self.world.now + max(1, int(wait)), self._arrive)

    def _arrive(self) -> None:
        world, scene = self.world, self.scene
        holder = world.random.choice(self.living)
        cost = world.random.choice(scene.costs)
        began = world.now
        self.asked += 1
        self.hung += 1
        wished = self.wished.fits(began, cost)
        if wished:
            self.wished.take(began, cost)
            self.due += cost

        def told(answer: Any, error: BaseException | None) -> None:
            self.hung -= 1
            self.slowest = max(self.slowest, world.now - began)
            if error is not None:
                self.away += 1
                if not scene.local:
                    return
                answer = holder.rates.alone.admit_all(b"key", scene.limits, holder.clock.monotonic(), cost)
            decisions = [answer] if isinstance(answer, Decision) else list(answer)
            passes = all(one.admitted for one in decisions)
            self.alone += passes and error is not None
            for one, limit in zip(decisions, scene.limits, strict=True):
                assert one.remaining >= 0 and one.retry_after >= 0
                assert one.admitted or 0 < one.retry_after <= max(limit.window, limit.burst) / 1e9 + 1
            if passes:
                self.passed += cost
                self.real.fits(world.now, 0)
                self.real.take(world.now, cost)
                self.over = max(self.over, self.real.over)
            else:
                self.refused += 1
            self.differ += passes != wished

        now = holder.clock.monotonic()
        answer: Any
        if scene.beside:
            answer = holder.rates.admit_all(b"key", scene.limits, now, cost)
        else:
            answer = holder.rates.admit(b"key", scene.limit, scene.window, scene.burst, now, cost)
        if scene.leaves and isinstance(answer, Coroutine) and world.random.random() < scene.leaves:
            # It has begun to wait, and then its client leaves.
            with contextlib.suppress(Unavailable):
                answer.send(None)
            answer.close()
            self.hung -= 1
        else:
            holder.drive(answer, told)
        self._left -= 1
        if self._left:
            self._next()

    # --- what may happen ---

    def kill(self) -> None:
        """A holder dies, with all that it has leased."""
        dead = self.world.random.choice(self.living)
        self.living.remove(dead)
        dead.clock.dead = True

    def freeze(self, seconds: float) -> None:
        """A holder's process is stopped, and goes on later."""
        frozen = self.world.random.choice(self.living)
        self.living.remove(frozen)
        frozen.clock.frozen = self.world.now + round(seconds * S)
        self.world.at(frozen.clock.frozen + 1, lambda: self.living.append(frozen))

    def set_down(self, down: bool) -> None:
        self.network.down = down

    @property
    def ratio(self) -> float:
        return self.passed / self.due


__all__ = ["DEADLINE", "Limit", "Run", "Scene"]
