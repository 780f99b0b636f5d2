"""A client's certificate, as `client.cert` gives it."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from policylang.sdk.outcome import unreadable
from policylang.sdk.values import Time

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Parsed


class Certificate:
    """What a client has shown and proved to be its own.

    `subject`, `issuer`: distinguished names as RFC 4514 writes them (`CN=ann,O=Acme`). `serial`: hexadecimal, lower
    case. `fingerprint`: SHA-256 of the whole, hexadecimal, lower case. `names`: the subject's alternative names: DNS
    names, addresses, mail addresses and URIs.
    """

    # Nothing of it is read before a policy asks for it, and it is read once for all requests of a connection.

    def __init__(self, der: bytes) -> None:
        self.der = der

    @cached_property
    def subject(self) -> str:
        return self._parsed.subject.rfc4514_string()

    @cached_property
    def issuer(self) -> str:
        return self._parsed.issuer.rfc4514_string()

    @cached_property
    def serial(self) -> str:
        return format(self._parsed.serial_number, "x")

    @cached_property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def names(self) -> list[str]:
        return list(self._names)

    @cached_property
    def not_after(self) -> Time:
        return Time(self._parsed.not_valid_after_utc.timestamp())

    @cached_property
    def _parsed(self) -> Parsed:
        from cryptography.x509 import load_der_x509_certificate

        try:
            return load_der_x509_certificate(self.der)
        except ValueError as error:
            raise unreadable("certificate", str(error)) from None

    @cached_property
    def _names(self) -> tuple[str, ...]:
        from cryptography import x509

        try:
            found = self._parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise unreadable("certificate", str(error)) from None
        kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
        return tuple(str(name.value) for name in found if isinstance(name, kinds))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Certificate) and other.der == self.der

    def __hash__(self) -> int:
        return hash(self.der)
