"""A copy of a request for another upstream, whose answer nobody waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from typing import cast

from policylang.sdk import Exchange, Failed, Response, UpstreamCall
from runtime.edge.request import ReceivedRequest
from runtime.edge.stream import BodyStream
from runtime.edge.wheel import Wheel
from runtime.upstream.alone import ReadAway


def copy_of(exchange: Exchange) -> Exchange | None:
    """An exchange of its own with the same request; None where the request's body is not held.

    It shares what is never changed in place (fields, body), and nothing of the client's connection.
    """
    request = exchange.request
    if request.body is None:
        return None
    own = cast(ReceivedRequest, copy(request))
    own.source = None
    own.streams = None
    own.trace = None
    own.upgrade = b""  # nobody is there to speak another protocol
    copied = Exchange(own, exchange.client, exchange.environment, exchange.started)
    copied.service = exchange.service
    copied.user = exchange.user
    copied.path = exchange.path
    return copied


async def send_copy(
    send: Callable[[Exchange, UpstreamCall], Awaitable[Response]], copied: Exchange, call: UpstreamCall, wheel: Wheel,
    span: int,
) -> None:  # fmt: skip
    """Send it and read its answer away, for at most `span` ticks. What fails is the upstream's own business."""
    try:
        response = await send(copied, call)
        if response.body is None:
            await ReadAway(cast(BodyStream, response.source), wheel, span).gone
    except Failed:
        return
