"""`log`"""

from __future__ import annotations

from typing import ClassVar, Literal

from policylang.sdk import Assertion, Exchange, Expr, Outcome, param


class Log(Assertion):
    """Write a line to the gateway's log.

    The line carries the request's id, the service and the level. Text that holds a private value is written as
    `[private]`.

        log "account ${request.header["X-Account"] ?? "none"}", level: info
    """

    name: ClassVar[str] = "log"
    observes: ClassVar[bool] = True

    text: Expr[str] = param("What is written.", positional=True, shown=True)
    level: Literal["debug", "info", "warning", "error"] = param("How grave it is.", default="info")

    def evaluate(self, exchange: Exchange) -> Outcome:
        exchange.environment.log(self.level, self.text(exchange), exchange)
        return None
