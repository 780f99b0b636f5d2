"""`mirror`"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from assertions.routing.sending import Sending
from policylang.sdk import Exchange, Outcome, param


class Mirror(Sending):
    """Send a copy of the request to another upstream, without waiting for its answer.

    It passes whatever becomes of the copy: no answer, no failure of it reaches the client, and it is not tried again.
    The request's body is held for it, within `limits body`, also where `share` spares the copy. At most as many copies
    are under way as the upstream's `connections mirrored:` says; further ones are left out. A copy that was sent stays
    sent, also where a branch around it fails.

        mirror orders_next, share: 0.1
    """

    name: ClassVar[str] = "mirror"
    observes: ClassVar[bool] = True
    sends: ClassVar[bool] = True

    share: float = param("The share of requests that are copied, drawn anew for each.", default="1")

    def evaluate(self, exchange: Exchange) -> Outcome:
        environment = exchange.environment
        if self.share >= 1 or environment.draw() < self.share:
            environment.upstreams[self.upstream.name].mirror(exchange, self._always or self._composed(exchange))
        return None

    @classmethod
    def check(cls, constants: Mapping[str, Any]) -> str | None:
        share = constants.get("share")
        if isinstance(share, (int, float)) and not 0 < share <= 1:
            return "`share` is a share above 0, and at most 1"
        return super().check(constants)
