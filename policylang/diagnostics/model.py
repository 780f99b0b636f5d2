"""Diagnostics as data; each renderer has a file beside this one."""

from __future__ import annotations

from enum import Enum

from policylang.record import record
from policylang.source import Span


class Severity(Enum):
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@record
class Label:
    """A second place that explains the first, with a few words under it."""

    span: Span
    text: str


@record
class Edit:
    span: Span
    replacement: str


@record
class Fix:
    """An edit that cures the finding; `safe` when it cannot change what a right policy means."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool = False


@record
class Diagnostic:
    """`name` is the stable kebab-case code, `message` one line without a full stop, `label` the words
    under the caret (often empty), `help` an action."""

    name: str
    span: Span
    message: str
    severity: Severity = Severity.ERROR
    label: str = ""
    labels: tuple[Label, ...] = ()
    help: str = ""
    fix: Fix | None = None
