"""TLS of a listener: which certificate is shown to whom, whose certificates are accepted, and when that changes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.protocol import Protocol

from runtime.edge.wheel import ticks
from runtime.tls.files import (
    Shown,
    expired_list,
    load_pair,
    load_revoked,
    load_trusted,
    read_certificate,
)
from runtime.tls.settings import TlsListener
from runtime.tls.transport import Accepting, ServerTransport
from runtime.tls.watch import WATCH, Files, Watch

PROTOCOLS: Final = ("http/1.1",)
"""What ALPN announces, the best first (RFC 7301). Whoever adds `h2` chooses its connection in `ServerTls.transport`."""
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no others."""
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

OnError = Callable[[str], None]


class ServerSide(ssl.SSLObject):
    """`server_name`: what the client asked for (SNI), in lower case; empty where it did not ask."""

    server_name = ""


class ServerTls:
    """One for each listener with certificates. `context` is for the next connection; those that are open keep theirs.

    When a file changes all contexts are made anew, and what was resumable is not: a ticket would pass by the new
    revocation list. What is wrong with new files is told once to `on_error`, and the old ones stay.
    """

    def __init__(
        self, settings: TlsListener, on_error: OnError, watch: Watch = WATCH, wall: Callable[[], float] = time.time
    ) -> None:
        """Raises ValueError with one sentence."""
        self.settings = settings
        self._on_error = on_error
        self._wall = wall
        self._pairs = tuple(zip(settings.cert, settings.key or settings.cert, strict=True))
        paths = [*settings.cert, *settings.key, *filter(None, (settings.client_ca, settings.crl))]
        self._files = Files(paths)
        self._handshake_ticks = ticks(settings.handshake)
        self._told: set[str] = set()
        self.context: ssl.SSLContext
        self._shown: list[Shown]
        self._list_expiry: float | None = None
        self._make()
        watch.add(self)

    def transport(self, make: Callable[[], Protocol], accepting: Accepting, due: int | None = None) -> ServerTransport:
        """The loop's protocol for one accepted connection; `make` gives ours once the handshake is done.

        `due`: the tick at which it must be, where that was not counted from now.
        """
        if due is None:
            due = accepting.wheel.now + self._handshake_ticks
        return ServerTransport(make, self.context, accepting, due)

    def expiries(self) -> list[tuple[str, float]]:
        """Each certificate's first name (its file's where it has none) and when it expires, in seconds since 1970."""
        return [(shown.names[0] if shown.names else shown.path, shown.not_after) for shown in self._shown]

    def look(self) -> None:
        """Take the files up again if they have changed."""
        if self._files.changed():
            try:
                self._make()
            except ValueError as error:
                self._on_error(f"`{self.settings.address}` goes on with the files it has: {error}")
            return
        for text in self._troubles():
            self._tell(text)

    def _make(self) -> None:
        now = self._wall()
        shown: list[Shown] = []
        contexts: list[ssl.SSLContext] = []
        names: dict[str, ssl.SSLContext] = {}
        expiry: float | None = None
        for cert, key in self._pairs:
            one = read_certificate(cert)
            context, expiry = self._context(cert, key, now)
            shown.append(one)
            contexts.append(context)
            for name in one.names:
                names.setdefault(name, context)
        first = contexts[0]
        first.sni_callback = _chooser(names, first)
        first.sslobject_class = ServerSide
        self.context, self._shown, self._list_expiry = first, shown, expiry
        self._told.clear()
        for text in self._troubles():
            self._tell(text)

    def _context(self, cert: str, key: str, now: float) -> tuple[ssl.SSLContext, float | None]:
        settings = self.settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[settings.min_tls]
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(list(PROTOCOLS))
        load_pair(context, cert, key)
        expiry: float | None = None
        if settings.client_ca is not None:
            load_trusted(context, settings.client_ca)
            required = settings.client_cert == "required"
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            # A resumed session shows no certificate, so nobody would notice that it has expired since.
            context.num_tickets = 0
            context.options |= ssl.OP_NO_TICKET
            if settings.crl is not None:
                expiry = load_revoked(context, settings.crl, settings.client_ca, now)
        return context, expiry

    def _troubles(self) -> list[str]:
        now = self._wall()
        texts = [text for shown in self._shown if (text := shown.trouble(now)) is not None]
        if self._list_expiry is not None and self._list_expiry <= now:
            texts.append(expired_list(cast(str, self.settings.crl), self._list_expiry))
        return texts

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._on_error(text)


def _chooser(names: dict[str, ssl.SSLContext], first: ssl.SSLContext) -> Callable[..., int | None]:
    """By the name that is asked for: exactly, else by a wildcard, which stands for one label (RFC 9525 6.3)."""

    def choose(side: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower().removesuffix(".")
        side.server_name = name
        context = names.get(name) or names.get("*." + name.partition(".")[2])
        if context is not None and context is not first:
            side.context = context

    return choose


def server_contexts(listener: TlsListener, on_error: OnError) -> ServerTls:
    """What a listener needs to accept TLS: see `ServerTls`. Raises ValueError with one sentence."""
    return ServerTls(listener, on_error)
