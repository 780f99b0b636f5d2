"""Did a rate limit keep its word? Judged from outside, by what a client saw.

A decision falls somewhere between a request's sending and its answer. So what a client counts by its own clock may
exceed a limit that was kept; only requests that lie wholly inside a window, from sending to answer, are certain to
have been decided in it. These are `certain`, and one too many of them is a broken promise. `seen` counts answers by
their arrival and is what a person would look at.
"""

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from load import Answer

SECOND = 1_000_000_000
ITEM = re.compile(r'"([^"]*)"((?:;[a-z]+=[^;,]+)*)$')


@dataclass(frozen=True)
class Promise:
    """At most `limit` a second; with `burst` (s) at most limit * (t + burst) in any t."""

    limit: int
    burst: float = 0.0

    def most(self, seconds: float) -> int:
        return int(self.limit * (seconds + self.burst) + 1e-9)


@dataclass
class Judgement:
    """One key's run. `under` is the share of what was promised that was not granted (below 0: more was)."""

    offered: int
    admitted: int
    refused: int
    promised: int
    under: float
    seen: int
    certain: int
    drained: int
    seconds: list[int]
    faults: list[str] = field(default_factory=list)


def wholly_within(requests: Sequence[Answer], length: int, starts: Sequence[int]) -> list[int]:
    """For each start, how many requests were sent and answered inside [start, start + length) (ns)."""
    sent = sorted(request.sent for request in requests)
    done = sorted(request.done for request in requests)
    # Those sent before a window and answered after it were subtracted without having been counted.
    slow = [request for request in requests if request.done - request.sent >= length]
    return [
        bisect.bisect_left(done, start + length)
        - bisect.bisect_left(sent, start)
        + sum(request.sent < start and request.done >= start + length for request in slow)
        for start in starts
    ]


def densest(times: Sequence[int], length: int) -> int:
    """The most of these times (ns) in any window of `length`."""
    times = sorted(times)
    return max((bisect.bisect_left(times, at + length) - index for index, at in enumerate(times)), default=0)


def judge(answers: Sequence[Answer], promise: Promise, length: float, tolerance: float = 0.02) -> Judgement:
    """Compare one key's answers with its promise; `length` is the run's, s, `tolerance` the share it may be under."""
    admitted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    promised = min(len(answers), promise.most(length))
    starts = [answer.sent for answer in admitted]
    verdict = Judgement(
        offered=len(answers),
        admitted=len(admitted),
        refused=len(refused),
        promised=promised,
        under=1 - len(admitted) / promised,
        seen=densest([answer.done for answer in admitted], SECOND),
        certain=max(wholly_within(admitted, SECOND, starts), default=0),
        drained=0,
        seconds=[
            sum(SECOND * second <= answer.done < SECOND * (second + 1) for answer in admitted)
            for second in range(int(length) + 1)
        ],
    )
    for seconds in (1, 2, 5):
        most = max(wholly_within(admitted, seconds * SECOND, starts), default=0)
        if most > promise.most(seconds):
            verdict.faults.append(f"{most} admitted within {seconds} s, {promise.most(seconds)} promised")
    if promise.burst:
        _judge_drained(admitted, refused, promise, verdict)
    if verdict.under > tolerance:
        verdict.faults.append(f"{len(admitted)} admitted of {promised} promised: {verdict.under:.1%} under")
    if other := sorted({answer.status for answer in answers} - {200, 429}):
        count = len(answers) - len(admitted) - len(refused)
        verdict.faults.append(f"{count} answers of status {', '.join(map(str, other))} (0 is none)")
    wrong = [words for answer in answers if answer.status in (200, 429) for words in wrong_fields(answer, promise)]
    for words in sorted(set(wrong)):
        verdict.faults.append(f"{words} ({wrong.count(words)} times)")
    return verdict


def _judge_drained(
    admitted: Sequence[Answer], refused: Sequence[Answer], promise: Promise, verdict: Judgement
) -> None:
    """A refusal shows an empty bucket: in the second after it less than one token and a second's refill can pass."""
    counts = wholly_within(admitted, SECOND, [answer.done for answer in refused])
    verdict.drained = max(counts, default=0)
    for answer, count in zip(refused, counts, strict=True):
        # The refill runs since the decision, which the refusal's own latency may lie before the window.
        most = int(promise.limit * (1 + (answer.done - answer.sent) / SECOND)) + 1
        if count > most:
            verdict.faults.append(f"{count} admitted in the second after a refusal, {most} promised")
            return


def _items(text: str) -> dict[str, dict[str, str]]:
    """A list of named items of RateLimit or RateLimit-Policy: name to parameters; empty where it cannot be read."""
    found = {}
    for item in text.split(","):
        match = ITEM.match(item.strip())
        if not match:
            return {}
        found[match[1]] = dict(pair.split("=", 1) for pair in match[2].split(";")[1:])
    return found


def wrong_fields(answer: Answer, promise: Promise) -> list[str]:
    """What is wrong with Retry-After, RateLimit-Policy and RateLimit of a 429, or with the latter two of a 200.

    draft-ietf-httpapi-ratelimit-headers: q and w are the policy's quota and window, r and t what remains and the
    seconds until more does.
    """
    wrong = []
    refused = answer.status == 429
    if refused and answer.retry_after != "1":
        # A limit a second frees at least one place within a second of any refusal, and Retry-After is at least 1.
        wrong.append(f"Retry-After is `{answer.retry_after}`, not 1")
    if not refused and not answer.policy and not answer.limit:
        return wrong
    policies, limits = _items(answer.policy), _items(answer.limit)
    quotas = {name: (_number(of, "q"), _number(of, "w", 1)) for name, of in policies.items()}
    if not any(quota == promise.limit * window > 0 for quota, window in quotas.values()):
        wrong.append(f"RateLimit-Policy is `{answer.policy}`, not {promise.limit} a second")
    if not limits or limits.keys() - policies.keys():
        wrong.append(f"RateLimit `{_without_numbers(answer.limit)}` names no policy of RateLimit-Policy")
        return wrong
    remaining = {name: _number(of, "r") for name, of in limits.items()}
    capacity = promise.limit * max(1.0, promise.burst)
    if not all(0 <= left <= capacity for left in remaining.values()):
        wrong.append("r of RateLimit is not between 0 and the limit")
    if refused and 0 not in remaining.values():
        wrong.append("no r of RateLimit is 0")
    if not all(0 <= _number(of, "t", 1) <= max(1.0, promise.burst) for of in limits.values()):
        wrong.append("t of RateLimit is not within the window")
    return wrong


def _number(of: dict[str, str], name: str, absent: int = -1) -> int:
    text = of.get(name)
    if text is None:
        return absent
    return int(text) if text.isdigit() else -1


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "N", text)
