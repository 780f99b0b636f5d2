"""`polgate run` with TLS: certificates from files, clients known by theirs, changes without a gap."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from certificates import authority
from daemons import Daemon, daemon, eventually

POLICY = """
gateway {
    listen "127.0.0.1:0", cert: "gate.pem", key: "gate.key", client_ca: "ca.pem", client_cert: optional, min_tls: "1.2"
    access_log "stdout"
}

service who "/who" {
    require client.cert != none
    require "ann.example" in client.cert.names and client.cert.not_after > now
    respond 200, body: "${client.cert.subject} by ${request.scheme} until ${client.cert.not_after}"
}

service hello "/hello" {
    respond 200, body: "one"
}
"""


def prepare(folder: Path, text: str = POLICY) -> None:
    (folder / "policy.pol").write_text(text)
    (folder / "ca.pem").write_bytes(Path(authority().file).read_bytes())
    renew(folder, "old.example")


def renew(folder: Path, name: str) -> None:
    cert, key = authority().issue("gate.example", name, file=name)
    os.replace(cert, folder / "gate.pem")
    os.replace(key, folder / "gate.key")


@contextlib.contextmanager
def polgate(folder: Path) -> Iterator[Daemon]:
    with daemon(["-m", "runtime.main", "run", "policy.pol"], folder) as started:
        yield started


class Client:
    def __init__(self, port: int, pair: tuple[str, str] | None = None, **given: object) -> None:
        context = authority().client(pair, **given)
        context.check_hostname = False
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=context)

    def get(self, path: str) -> tuple[int, str]:
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()

    def names(self) -> set[str]:
        self.connection.connect()
        cert = self.connection.sock.getpeercert()
        return {str(value) for _, value in cert["subjectAltName"]}


def test_clients_are_known_by_their_certificates(tmp_path: Path) -> None:
    prepare(tmp_path)
    ann = authority().issue("ann.example", common_name="ann", file="ann-daemon")
    bob = authority().issue("bob.example", common_name="bob", file="bob-daemon")
    with polgate(tmp_path) as gate:
        port = gate.ready()
        status, said = Client(port, ann).get("/who")
        assert status == 200, said
        assert "CN=ann" in said
        assert "by https until 3000-01-01" in said
        assert Client(port, bob).get("/who")[0] == 403
        assert Client(port).get("/who")[0] == 403
        assert Client(port).get("/hello") == (200, "one")
        line = json.loads(gate.await_line('"/hello"', among=gate.output))
        assert line["tls"] == "TLSv1.3"
        assert gate.end() == 0


def test_a_renewed_certificate_and_a_reload(tmp_path: Path) -> None:
    prepare(tmp_path)
    with polgate(tmp_path) as gate:
        port = gate.ready()
        kept = Client(port)
        assert kept.get("/hello") == (200, "one")
        old = Client(port, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert old.get("/hello") == (200, "one")
        assert "old.example" in Client(port).names()
        renew(tmp_path, "new.example")
        eventually(lambda: "new.example" in Client(port).names(), "the new certificate is not shown")
        (tmp_path / "gate.pem").write_text("nothing")
        gate.await_line("goes on with the files it has")
        assert "new.example" in Client(port).names()
        # A reload begins with the files as they are, so these must be right.
        prepare(tmp_path, POLICY.replace('"one"', '"two"').replace('"1.2"', '"1.3"'))
        gate.send(signal.SIGHUP)
        eventually(lambda: Client(port).get("/hello") == (200, "two"), "the new policy does not serve")
        assert kept.get("/hello") == (200, "two")
        assert old.get("/hello") == (200, "two")
        strict = Client(port, maximum_version=ssl.TLSVersion.TLSv1_2)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            strict.get("/hello")
            raise AssertionError("TLS 1.2 was taken")
        before = len(gate.lines)
        (tmp_path / "policy.pol").write_text(POLICY.replace("gate.key", "absent.key"))
        gate.send(signal.SIGHUP)
        gate.await_line("absent.key", after=before)
        assert Client(port).get("/hello") == (200, "two")
        assert gate.end() == 0


def test_a_listener_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "gate.key").unlink()
    with polgate(tmp_path) as gate:
        assert gate.wait() == 1
        line = gate.await_line("gate.key")
        assert "there is no such file" in line
