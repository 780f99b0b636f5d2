"""The flags that say what comes in, named and meant as curl's are."""

from __future__ import annotations

import argparse
import os
import sys
from urllib.parse import quote

from policylang.diagnostics.text import printable
from policylang.tools.check_command import read
from policylang.trace.incoming import CLIENT, HOST, Incoming, NotARequest, read_request

AGENT = "pol"


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-X", "--method", metavar="METHOD", help="the method; left out: GET, with data POST, with -I HEAD")
    add("-H", "--header", action="append", metavar="LINE", help="`Name: value`; `Name;` is empty, `Name:` takes away")
    add("-d", "--data", action="append", metavar="DATA", help="a form's data, or @FILE; several are joined with `&`")
    add("--data-raw", action="append", metavar="DATA", help="as -d, and @ means nothing")
    add("--data-binary", action="append", metavar="DATA", help="as -d, and a file is sent as it is")
    add("--data-urlencode", action="append", metavar="DATA", help="as -d, encoded: `name=content`")
    add("--json", action="append", metavar="DATA", help="JSON, or @FILE, with the fields that say so")
    add("-G", "--get", action="store_true", help="put the data of -d into the query")
    add("-I", "--head", action="store_true", help="ask with HEAD")
    add("-u", "--user", metavar="NAME:PASSWORD", help="an Authorization field of the scheme Basic")
    add("-b", "--cookie", metavar="DATA", help="a Cookie field: `name=value; other=value`")
    add("-A", "--user-agent", metavar="TEXT", help=f"the User-Agent; left out: {AGENT}")
    add("-e", "--referer", metavar="URL", help="a Referer field")
    add("--request", metavar="FILE", help="read the request as HTTP text; the flags change it")
    add("--from", dest="client", metavar="IP", help=f"the client's address; left out: {CLIENT}")
    add("--host", metavar="HOST", help=f"the host that is asked for; left out: the URL's, or {HOST}")
    add("--cert", metavar="FILE|NAME", help="the client's certificate: a PEM file, or a name as in `CN=partner,O=Acme`")


def incoming_of(found: argparse.Namespace, url: str | None) -> Incoming:
    """Raises NotARequest, and OSError where a file cannot be read."""
    asked = _read(found.request) if found.request else Incoming()
    if url is not None:
        asked.ask_for(url)
    elif not found.request:
        raise NotARequest("nothing is asked for: give a path or a URL, or `--request FILE`")
    _data(found, asked)
    if found.method:
        asked.ask_with(found.method)
    elif found.head:
        asked.method = "HEAD"
    for name, value in (("User-Agent", AGENT), ("Accept", "*/*")):
        if not found.request and not asked.has(name):
            asked.set_field(name, value)
    for name, value in (("User-Agent", found.user_agent), ("Referer", found.referer)):
        if value is not None:
            asked.set_field(name, value)
    if found.cookie is not None:
        if "=" not in found.cookie:
            raise NotARequest(f"`--cookie {found.cookie}` is no `name=value`; cookies of a file are not read")
        asked.set_field("Cookie", found.cookie)
    if found.user is not None:
        asked.log_in(found.user)
    _fields(found, asked)
    if found.host is not None:
        asked.host = found.host.lower()
    if found.client is not None:
        asked.client = _address(found.client)
    if found.cert is not None:
        asked.cert = _certificate(found.cert)
    return asked


def _read(file: str) -> Incoming:
    try:
        return read_request(read(file), f"`{file}`")
    except FileNotFoundError:
        if file.isupper():  # curl's own --request
            raise NotARequest(f"`--request` reads a file, and there is no `{file}`: a method is `-X {file}`") from None
        raise


def _fields(found: argparse.Namespace, asked: Incoming) -> None:
    """Those of -H stand in place of what is there by itself; among each other they are repeated fields."""
    lines: list[str] = []
    for line in found.header or ():
        if line.startswith("@"):
            lines += [each for each in _text(line[1:]).splitlines() if each.strip()]
        else:
            lines.append(line)
    given: list[tuple[str, str]] = []
    for line in lines:
        name, mark, value = line.partition(":")
        if not mark and line.rstrip().endswith(";"):
            given.append((line.rstrip()[:-1], ""))
        elif not mark:
            raise NotARequest(f"`-H {line}` is no field: write `Name: value`")
        asked.remove_field(name.strip())
        if mark and value.strip():
            given.append((name.strip(), value))
    for name, value in given:
        asked.add_field(name, value)


def _data(found: argparse.Namespace, asked: Incoming) -> None:
    parts = [_taken(each, True) for each in found.data or ()]
    parts += [each.encode("utf-8", "surrogateescape") for each in found.data_raw or ()]
    parts += [_taken(each, False) for each in found.data_binary or ()]
    parts += [_encoded(each) for each in found.data_urlencode or ()]
    json = [_taken(each, False) for each in found.json or ()]
    if not parts and not json:
        return
    if parts and json:
        raise NotARequest("`--json` and `--data` are two bodies: give one")
    body = b"".join(json) if json else b"&".join(parts)
    if found.get:
        mark = "&" if "?" in asked.target else "?"
        asked.ask_for(asked.target + mark + body.decode("utf-8", "surrogateescape"))
        return
    asked.body = body
    if asked.method in ("", "GET"):
        asked.method = "POST"
    if json:
        asked.set_field("Content-Type", "application/json")
        asked.set_field("Accept", "application/json")
    elif not asked.has("Content-Type"):
        asked.set_field("Content-Type", "application/x-www-form-urlencoded")


def _taken(data: str, stripped: bool) -> bytes:
    """Data as it is written, or of a file; `-d` leaves out the ends of a file's lines, as curl does."""
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    found = read(data[1:])
    return found.translate(None, b"\r\n\0") if stripped else found


def _encoded(data: str) -> bytes:
    """`content`, `=content`, `name=content`, `@file` or `name@file`: the content is percent-encoded."""
    name, mark, content = data.partition("=")
    if not mark:
        name, at, file = data.partition("@")
        content = _text(file) if at else data
        name = name if at else ""
    text = quote(content, safe="")
    return (f"{name}={text}" if name else text).encode()


def _text(file: str) -> str:
    return read(file).decode("utf-8", "surrogateescape")


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise NotARequest(f"`--from {text}` is no address: write it as 192.0.2.7 or 2001:db8::7") from None


def _certificate(text: str) -> object:
    if "=" in text and not os.path.exists(text):
        from policylang.testing.certificates import USUAL_END, made

        try:
            return made(text, "CN=pol", (), USUAL_END, 1)
        except ValueError as error:
            raise NotARequest(str(error)) from None
    import ssl

    from policylang.sdk.certificate import Certificate

    try:
        return Certificate(ssl.PEM_cert_to_DER_cert(_first_certificate(_text(text))))
    except ValueError:
        raise NotARequest(f"`{text}` holds no certificate in PEM") from None


def _first_certificate(text: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    _, mark, rest = text.partition(begin)
    inner, closed, _ = rest.partition(end)
    if not mark or not closed:
        raise ValueError("no certificate")
    return begin + inner + end


def complain(error: Exception) -> None:
    print(f"pol: {printable(str(error))}", file=sys.stderr)
