"""TLS: of listeners, of upstreams, and the files that both are made of.

A listener with certificates gets a `ServerTls` from `server_contexts(listener, on_error)`, which refuses with
ValueError and one sentence for the operator. For each accepted connection, also one that began with a PROXY header,
the loop is given a plain socket and `ServerTls.transport(make, edge)` for its protocol: never `ssl=`. `make` is called
when the handshake is done. `ServerTls.expiries()` is for metrics. `WATCH.start(loop)`, once in a worker, has all files
taken up again when they change; only who holds a `ServerTls` keeps it watched.

`peer_of(ssl_object)` says who is at the other end. `ClientTls` is an upstream's side of it; what it has to tell while
it runs goes to `WATCH.tell`.
"""

from __future__ import annotations

from runtime.tls.client import ClientTls
from runtime.tls.peer import peer_of
from runtime.tls.server import ServerTls, server_contexts
from runtime.tls.settings import TlsListener, UpstreamTls
from runtime.tls.watch import WATCH

__all__ = ["WATCH", "ClientTls", "ServerTls", "TlsListener", "UpstreamTls", "peer_of", "server_contexts"]
