"""Certificates for tests: an authority, what it issues, and the listeners' settings that are made of them."""

from __future__ import annotations

import atexit
import datetime
import shutil
import ssl
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from runtime.tls import ServerTls
from runtime.tls.watch import Watch

EC = trustme.KeyType.ECDSA


@dataclass(frozen=True)
class Listening:
    address: str = "127.0.0.1:8443"
    cert: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    client_ca: str | None = None
    client_cert: str = "required"
    crl: str | None = None
    min_tls: str = "1.2"
    handshake: float = 10.0


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.ca = trustme.CA(key_type=EC)
        self.file = str(folder / f"{name}.pem")
        self.ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *names: str, file: str = "", **given: Any) -> tuple[str, str]:
        """The files of a certificate (with its chain) and of its key."""
        leaf = self.ca.issue_cert(name, *names, key_type=EC, **given)
        stem = self.folder / (file or name.replace("*", "any"))
        cert, key = f"{stem}.pem", f"{stem}.key"
        Path(cert).write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return cert, key

    def revoke(self, *certs: str, file: str = "crl.pem", days: float = 1) -> str:
        """A list with these certificates that expires in `days` (it has expired already where that is negative)."""
        key: Any = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
        builder = builder.last_update(now - datetime.timedelta(days=9))
        builder = builder.next_update(now + datetime.timedelta(days=days))
        for cert in certs:
            serial = x509.load_pem_x509_certificate(Path(cert).read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(one.build())
        path = self.folder / file
        path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return str(path)

    def client(self, pair: tuple[str, str] | None = None, **given: Any) -> ssl.SSLContext:
        """A client's context that trusts this authority and shows the certificate of `pair`."""
        context = ssl.create_default_context(cafile=self.file)
        if pair is not None:
            context.load_cert_chain(*pair)
        for name, value in given.items():
            setattr(context, name, value)
        return context


@cache
def authority() -> Authority:
    """One for a test run: making keys takes time."""
    folder = tempfile.mkdtemp(prefix="polgate-tls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Authority(Path(folder))


class Told:
    """Takes what the operator is told, and looks at the files when a test wants it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.watch = Watch()
        self.watch.tell = self.lines.append

    def server(self, *pairs: tuple[str, str], wall: Any = None, **given: Any) -> ServerTls:
        settings = Listening(cert=tuple(cert for cert, _ in pairs), key=tuple(key for _, key in pairs), **given)
        clock = {} if wall is None else {"wall": wall}
        return ServerTls(settings, self.lines.append, self.watch, **clock)

    def look(self) -> None:
        """Twice: a change counts when it has stood for one look."""
        self.watch.look()
        self.watch.look()
