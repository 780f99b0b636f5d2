"""The admin listener's place in the supervisor: one at a time, and a reload may put another there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from runtime.workers.operation import CannotOperate, Operation
from runtime.workers.settings import GatewaySettings

ANSWERED = 1.0
"""Seconds in which the last answers of one that goes are written: whoever ordered the reload hears of it there."""


class Admin(Protocol):
    """The admin listener."""

    def close(self) -> None: ...


OpenAdmin = Callable[[GatewaySettings, Operation], Admin | None]
"""Opens the admin listener that the settings ask for; raises CannotOperate."""


class Seat:
    """`due`: when `change` is to be called again."""

    def __init__(self, open_admin: OpenAdmin | None, operation: Operation) -> None:
        self._open = open_admin or (lambda settings, operation: None)
        self._operation = operation
        self._admin: Admin | None = None
        self._next: Admin | None = None
        self.due: float | None = None

    def open(self, settings: GatewaySettings) -> Admin | None:
        """One that nobody has been given the place for yet. Raises CannotOperate."""
        return self._open(settings, self._operation)

    def fill(self, settings: GatewaySettings) -> None:
        """Raises CannotOperate."""
        self._admin = self.open(settings)

    def give(self, opened: Admin | None) -> None:
        """The policy wants another one: `opened` already, unless it is at the old one's address."""
        self._next = opened
        self.due = time.monotonic() + ANSWERED

    def change(self, now: float, settings: GatewaySettings, complain: Callable[[str], None]) -> None:
        """Let the next one take the place when it is time."""
        if self.due is None or now < self.due:
            return
        self.due = None
        if self._admin is not None:
            self._admin.close()
        self._admin, self._next = self._next, None
        if self._admin is None:
            try:
                self.fill(settings)
            except CannotOperate as error:
                complain(str(error))

    def close(self) -> None:
        for admin in (self._admin, self._next):
            if admin is not None:
                admin.close()
