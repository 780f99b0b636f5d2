"""The error log: one line of `key=value` on standard error for what an operator must know, defects with their ids."""

from __future__ import annotations

import re
import secrets
import time
import traceback

from runtime.observe.sink import PIPE_BATCH, Sink

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,*<>()\[\]{}|~^!?#&;$-]+")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARK = b"...\n"


class EventLog:
    """`who` names the process in each line: `supervisor` or `worker-1`. It never blocks (see Sink)."""

    def __init__(self, who: str, place: str | int = 2) -> None:
        self._who = who
        self._sink = Sink(place, self._lost_lines)

    def write(self, level: str, text: str, **fields: object) -> None:
        """level: `info`, `warning` or `error`. Written at once."""
        self._sink.write(self._line(level, text, fields))
        self._sink.flush()

    def defect(self, error: BaseException, **fields: object) -> str:
        """Log a mistake of our own with its traceback; gives the id that the answer quotes."""
        number = secrets.token_hex(6)
        trace = "".join(traceback.format_exception(error, limit=-12))
        self.write("error", f"defect: {type(error).__name__}: {error}", id=number, **fields, traceback=trace)
        return number

    def flush(self) -> None:
        self._sink.flush()

    def close(self) -> None:
        self._sink.close()

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


def quoted(text: str) -> str:
    """A value that needs no quotes as it is, any other in double quotes; nothing in it can end the line."""
    if _PLAIN.fullmatch(text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + _CONTROLS.sub(lambda found: f"\\u{ord(found.group()):04x}", text) + '"'
