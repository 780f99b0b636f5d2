"""A policy's way: read and checked once by the supervisor, checked and compiled by each worker from the same bytes."""

from __future__ import annotations

import base64
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from policylang.diagnostics import Diagnostic, Severity
from runtime.workers.control import Message
from runtime.workers.settings import OFF, ListenerSettings, Loaded, PolicyRefused, gateway_settings, packed_listeners
from runtime.workers.watch import Mark, mark

if TYPE_CHECKING:
    from policylang.check.program import Program

Loader = Callable[[str], bytes]


class Reader:
    """Reads policies for the supervisor, again and again; standard input only once.

    `listen`, `workers` and `drain_delay` (seconds) stand over what the policy says, where they are given.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        listen: Sequence[str] = (),
        workers: int | None = None,
        drain_delay: float | None = None,
        color: bool = False,
    ) -> None:
        self._paths = tuple(paths)
        self._listen = tuple(listen)
        self._workers = workers
        self._drain_delay = drain_delay
        self._color = color
        self._stdin: bytes | None = None
        self.marks: dict[str, Mark] = {}
        self._marks: dict[str, Mark] = {}

    def load(self) -> Loaded:
        """Read and check. Raises PolicyRefused. `marks` then has every file that was asked for, as it was before."""
        self._marks = {}
        try:
            return self._load()
        finally:
            self.marks = self._marks

    def _load(self) -> Loaded:
        try:
            program = self._check(self._file)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise PolicyRefused(f"cannot read `{error.filename}`: {reason}", unreadable=True) from None
        settings = gateway_settings(program.gateway)
        if self._listen:
            settings = replace(settings, listen=tuple(map(ListenerSettings, dict.fromkeys(self._listen))))
        if self._workers is not None:
            settings = replace(settings, workers=self._workers)
        if self._drain_delay is not None:
            settings = replace(settings, drain_delay=self._drain_delay)
        loaded = Loaded(self._paths, dict(program.files), program.hash, settings)
        del program
        gc.collect()  # the supervisor lives long and needs nothing of it but the bytes
        return loaded

    def _check(self, load: Loader) -> Program:
        from policylang.check import check_files
        from policylang.check.loading import TESTS

        for path in self._paths:
            if path.endswith(TESTS):
                said = f"`{path}` holds tests: name the policy that it imports, and run them with `pol test {path}`"
                raise PolicyRefused(said)
        checked = check_files(self._paths, load)
        program: Program | None = checked.program
        if program is None:
            raise PolicyRefused(report(checked.diagnostics, self._color))
        return program

    def _file(self, path: str) -> bytes:
        if path == "-":
            if self._stdin is None:
                self._stdin = sys.stdin.buffer.read()
            return self._stdin
        self._marks[path] = mark(path)
        with open(path, "rb") as file:
            return file.read()


def report(diagnostics: Sequence[Diagnostic], color: bool = False) -> str:
    """What the author is shown: errors, as `pol check` shows them."""
    from policylang.diagnostics.text import render

    errors = [found for found in diagnostics if found.severity is Severity.ERROR]
    text: str = render(errors, color=color)
    return text.rstrip("\n")


def pack(loaded: Loaded) -> Message:
    """A policy as it travels to a worker."""
    settings = loaded.settings
    return {
        "paths": list(loaded.paths),
        "files": {name: base64.b64encode(data).decode() for name, data in loaded.files.items()},
        "hash": loaded.hash,
        "access_log": settings.access_log,
        "error_log": settings.error_log,
        "counted": settings.admin != OFF,
        "listeners": packed_listeners(settings),
    }


def unpack(message: Message) -> tuple[list[str], dict[str, bytes]]:
    """The paths and files of a packed policy."""
    return message["paths"], {name: base64.b64decode(data) for name, data in message["files"].items()}


def check_again(paths: Sequence[str], files: Mapping[str, bytes]) -> Any:
    """The program of files that the supervisor has found to be right. Raises PolicyRefused."""
    from policylang.check import check_files

    def load(path: str) -> bytes:
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "not among the files that the supervisor read", path) from None

    checked = check_files(list(paths), load)
    if checked.program is None:
        raise PolicyRefused(report(checked.diagnostics))
    return checked.program
