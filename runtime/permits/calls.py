"""Asking a store from where nobody can wait."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import CoroutineType
from typing import Any, TypeAlias

from policylang.sdk import Unavailable, Waiter

Told: TypeAlias = Callable[[Any, BaseException | None], None]
"""Gets what was answered, or what was raised."""


def ask(call: Callable[[], Any], then: Told, report: Callable[[BaseException], None]) -> None:
    """Call `then` once with what a store gives: at once where it does. `report` hears of what is a mistake of ours."""
    try:
        value = call()
    except Exception as error:
        _failed(error, then, report)
        return
    if isinstance(value, CoroutineType):
        _Asked(value, then, report).advance()
    else:
        _tell(value, None, then, report)


def _failed(error: Exception, then: Told, report: Callable[[BaseException], None]) -> None:
    if not isinstance(error, Unavailable):
        report(error)
    _tell(None, error, then, report)


def _tell(value: Any, error: BaseException | None, then: Told, report: Callable[[BaseException], None]) -> None:
    """A mistake in what follows must not meet whoever has brought the answer."""
    try:
        then(value, error)
    except Exception as mistake:
        report(mistake)


class _Asked:
    __slots__ = ("_coroutine", "_report", "_then")

    def __init__(
        self, coroutine: Coroutine[Waiter[Any], None, Any], then: Told, report: Callable[[BaseException], None]
    ) -> None:
        self._coroutine = coroutine
        self._then = then
        self._report = report

    def advance(self) -> None:
        try:
            waiter = self._coroutine.send(None)
        except StopIteration as stop:
            _tell(stop.value, None, self._then, self._report)
        except Exception as error:
            _failed(error, self._then, self._report)
        else:
            waiter.callback = self.advance
