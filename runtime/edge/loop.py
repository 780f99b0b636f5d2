"""The loop of a worker, and Twisted's reactor on it."""

from __future__ import annotations

import asyncio
import sys

try:
    import uvloop
except ImportError:  # no wheel for this platform: the same protocols run on the loop of the standard library
    uvloop = None  # type: ignore[assignment]


def new_loop(fast: bool = True) -> asyncio.AbstractEventLoop:
    """A uvloop, or the standard library's loop where there is none, or where `fast` is false."""
    if fast and uvloop is not None:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
    return asyncio.SelectorEventLoop()


def install(fast: bool = True) -> asyncio.AbstractEventLoop:
    """Make the process's loop, and Twisted's asyncio reactor on it. Raises RuntimeError if a reactor is installed.

    Call it before anything imports `twisted.internet.reactor`: that import installs the default reactor.
    """
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("another reactor is installed already")
    loop = new_loop(fast)
    # First the loop: Deferred.asFuture, clients of asyncio and the reactor itself must find this one.
    asyncio.set_event_loop(loop)
    from twisted.internet import asyncioreactor

    asyncioreactor.install(loop)  # type: ignore[no-untyped-call]
    return loop
