"""What TLS says of a client."""

from __future__ import annotations

import ssl

from policylang.sdk.certificate import Certificate


def peer_of(ssl_object: ssl.SSLObject) -> tuple[Certificate | None, str, str]:
    """The certificate that was shown and verified (or None), the version (`TLSv1.3`), the name asked for (or "")."""
    shown = ssl_object.getpeercert(binary_form=True)
    name: str = getattr(ssl_object, "server_name", "")
    return None if shown is None else Certificate(shown), ssl_object.version() or "", name
