"""TLS of a listener: which certificate is shown to whom, whose certificates are accepted, and when that changes."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
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
    read_revoked,
    reason_of,
)  # fmt: skip
from runtime.tls.settings import TlsListener
from runtime.tls.transport import Accepting, ServerTransport
from runtime.tls.watch import WATCH, Files, Mark, Watch, marks

PROTOCOLS: Final = ("http/1.1",)
"""What ALPN announces, the best first (RFC 7301). Whoever adds `h2` chooses its connection in `ServerTls.transport`."""
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has no others."""
VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
AGAIN: Final = 60.0
"""Seconds between two lines of the error log that say the same of clients' certificates."""

OnError = Callable[[str], None]


class ServerSide(ssl.SSLObject):
    """`server_name`: what the client asked for (SNI), in lower case; empty where it did not ask."""

    server_name = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of one certificate. `state`: what the files looked like."""

    state: tuple[Mark, Mark]
    shown: Shown
    context: ssl.SSLContext


class ServerTls:
    """One for each listener with certificates. `context` is for the next connection; those that are open keep theirs.

    When files change, what is made of them is made anew: of a pair its context; of the authorities or the list of
    revoked certificates all contexts, and what was resumable is not any more: it would pass by the new list. What is
    wrong with new files is told once to `on_error`, and what was made of the old ones stays.

    All names of a listener have the same demands, so a request may name any host, whatever name the handshake had.
    """

    def __init__(
        self, settings: TlsListener, on_error: OnError, watch: Watch = WATCH, wall: Callable[[], float] = time.time
    ) -> None:
        """Raises ValueError with one sentence."""
        self.settings = settings
        self._on_error = on_error
        self._wall = wall
        self._pairs = tuple(zip(settings.cert, settings.key or settings.cert, strict=True))
        self._trust = tuple(path for path in (settings.client_ca, settings.crl) if path is not None)
        self._files = Files([*settings.cert, *settings.key, *self._trust])
        self._handshake_ticks = ticks(settings.handshake)
        self._told: set[str] = set()
        self._turned_away: dict[str, float] = {}
        self._made: dict[tuple[str, str], Made] = {}
        self._list_expiry: float | None = None
        self.context: ssl.SSLContext
        for problem in self._make():
            raise ValueError(problem)
        watch.add(self)

    def transport(self, make: Callable[[], Protocol], accepting: Accepting, due: int | None = None) -> ServerTransport:
        """The loop's protocol for one accepted connection; `make` gives ours once the handshake is done.

        `due`: the tick at which it must be, where that was not counted from now.
        """
        if due is None:
            due = accepting.wheel.now + self._handshake_ticks
        return ServerTransport(make, self.context, accepting, due, self._refused)

    def expiries(self) -> list[tuple[str, float]]:
        """Each certificate's first name (its file's where it has none) and when it expires, in seconds since 1970."""
        shown = [made.shown for made in self._made.values()]
        return [(one.names[0] if one.names else one.path, one.not_after) for one in shown]

    def look(self) -> None:
        """Take the files up again if they have changed."""
        if self._files.changed():
            for problem in self._make():
                self._on_error(f"`{self.settings.address}` goes on with the files it has: {problem}")
        else:
            self._tell_troubles()

    def _make(self) -> list[str]:
        """Make what has changed. Gives what is wrong."""
        now = self._wall()
        trust = marks(self._trust)
        problems: list[str] = []
        expiry: float | None = None
        if self.settings.crl is not None and self.settings.client_ca is not None:
            try:
                expiry = read_revoked(self.settings.crl, self.settings.client_ca, now)
            except ValueError as error:
                return [str(error)]
        made: dict[tuple[str, str], Made] = {}
        for pair in self._pairs:
            known = self._made.get(pair)
            state = marks(pair), trust
            if known is None or known.state != state:
                try:
                    known = Made(state, read_certificate(pair[0]), self._context(*pair))
                except ValueError as error:
                    problems.append(str(error))
            if known is None:
                return problems
            made[pair] = known
        self._made, self._list_expiry = made, expiry
        self._choose([*made.values()])
        self._told.clear()
        self._tell_troubles()
        return problems

    def _choose(self, made: list[Made]) -> None:
        first = made[0].context
        # None stands for the first: a context that refers to itself would never be freed.
        names: dict[str, ssl.SSLContext | None] = {}
        for one in made:
            for name in one.shown.names:
                names.setdefault(name, None if one.context is first else one.context)
        for one in made:
            one.context.sni_callback = None
        first.sni_callback = _chooser(names)
        first.sslobject_class = ServerSide
        self.context = first

    def _context(self, cert: str, key: str) -> ssl.SSLContext:
        settings = self.settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = VERSIONS[settings.min_tls]
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(list(PROTOCOLS))
        load_pair(context, cert, key)
        if settings.client_ca is not None:
            load_trusted(context, settings.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED if settings.client_cert == "required" else ssl.CERT_OPTIONAL
            # A resumed session shows no certificate, so nobody would notice that it has expired since.
            context.num_tickets = 0
            if settings.crl is not None:
                load_revoked(context, settings.crl)
        return context

    def _tell_troubles(self) -> None:
        now = self._wall()
        texts = [text for made in self._made.values() if (text := made.shown.trouble(now)) is not None]
        if self._list_expiry is not None and self._list_expiry <= now:
            texts.append(expired_list(cast(str, self.settings.crl), self._list_expiry))
        for text in texts:
            if text not in self._told:
                self._told.add(text)
                self._on_error(text)

    def _refused(self, error: ssl.SSLError, peer: str) -> None:
        """A handshake has failed. Strangers' are of no interest; a client's certificate may be a mistake of ours."""
        reason = reason_of(error)
        if self.settings.client_ca is None or not (
            isinstance(error, ssl.SSLCertVerificationError) or reason == "peer did not return a certificate"
        ):
            return
        now = self._wall()
        if self._turned_away.get(reason, 0.0) + AGAIN <= now:  # the reasons are OpenSSL's, so they are not many
            self._turned_away[reason] = now
            self._on_error(f"`{self.settings.address}` has turned away a client from `{peer}`: {reason}")


def _chooser(names: dict[str, ssl.SSLContext | None]) -> Callable[..., int | None]:
    """By the name that is asked for: exactly, else by a wildcard, which stands for one label (RFC 9525 6.3)."""

    def choose(side: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name is None:
            return
        name = name.lower().removesuffix(".")
        side.server_name = name
        context = names[name] if name in names else names.get("*." + name.partition(".")[2])
        if context is not None:
            side.context = context

    return choose


def server_contexts(listener: TlsListener, on_error: OnError) -> ServerTls:
    """What a listener needs to accept TLS: see `ServerTls`. Raises ValueError with one sentence."""
    return ServerTls(listener, on_error)
