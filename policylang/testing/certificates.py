"""Certificates for tests: real ones, and the same ones in each run, so that a fingerprint can be written down.

Their one key is known to all: nobody shakes hands here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from policylang.sdk.certificate import Certificate

if TYPE_CHECKING:
    from cryptography.x509 import GeneralName, Name

_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
USUAL_END = datetime(2099, 1, 1, tzinfo=UTC).timestamp()


@cache
def made(subject: str, issuer: str, names: tuple[str, ...], not_after: float, serial: int) -> Certificate:
    """`subject`, `issuer`: as RFC 4514 writes them. Raises ValueError with a sentence for the author."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding

    key = Ed25519PrivateKey.from_private_bytes(bytes(32))  # whose signatures have nothing of chance
    end = datetime.fromtimestamp(not_after, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(key.public_key()).serial_number(serial)
        .not_valid_before(min(_BEFORE, end)).not_valid_after(end)
    )  # fmt: skip
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
    return Certificate(builder.sign(key, None).public_bytes(Encoding.DER))


def _name(text: str) -> Name:
    from cryptography import x509

    try:
        return x509.Name.from_rfc4514_string(text)
    except ValueError:
        raise ValueError(f'`{text}` is no name: write it as "CN=partner,O=Acme"') from None


def _general(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    kind = x509.UniformResourceIdentifier if "://" in name else x509.RFC822Name if "@" in name else x509.DNSName
    try:
        return kind(name)
    except ValueError:
        raise ValueError(f"`{name}` cannot be a name in a certificate") from None
