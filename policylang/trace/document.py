"""The journal of one exchange as plain data: what docs/journal.md describes.

It holds no credential and nothing private, and is bounded whatever the policy and the request are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from policylang.check.program import Program
from policylang.sdk.exchange import Exchange
from policylang.sdk.outcome import Failure, Kind
from policylang.sdk.values import Time
from policylang.source import Span
from policylang.trace.masking import Mask
from policylang.trace.outline import Outline, Part, outline_of
from policylang.trace.plan import MISSING, plan_of
from policylang.trace.recorded import Note, Recorded
from policylang.trace.shown import shown
from policylang.tree.outcome import CANCELLED, RESPONDED, Entry
from policylang.tree.values import PRIVATE

VERSION = 1
MOST_ENTRIES = 1000
"""Entries of one document: of more, those in the middle are left out."""
LONGEST_TEXT = 500
"""Characters of a path, a query, a detail and the like."""


def document(exchange: Exchange, program: Program) -> dict[str, Any]:
    """The journal of an exchange that has ended, or was given up. Lets the exchange go from its journal.

    `exchange.journal` may be a plain list, or None: there are no times and values then.
    """
    outline = outline_of(program)
    mask = Mask(outline.hidden, exchange)
    journal = [] if exchange.journal is None else exchange.journal
    clock = exchange.environment.clock
    elapsed = clock.monotonic() - exchange.started
    found: dict[str, Any] = {
        "version": VERSION,
        "policy": program.hash,
        "service": exchange.service,
        "time": _moment(clock.wall() - elapsed / 1e9),
        "request": _request(exchange, mask),
        "client": {"ip": str(exchange.client.ip), "port": exchange.client.port},
    }
    if exchange.user is not None:
        found["user"] = _cut(mask.text(exchange.user.id))
    if exchange.response is not None:
        found["status"] = exchange.response.status
    found["elapsed"] = elapsed
    if exchange.failure is not None:
        found["failure"] = _failure(exchange.failure, mask)
    cut = max(0, len(journal) - MOST_ENTRIES)
    first = MOST_ENTRIES // 2
    kept = [*range(min(first, len(journal))), *range(min(first, len(journal)) + cut, len(journal))]
    notes: list[Note] = journal.notes if isinstance(journal, Recorded) else []
    begun = journal.begun if isinstance(journal, Recorded) else {}
    entries, parts = [], set()
    for number in kept:
        entry, part = _entry(journal[number], outline)
        if number < len(notes):
            at, now, _ = notes[number]
            before = begun[number] if number in begun else notes[number - 1][1]
            entry |= {"at": at - exchange.started, "took": max(0, now - before)}
            entry |= _values(journal[number], notes[number], exchange, outline, mask)
        entries.append(entry)
        parts.add(part)
    found["parts"] = [_part(part) for part in _parts(outline, exchange, parts)]
    found["entries"] = entries
    if cut:
        found["cut"] = {"after": first, "entries": cut}
    if isinstance(journal, Recorded):
        journal.release()
    return found


def _request(exchange: Exchange, mask: Mask) -> dict[str, Any]:
    request, journal = exchange.request, exchange.journal
    method, path, query_string = request.method, request.path, request.query_string
    if isinstance(journal, Recorded):
        method, path, query_string = journal.came
    found = {"method": method, "path": _cut(mask.path(path)), "host": _cut(mask.text(request.host))}
    query = mask.query(query_string)
    if query is not None:
        found["query"] = _cut(query)
    if request.id:
        found["id"] = _cut(request.id)
    return found


def _failure(failure: Failure, mask: Mask) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": failure.name, "status": failure.status, "kind": failure.kind.value,
        "title": _cut(mask.text(failure.title)),
    }  # fmt: skip
    if failure.detail and failure.kind is not Kind.AWAY:  # that tells of the surroundings, and stays in the log
        found["detail"] = _cut(mask.text(failure.detail))
    if failure.assertion:
        found["assertion"] = failure.assertion
    if failure.span is not None:
        found |= _place(failure.span)
    return found


def _parts(outline: Outline, exchange: Exchange, seen: set[int]) -> Iterator[Part]:
    """What ran, and the service even where nothing of it did."""
    for number, part in enumerate(outline.parts):
        if number in seen or (part.word == "service" and part.name == exchange.service):
            yield part


def _part(part: Part) -> dict[str, Any]:
    found = {"word": part.word, **_place(part.span)}
    return {**found, "name": part.name} if part.name else found


def _place(span: Span) -> dict[str, Any]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}


def _entry(entry: Entry, outline: Outline) -> tuple[dict[str, Any], int]:
    place, outcome = entry
    spot = outline.spot(place.statement)
    found: dict[str, Any] = {"word": place.name, **_place(place.span), "depth": 0 if spot is None else spot.depth}
    if isinstance(outcome, Failure):
        found |= {"outcome": "failed", "name": outcome.name, "status": outcome.status, "kind": outcome.kind.value}
    else:
        found["outcome"] = {RESPONDED: "responded", CANCELLED: "cancelled"}.get(outcome, "passed")
    if spot is not None and spot.body is not None:
        found["body"] = _place(spot.body)
    return found, -1 if spot is None else spot.part


def _values(entry: Entry, note: Note, exchange: Exchange, outline: Outline, mask: Mask) -> dict[str, dict[str, str]]:
    """`reads` and `binds`, where there are any."""
    reads: dict[str, str] = {}
    binds: dict[str, str] = {}
    values = iter(note[2] or ())
    for item in plan_of(entry.place).items:
        text = PRIVATE
        if not item.private:
            value = next(values, MISSING)
            if value is MISSING:
                continue
            if value is None or not (item.credential or item.slot in mask.slots):
                text = shown(value, mask.hides)
        if not item.bound:
            reads[item.name] = text
        elif entry.outcome is None:
            binds[item.name or _name(item.slot, exchange, outline)] = text
    return {name: values for name, values in (("reads", reads), ("binds", binds)) if values}


def _name(slot: int | None, exchange: Exchange, outline: Outline) -> str:
    service = outline.service(exchange.service)
    names = outline.program.global_slots if service is None else service.slot_names
    return names[slot].rpartition(".")[2] if slot is not None and slot < len(names) else "?"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _moment(epoch: float) -> str:
    return str(Time(epoch))
