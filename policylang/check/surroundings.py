"""What a policy reads besides itself: files beside it, environment variables, secrets."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from policylang.check.report import Report
from policylang.sdk.outcome import Failed
from policylang.sdk.parse import parse_json
from policylang.source import Span

Loader: TypeAlias = Callable[[str], bytes]
"""Gives a file's bytes; raises OSError."""

CREDENTIALS = "CREDENTIALS_DIRECTORY"


def read_file(path: str) -> bytes:
    return Path(path).read_bytes()


def resolve(path: str, beside: str) -> str:
    """A path as it is written in the file `beside`."""
    if os.path.isabs(path):
        return path
    return posixpath.normpath(posixpath.join(posixpath.dirname(beside), path))


@dataclass(slots=True)
class Given:
    """What a test puts in the place of the surroundings: entries of maps with a file, by the map's name; environment
    variables and secrets by name; texts of files, by the path as the policy writes it.

    `missing`: only what is not there otherwise is given.
    """

    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    missing: bool = False

    @property
    def nothing(self) -> bool:
        return not (self.maps or self.variables or self.secrets or self.files)


class Surroundings:
    """`files`: everything that was read, by path: given back to the loader, it makes the same program elsewhere.

    `asked`: what was asked for besides, as (`env`, `secret` or `file`, its name).
    """

    def __init__(self, load: Loader | None, environ: Mapping[str, str] | None) -> None:
        self._load = load or read_file
        self._environ: Mapping[str, str] = os.environ if environ is None else environ
        self._failed: dict[str, OSError] = {}
        self._parsed: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.given = Given()
        self.asked: set[tuple[str, str]] = set()
        self.secret_files: set[str] = set()

    def read(self, path: str) -> bytes:
        """A file's bytes, read once. Raises OSError."""
        found = self.files.get(path)
        if found is None:
            if path in self._failed:
                raise self._failed[path]
            try:
                found = self.files[path] = self._load(path)
            except OSError as error:
                self._failed[path] = error
                raise
        return found

    def variable(self, name: str) -> str | None:
        self.asked.add(("env", name))
        return self._or_given(self._environ.get(name), self.given.variables.get(name))

    def _or_given(self, found: str | None, given: str | None) -> str | None:
        return found if given is None or (self.given.missing and found is not None) else given

    def given_map(self, name: str, path: str, span: Span) -> dict[str, Any] | None:
        """The entries that stand for those of the map's file; None where the file counts."""
        given = self.given.maps.get(name)
        if given is None or not self.given.missing:
            return given
        try:
            self.read(resolve(path, span.source.name))
        except OSError:
            return given
        return None

    def secret(self, name: str) -> str | None:
        """From the folder that the service manager gives, else from the environment; one line's end is cut off."""
        self.asked.add(("secret", name))
        return self._or_given(self._secret(name), self.given.secrets.get(name))

    def _secret(self, name: str) -> str | None:
        folder = self._environ.get(CREDENTIALS)
        if folder and name and "/" not in name and name not in (".", ".."):
            path = posixpath.join(folder, name)
            try:
                text = self.read(path).decode("utf-8")
            except (OSError, UnicodeDecodeError):
                pass
            else:
                self.secret_files.add(path)
                return text.removesuffix("\n").removesuffix("\r")
        return self._environ.get(name)

    def text(self, report: Report, path: str, span: Span) -> str | None:
        """The text of a file that stands at `span`, which is reported when it cannot be read."""
        data = self.raw(report, path, span)
        return None if data is None else self.decoded(report, data, path, span)

    def decoded(self, report: Report, data: bytes, path: str, span: Span) -> str | None:
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            report.error("unreadable-file", span, f"`{path}` is not UTF-8: byte {error.start} is wrong",
                         help="save it as UTF-8")  # fmt: skip
            return None

    def raw(self, report: Report, path: str, span: Span) -> bytes | None:
        self.asked.add(("file", path))
        given = self.given.files.get(path)
        if given is not None and not self.given.missing:
            return given.encode("utf-8", "surrogatepass")
        where = resolve(path, span.source.name)
        try:
            return self.read(where)
        except FileNotFoundError:
            if given is not None:
                return given.encode("utf-8", "surrogatepass")
            report.error("missing-file", span, f"there is no file `{where}`",
                         help="a path is relative to the file that names it")  # fmt: skip
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            report.error("unreadable-file", span, f"`{where}` cannot be read: {reason}")
        return None

    def json_object(self, report: Report, path: str, span: Span) -> dict[str, Any] | None:
        """The object in a map's file."""
        where = resolve(path, span.source.name)
        if where in self._parsed:
            found: dict[str, Any] | None = self._parsed[where]
            return found
        data = self.raw(report, path, span)
        if data is None:
            return None
        try:
            value = parse_json(data)
        except Failed as failed:
            detail = failed.failure.detail.removeprefix("not JSON: ")
            report.error("bad-map", span, f"`{where}` is not JSON as a map needs it: {detail}",
                         help='write an object: `{ "key": { … }, … }`')  # fmt: skip
            return None
        if not isinstance(value, dict):
            report.error("bad-map", span, f"`{where}` holds no JSON object", help='write `{ "key": { … }, … }`')
            return None
        self._parsed[where] = value
        return value
