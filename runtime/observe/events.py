"""The error log: one line of `key=value` on standard error for what an operator must know, defects with their ids."""

from __future__ import annotations

import re
import secrets
import threading
import time
import traceback

from runtime.observe.sink import PIPE_BATCH, Sink

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,*<>()\[\]{}|~^!?#&;$-]+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARK = b"...\n"
STDERR = "stderr"
TRACE_INTERVAL = 60.0
"""Seconds between two tracebacks of one defect."""
MAX_PLACES = 1000
"""Different defects that are told apart."""


class EventLog:
    """`who` names the process in each line: `supervisor` or `worker-1`. It never blocks (see Sink).

    What is said to a reader at a terminal stays on standard error wherever the log goes. `lost`: lines of the log that
    a full disk or a slow reader has cost so far. Any thread may write.
    """

    def __init__(self, who: str, place: str | int = 2) -> None:
        self._who = who
        self._busy = threading.RLock()
        self._sink = self._terminal = Sink(place, self._lost_lines)
        self._lost_elsewhere = 0  # where the log went before
        self._told: dict[object, tuple[float, str]] = {}

    def write(self, level: str, text: str, **fields: object) -> None:
        """level: `info`, `warning` or `error`. Written at once."""
        with self._busy:
            self._sink.write(self._line(level, text, fields))
            self._sink.flush()

    def say(self, text: str) -> None:
        """Lines for a reader at a terminal, as they are."""
        with self._busy:
            for line in text.split("\n"):
                data = line.encode("utf-8", "backslashreplace")
                self._terminal.write(data[: PIPE_BATCH - 1] + b"\n")
            self._terminal.flush()

    def defect(self, error: BaseException, **fields: object) -> str:
        """Log a mistake of our own; gives the id that the answer quotes.

        Its traceback is written when it has not been for TRACE_INTERVAL, else `same_as` names the line that has it: a
        defect that every request meets must not cost more than the requests.
        """
        number = secrets.token_hex(6)
        text = f"defect: {type(error).__name__}: {error}"
        place = _place(error)
        now = time.monotonic()
        told, id = self._told.get(place, (0.0, ""))
        if id and now - told < TRACE_INTERVAL:
            with self._busy:
                self._sink.write(self._line("error", text[:512], {"id": number, **fields, "same_as": id}))
            return number
        if len(self._told) >= MAX_PLACES:
            self._told.clear()
        self._told[place] = now, number
        trace = "".join(traceback.format_exception(error, limit=-12))
        self.write("error", text, id=number, **fields, traceback=trace)
        return number

    @property
    def lost(self) -> int:
        return self._lost_elsewhere + self._sink.lost_ever

    def open(self, place: str) -> Sink | None:
        """For `move`: a file, or STDERR; None where the log goes there already. Raises OSError."""
        if place == STDERR:
            return None if self._sink is self._terminal else self._terminal
        return None if place == self._sink.place else Sink(place, self._lost_lines)

    def abandon(self, sink: Sink | None) -> None:
        """What `open` gave is not wanted."""
        if sink is not None and sink is not self._terminal:
            sink.close()

    def move(self, sink: Sink | None) -> None:
        """From now on the log goes there."""
        if sink is not None:
            with self._busy:
                former, self._sink = self._sink, sink
                former.flush()
                self._lost_elsewhere += former.lost_ever - sink.lost_ever
                self.abandon(former)

    def reopen(self) -> None:
        """Open the log's file anew: it was moved away. Where that cannot be the old one stays, and says so."""
        with self._busy:
            try:
                self._sink.reopen()
            except OSError as error:
                self.write("error", f"cannot open the error log `{self._sink.place}` anew: {error.strerror}")

    def flush(self) -> None:
        with self._busy:
            self._sink.flush()
            if self._terminal is not self._sink:
                self._terminal.flush()

    def close(self) -> None:
        self._sink.close()
        if self._terminal is not self._sink:
            self._terminal.close()

    def _line(self, level: str, text: str, fields: dict[str, object]) -> bytes:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        parts = [f"time={stamp}.{int(now % 1 * 1000):03d}Z level={level} process={self._who} text={quoted(text)}"]
        parts += [f"{name}={quoted(str(value))}" for name, value in fields.items() if value not in ("", None)]
        line = " ".join(parts).encode("utf-8", "backslashreplace") + b"\n"
        if len(line) > PIPE_BATCH:
            line = line[: PIPE_BATCH - len(_MARK)].decode("utf-8", "ignore").encode() + _MARK
        return line

    def _lost_lines(self, count: int) -> bytes:
        return self._line("warning", f"{count} lines of this log were lost: its reader is too slow", {})


def _place(error: BaseException) -> object:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return type(error), None if trace is None else (trace.tb_frame.f_code, trace.tb_lineno)


def quoted(text: str) -> str:
    """A value that needs no quotes as it is, any other in double quotes; nothing in it can end the line."""
    if _PLAIN.fullmatch(text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + '"'
