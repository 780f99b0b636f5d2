"""`limit_size`"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from policylang.sdk import Assertion, Exchange, Expr, Message, Outcome, Response, Size, param


class LimitSize(Assertion):
    """Refuse a message whose body is longer than a size.

    The body is not held for it: what declares its length is judged at once, and so is what has come whole; what
    streams is cut off at the limit, also while it is being routed. A request over the limit is refused with 413, a
    response with 502. The bytes count as they were received: of a compressed body those before it is unpacked, which
    `limits decoded:` bounds.

        limit_size request, 1MB
    """

    name: ClassVar[str] = "limit_size"
    failures: ClassVar[Mapping[str, int]] = {"request-too-large": 413, "response-too-large": 502}
    reads_bodies: ClassVar[bool] = False

    message: Expr[Message] = param("`request` or `response`.", positional=True)
    limit: Size = param("The longest body that passes.", positional=True)

    def evaluate(self, exchange: Exchange) -> Outcome:
        message = self.message(exchange)
        if message.limit_body(self.limit.bytes):
            return None
        name = "response-too-large" if isinstance(message, Response) else "request-too-large"
        return self.failure(name, f"the body is longer than {self.limit}")

    @classmethod
    def refusals(cls, given: Mapping[str, Any]) -> Collection[str]:
        return (f"{given['message']}-too-large",) if "message" in given else cls.failures
