"""Certificates for tests: real ones, each made once. No key of theirs is kept: nobody shakes hands here."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address

from policylang.sdk.certificate import Certificate

_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
USUAL_END = datetime(2099, 1, 1, tzinfo=UTC).timestamp()


@cache
def made(subject: str, issuer: str, names: tuple[str, ...], not_after: float, serial: int) -> Certificate:
    """`subject`, `issuer`: as RFC 4514 writes them. Raises ValueError with a sentence for the author."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = _key()
    end = datetime.fromtimestamp(not_after, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject)).issuer_name(_name(issuer)).public_key(key.public_key()).serial_number(serial)
        .not_valid_before(min(_BEFORE, end)).not_valid_after(end)
    )  # fmt: skip
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
    certificate = builder.sign(key, hashes.SHA256())
    return Certificate(certificate.public_bytes(serialization.Encoding.DER))


@cache
def _key():  # type: ignore[no-untyped-def]
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str):  # type: ignore[no-untyped-def]
    from cryptography import x509

    try:
        return x509.Name.from_rfc4514_string(text)
    except ValueError:
        raise ValueError(f'`{text}` is no name: write it as "CN=partner,O=Acme"') from None


def _general(name: str):  # type: ignore[no-untyped-def]
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
