"""Certificates, keys and revocation lists in PEM files: what is in them, and what is wrong with them, in words."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, slots=True)
class Shown:
    """The first certificate of a file. `names`: lower case, wildcards as they are. Times in seconds since 1970."""

    path: str
    names: tuple[str, ...]
    not_before: float
    not_after: float

    def trouble(self, now: float) -> str | None:
        """What an operator should know of a certificate that may be shown all the same."""
        if now >= self.not_after:
            return f"the certificate `{self.path}` has expired on {_day(self.not_after)}: replace the file"
        if now < self.not_before:
            return f"the certificate `{self.path}` is not valid before {_day(self.not_before)}: is the clock right"
        return None


def read_certificate(path: str) -> Shown:
    """The certificate that a server or client shows. ValueError with one sentence, also where there is none."""
    from cryptography import x509

    found = certificates(path)[0]
    names: list[str] = []
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names += [name.lower() for name in alternatives.get_values_for_type(x509.DNSName)]
        names += [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]
    except x509.ExtensionNotFound:
        # Names in the subject alone are of the last century, but who has one wants it to be found.
        common = found.subject.get_attributes_for_oid(x509.oid.NameOID.COMMON_NAME)
        names += [str(name.value).lower() for name in common]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(f"the certificate `{path}` has names that cannot be read: {error}") from None
    return Shown(
        path, tuple(names), found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()
    )


def certificates(path: str) -> list[x509.Certificate]:
    """Every certificate of a file, at least one. Raises ValueError."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(_read(path))
    except ValueError as error:
        if isinstance(error, _Unreadable):
            raise
        raise ValueError(f"`{path}` holds no certificate in PEM: {_PEM}") from None


def load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Have a context show a certificate with the key that belongs to it. ValueError with one sentence."""
    text = _read(key)
    if b"PRIVATE KEY-----" not in text:
        raise ValueError(f"`{key}` holds no private key in PEM: {_PEM}")
    if b"ENCRYPTED" in text:
        raise ValueError(
            f"the key `{key}` is encrypted, and nobody is there to give its pass phrase: decrypt it with "
            f"`openssl pkey -in {key} -out NEW`, in a file that only the gateway may read"
        )
    try:
        context.load_cert_chain(cert, key, password=_no_pass_phrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"the key `{key}` does not belong to the certificate `{cert}`") from None
        if error.reason == "EE_KEY_TOO_SMALL":
            raise ValueError(f"the key `{key}` is too small: make one of 2048 bits for RSA, or P-256") from None
        raise ValueError(f"`{cert}` and `{key}` cannot be used: {reason_of(error)}") from None
    except OSError as error:
        raise _Unreadable(cert, error) from None


def load_trusted(context: ssl.SSLContext, path: str) -> None:
    """Have a context trust the certificates of a file, also where others have issued them. Raises ValueError."""
    certificates(path)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"the certificates of `{path}` cannot be used: {reason_of(error)}") from None


def read_revoked(path: str, trusted: str, now: float) -> float | None:
    """Look at the revocation lists of a file; gives when the first of them expires.

    Raises ValueError, also where a list has expired, or none is of the issuers in the file `trusted`: every client
    would be turned away.
    """
    from cryptography import x509

    blocks = [_BEGIN + block for block in _read(path).split(_BEGIN)[1:]]
    if not blocks:
        raise ValueError(f"`{path}` holds no revocation list in PEM: convert it with `openssl crl -inform DER`")
    issuers = {one.subject for one in certificates(trusted)}
    expiry: float | None = None
    known = False
    for block in blocks:
        try:
            found = x509.load_pem_x509_crl(block)
        except ValueError:
            raise ValueError(f"`{path}` holds a revocation list that cannot be read") from None
        known = known or found.issuer in issuers
        if found.next_update_utc is not None:
            moment = found.next_update_utc.timestamp()
            expiry = moment if expiry is None else min(expiry, moment)
    if not known:
        raise ValueError(f"no revocation list in `{path}` is of an issuer in `{trusted}`")
    if expiry is not None and expiry <= now:
        raise ValueError(expired_list(path, expiry))
    return expiry


def load_revoked(context: ssl.SSLContext, path: str) -> None:
    """Have a context look the certificates of clients up in the lists of a file. Raises ValueError."""
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"the revocation list `{path}` cannot be used: {reason_of(error)}") from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF


def expired_list(path: str, expiry: float) -> str:
    return f"the revocation list `{path}` has expired on {_day(expiry)}, no client's certificate is accepted: renew it"


def reason_of(error: OSError) -> str:
    """An error of TLS in a few lower-case words, without what is only of interest to developers."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return str(error.verify_message).rstrip(".").lower()
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
        return str(error.reason).replace("_", " ").lower()
    return (error.strerror or str(error)).lower()


_BEGIN = b"-----BEGIN X509 CRL-----"
_PEM = "it begins with `-----BEGIN`; convert other formats with `openssl`"


class _Unreadable(ValueError):
    def __init__(self, path: str, error: OSError) -> None:
        what = {True: "there is no such file"}.get(isinstance(error, FileNotFoundError)) or (
            os.strerror(error.errno).lower() if error.errno else str(error)
        )
        cure = ": let the gateway's user read it" if isinstance(error, PermissionError) else ""
        super().__init__(f"cannot read `{path}`: {what}{cure}")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise _Unreadable(path, error) from None


def _no_pass_phrase() -> str:
    """Without this OpenSSL would ask the terminal."""
    return ""


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d at %H:%M UTC")
