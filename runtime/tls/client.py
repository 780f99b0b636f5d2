"""TLS towards the servers of an upstream: whom they must be, and what is shown to them."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from functools import lru_cache

from twisted.internet.protocol import Protocol

from runtime.tls.files import load_pair, load_trusted, read_certificate
from runtime.tls.server import CIPHERS, PROTOCOLS
from runtime.tls.settings import UpstreamTls
from runtime.tls.transport import ClientTransport
from runtime.tls.watch import WATCH, Files, Mark, Watch, marks


class ClientTls:
    """One for each upstream with `https://`. `context` is for the next connection; those that are open keep theirs."""

    def __init__(self, settings: UpstreamTls, watch: Watch = WATCH) -> None:
        """Raises ValueError with one sentence."""
        self.settings = settings
        self._watch = watch
        self._files = Files(_paths(settings))
        self.context = context_for(settings)
        self._warn()
        watch.add(self)

    def transport(
        self, make: Callable[[], Protocol], host: str, shaken: asyncio.Future[None], tell: Callable[[str], None]
    ) -> ClientTransport:
        """The loop's protocol for one connection to `host`, a name or an address; see `ClientTransport`."""
        return ClientTransport(make, self.context, self.settings.server_name or host, shaken, tell)

    def look(self) -> None:
        """Take the files up again if they have changed."""
        if self._files.changed():
            try:
                self.context = context_for(self.settings)
                self._warn()
            except ValueError as error:
                self._watch.tell(f"upstreams are spoken to with the files as they were: {error}")

    def _warn(self) -> None:
        if self.settings.cert is not None:
            trouble = read_certificate(self.settings.cert).trouble(time.time())
            if trouble is not None:
                self._watch.tell(trouble)


def context_for(settings: UpstreamTls) -> ssl.SSLContext:
    """Raises ValueError with one sentence. Made once for one state of the files: the system's list takes 40 ms."""
    return _context(settings, marks(_paths(settings)))


@lru_cache(maxsize=64)
def _context(settings: UpstreamTls, _: Mark) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(list(PROTOCOLS))
    context.hostname_checks_common_name = False  # RFC 9525 2: names stand in subjectAltName
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca is not None:
        load_trusted(context, settings.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.cert is not None:
        load_pair(context, settings.cert, settings.key or settings.cert)
    return context


def _paths(settings: UpstreamTls) -> list[str]:
    return [path for path in (settings.ca, settings.cert, settings.key) if path is not None]
