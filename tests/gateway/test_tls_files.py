"""Files of certificates: what is wrong with them, in words, and how they are taken up again when they change."""

from __future__ import annotations

import datetime
import gc
import hashlib
import os
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Authority, Told, authority
from edges import Wire, bench, both_loops, run

from policylang.sdk import Failed
from policylang.sdk.certificate import Certificate
from runtime.tls.files import read_certificate


def shown(wire: Wire) -> set[str]:
    cert = wire.writer.get_extra_info("peercert")
    return {value for _, value in cert["subjectAltName"]}


def gate() -> tuple[str, str]:
    return authority().issue("gate.example", file="gate")


@both_loops
async def test_a_certificate_is_taken_up_again() -> None:
    folder = authority().folder
    cert, key = authority().issue("gate.example", "old.example", file="turning")
    told = Told()
    async with bench(tls=told.server((cert, key))) as made:
        kept = await made.connect(tls=authority().client())
        assert "old.example" in shown(kept)
        fresh = authority().issue("gate.example", "new.example", file="fresh")
        os.replace(fresh[0], cert)
        told.watch.look()
        told.watch.look()  # only half of the pair is there
        assert len(told.lines) == 1
        assert f"the key `{key}` does not belong to the certificate `{cert}`" in told.lines[0]
        told.look()
        assert len(told.lines) == 1
        assert "old.example" in shown(await made.connect(tls=authority().client()))
        os.replace(fresh[1], key)
        told.look()
        assert "new.example" in shown(await made.connect(tls=authority().client()))
        assert (await kept.ask("GET /")).status == 200
        (folder / "turning.pem").unlink()
        told.look()
        assert "there is no such file" in told.lines[-1]
        assert "new.example" in shown(await made.connect(tls=authority().client()))


def test_a_broken_pair_holds_up_no_other() -> None:
    one = authority().issue("one.example", file="one")
    two = authority().issue("two.example", file="two")
    told = Told()
    tls = told.server(one, two, gate())
    before = tls.context
    Path(one[0]).write_text("nothing")
    fresh = authority().issue("two.example", "more.example", file="two")
    assert fresh == two
    told.look()
    assert len(told.lines) == 1
    assert "one.pem` holds no certificate in PEM" in told.lines[0]
    assert tls.context is before

    async def test() -> None:
        async with bench(tls=tls) as made:
            for name, wanted in (("one.example", "one.example"), ("two.example", "more.example")):
                assert wanted in shown(await made.connect(tls=authority().client(), server_name=name))

    run(test)
    authority().issue("one.example", file="one")
    told.look()
    assert len(told.lines) == 1
    assert tls.context is not before


def test_contexts_are_freed_at_once() -> None:
    tls = Told().server(gate(), authority().issue("other.example"))
    context = weakref.ref(tls.context)
    gc.disable()
    try:
        del tls
        assert context() is None
    finally:
        gc.enable()


def test_a_pair_that_changes_within_a_look_is_no_error() -> None:
    cert, key = authority().issue("gate.example", file="quick")
    told = Told()
    tls = told.server((cert, key))
    before = tls.context
    fresh = authority().issue("gate.example", file="quick2")
    os.replace(fresh[0], cert)
    told.watch.look()
    os.replace(fresh[1], key)
    told.look()
    assert told.lines == []
    assert tls.context is not before


def test_errors_name_the_file_and_the_cure(tmp_path: Path) -> None:
    cert, key = gate()
    other = authority().issue("other.example")
    text = tmp_path / "text"
    text.write_text("no certificate")
    locked = tmp_path / "locked.key"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n")
    absent = str(tmp_path / "absent.pem")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"pairs": [(absent, key)]}, f"cannot read `{absent}`: there is no such file"),
        ({"pairs": [(cert, absent)]}, f"cannot read `{absent}`: there is no such file"),
        ({"pairs": [(str(text), key)]}, "holds no certificate in PEM"),
        ({"pairs": [(cert, str(text))]}, "holds no private key in PEM"),
        ({"pairs": [(cert, other[1])]}, f"the key `{other[1]}` does not belong to the certificate `{cert}`"),
        ({"pairs": [(cert, str(locked))]}, f"the key `{locked}` is encrypted"),
        ({"client_ca": str(text)}, "holds no certificate in PEM"),
        ({"client_ca": authority().file, "crl": str(text)}, "holds no revocation list in PEM"),
        (
            {"client_ca": Authority(tmp_path, "else").file, "crl": authority().revoke()},
            "no revocation list in `.*` is of an issuer in",
        ),
    ]
    for given, said in cases:
        pairs = given.pop("pairs", [(cert, key)])
        with pytest.raises(ValueError, match=said.replace("(", r"\(")) as caught:
            Told().server(*pairs, **given)
        assert "\n" not in str(caught.value)
        assert not str(caught.value).endswith(".")


def test_an_expired_certificate_is_shown_and_reported() -> None:
    now = [0.0]
    told = Told()
    until = datetime.datetime(2040, 1, 1, tzinfo=datetime.UTC)
    pair = authority().issue("gate.example", file="short", not_after=until)
    tls = told.server(pair, wall=lambda: now[0])
    assert "is not valid before" in told.lines[0]
    now[0] = until.timestamp() + 1
    told.look()
    told.look()
    assert sum("has expired on" in line for line in told.lines) == 1
    ((name, not_after),) = tls.expiries()
    assert (name, not_after) == ("gate.example", until.timestamp())


def test_a_mistake_of_ours_stops_neither_the_others_nor_the_timer() -> None:
    looked: list[str] = []

    class Broken:
        def look(self) -> None:
            looked.append("broken")
            raise KeyError("x")

    class Fine:
        def look(self) -> None:
            looked.append("fine")

    told = Told()
    watched = [Broken(), Fine()]
    for one in watched:
        told.watch.add(one)
    told.look()
    assert sorted(looked) == ["broken", "fine", "fine"]
    assert len(told.lines) == 1


def test_names_of_a_certificate_without_alternative_names(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Old.Example")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(255).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "old.pem"
    path.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    assert read_certificate(str(path)).names == ("old.example",)
    seen = Certificate(cert.public_bytes(serialization.Encoding.DER))
    assert (seen.subject, seen.issuer, seen.serial, seen.names) == ("CN=Old.Example", "CN=Old.Example", "ff", [])


def test_a_certificate_that_cannot_be_read_is_a_failure_of_the_request() -> None:
    seen = Certificate(b"no certificate")
    assert seen.fingerprint == hashlib.sha256(b"no certificate").hexdigest()
    for member in ("subject", "issuer", "serial", "names", "not_after"):
        with pytest.raises(Failed) as caught:
            getattr(seen, member)
        assert (caught.value.failure.name, caught.value.failure.status) == ("unreadable-certificate", 400)
