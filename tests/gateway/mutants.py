# ruff: noqa: E501 - tables of odd words
"""Requests and answers that were good before somebody changed them: a grammar with slips, from a seed."""

from __future__ import annotations

import random
from typing import Final

METHODS: Final = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"]
ODD_METHODS: Final = [
    b"CONNECT", b"PRI", b"get", b"G", b"", b"GET\t", b"M-SEARCH", b"PURGE", b"SOURCE", b"QUERY", b"G\x00ET", b"GET GET",
    b"A" * 3000, b"\xff", b"%47ET",
]  # fmt: skip
PATHS: Final = [b"/here/1", b"/good/x", b"/bad/good", b"/body", b"/json", b"/xml", b"/none", b"/", b"*"]
ODD_TARGETS: Final = [
    b"", b"*", b"//", b"/../../x", b"/%", b"/%zz", b"/%00", b"/%2f", b"/here/%c0%af", b"/here/%ff", b"/a//b", b"/\\x",
    b"http://a/here/1", b"http://a:80/here/1?x", b"HTTP://[::1]/", b"http://", b"http:///x", b"http://a@b/", b"ftp://a/",
    b"a:443", b"/here/1#f", b"/here/\xc3\xa9", b"/" + b"a" * 8200, b"/?" + b"a=b&" * 2000, b"/here/1?%zz=%", b"/?\x7f",
    b"/here/" + b"../" * 500, b"http://" + b"a" * 300 + b"/", b"http://a:99999/", b"/here/.", b"/here/%2e%2e/x", b"?x",
    b"/here/1 /x", b"/here/\t1", b"http://xn--a/\x00",
]  # fmt: skip
VERSIONS: Final = [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]
ODD_VERSIONS: Final = [
    b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.1 ", b" HTTP/1.1", b"http/1.1", b"HTTP/11", b"HTTP/1.", b"RTSP/1.0",
    b"ICE/1.0", b"", b"HTTP/1.1\x0b", b"HTTP/+1.1", b"HTTP/1.10", b"HTTPS/1.1",
]  # fmt: skip
HOSTS: Final = [b"a", b"a.example", b"a.example:8080", b"[::1]", b"127.0.0.1", b"A.B.", b"xn--p1ai"]
ODD_HOSTS: Final = [
    b"", b"a,b", b"a b", b"a@b", b"[::", b"[::1%25lo]", b"a:b", b"a:99999", b"a:0", b"..", b"a" * 300, b"a/b", b"a?b",
    b"\xc3\xa9", b"a\x00", b"[" + b"1:" * 200 + b"]", b"a%41", b"a\\b", b"#", b"0x7f.1", b"a:80:80", b":80",
]  # fmt: skip
FIELDS: Final = [
    (b"Accept", b"*/*"), (b"User-Agent", b"mutant/1"), (b"Cookie", b"a=b; c=d"), (b"X-Request-ID", b"id-1"),
    (b"Content-Type", b"application/json"), (b"Accept-Encoding", b"gzip, br, zstd"), (b"Via", b"1.1 a, 1.1 b"),
    (b"Authorization", b"Bearer abc"), (b"traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
    (b"X-Forwarded-For", b"1.2.3.4"), (b"Forwarded", b"for=1.2.3.4;host=a"), (b"If-None-Match", b'"a"'),
    (b"Range", b"bytes=0-1"), (b"Connection", b"keep-alive"), (b"TE", b"trailers"), (b"Max-Forwards", b"0"),
]  # fmt: skip
ODD_FIELDS: Final = [
    (b"Connection", b"close"), (b"Connection", b"upgrade"), (b"Connection", b"x-a, , ,host,content-length,cookie"),
    (b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABkAAQAAP__"), (b"Expect", b"100-continue"),
    (b"Expect", b"200-ok"), (b"Trailer", b"X-Last"), (b"Content-Encoding", b"gzip"), (b"Content-Encoding", b"br, zstd"),
    (b"Content-Encoding", b"gzip, gzip, gzip, gzip"), (b"Content-Encoding", b"nothing"), (b"X_Under", b"1"), (b"", b"x"),
    (b"X Y", b"z"), (b"X\x00", b"z"), (b"X", b"a\x00b"), (b"X", b"a\x01"), (b"X", b"\xff\xfe"), (b"X", b"a\rb"),
    (b"X", b"a\nb"), (b"X", b"a\r\n folded"), (b"X", b" \t"), (b"X", b"y" * 9000), (b"X" * 3000, b"y"), (b"X", b"y" * 40000),
    (b"X\xc3\xa9", b"y"), (b"Host", b"b"), (b"Cookie", b"a=b;" * 500), (b"X", b"\x7f"), (b":path", b"/"),
    (b"Forwarded", b'for="[::1]:x;proto='), (b"Forwarded", b",;=\"" * 100), (b"X-Forwarded-For", b"1," * 2000),
    (b"traceparent", b"ff-zz"), (b"traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00"), (b"tracestate", b"=" * 600),
    (b"X-Request-ID", b"a\tb"), (b"X-Request-ID", b"\xff" * 200), (b"Via", b"1.1 polgate, " * 11), (b"Keep-Alive", b"timeout=1"),
    (b"Proxy-Connection", b"keep-alive"), (b"Content-Type", b"application/json; charset=utf-7"), (b"Accept", b";q=nan,*/*;q=9e999"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"Sec-WebSocket-Version", b"13"), (b"X-HTTP-Method-Override", b"PUT"),
    (b"Accept-Encoding", b"gzip;q=1.0000, br;q=-1, *;q=x, zstd;;;"), (b"If-Modified-Since", b"\x80"), (b"Polgate-Trace", b"x"),
]  # fmt: skip
UPGRADE: Final = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
LENGTHS: Final = [
    b"0", b"00", b"5", b"+5", b"-5", b"5 ", b"5,5", b"5, 6", b"0x5", b"5_0", b"1e3", b"", b"99999999999999999999", b"5\x00",
    b"18446744073709551615", b"9223372036854775808", b"0" * 5000 + b"5", b"\xb2", b"4.", b"100000000",
]  # fmt: skip
CODINGS: Final = [
    b"chunked", b"Chunked", b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked,", b" chunked\t", b"xchunked",
    b"chunked;q=1", b"\x0bchunked", b"", b"chunked\x00", b'"chunked"', b"chunked\r\n ",
]  # fmt: skip
SIZES: Final = [
    b"5", b"0005", b"5 ", b" 5", b"5;a", b"5;a=b", b'5;a="b"', b'5;a="\r\n"', b"0x5", b"+5", b"-5", b"5_", b"g", b"",
    b"ffffffffffffffff", b"10000000000000000", b"5;" + b"a" * 17000, b"5\t;a", b"5\n", b"5\r", b"5;a\x00", b"7fffffffffffffff",
    b"0" * 17000 + b"5", b"5;a\nb",
]  # fmt: skip
BODIES: Final = [
    b"", b"hello", b'{"a": [1, 2.5e3, "x"]}', b"<a b='c'>d</a>", b"[" * 2000, b'{"a":1,"a":2}', b"1" * 5000, b"\xff\xfe\x00",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"x" * 70000, b"\x1f\x8b\x08\x00garbage", b"1e99999", b"<a>" * 500, b'"\\ud800"',
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /here/2 HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip
TLS_HELLO: Final = bytes.fromhex("16030100f8010000f40303") + bytes(range(200))
GARBAGE: Final = [
    TLS_HELLO, b"\x00" * 100, b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", b"\r\n\r\n\r\n\x0d\x0a\x00\r\nQUIT\n\x21\x11\x00\x0c" + b"a" * 12,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\r\n" * 5000, b"\n" * 100, b"\xef\xbb\xbfGET / HTTP/1.1\r\n",
    b"SSH-2.0-OpenSSH_9\r\n", b"EHLO a\r\n", b"\x80\x2e\x01\x00\x02", b"*1\r\n$4\r\nPING\r\n",
]  # fmt: skip
LINE_ENDS: Final = [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"", b"\x00\r\n", b" \r\n"]
SPLICES: Final = [
    b"\x00", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"\xff", b"%", b"0\r\n\r\n", b"\xc3\xa9", b"\x0b", b"\x85",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"\r\n x", b"HTTP/1.1", b"A" * 5000, b"\xf0\x9f\x98\x80", b"//",
]  # fmt: skip


def request_of(luck: random.Random) -> bytes:
    """One request; few things in it are odd, so that it gets far."""

    def odd(share: float = 0.04) -> bool:
        return luck.random() < share

    method = luck.choice(ODD_METHODS) if odd(0.03) else luck.choice(METHODS)
    target = luck.choice(ODD_TARGETS) if odd() else luck.choice(PATHS)
    if target == b"/bad/good" and luck.random() < 0.7:
        target = b"/bad/mutant/%d" % luck.getrandbits(40)
    version = luck.choice(ODD_VERSIONS) if odd(0.03) else luck.choice(VERSIONS)
    fields = [(b"Host", luck.choice(ODD_HOSTS) if odd() else luck.choice(HOSTS))]
    fields += luck.sample(FIELDS, luck.randrange(4))
    if odd(0.3):
        fields += luck.sample(ODD_FIELDS, luck.randrange(1, 4))
    if odd(0.02):
        fields += [(b"X%d" % number, b"") for number in range(luck.choice([99, 100, 101, 5000]))]
    if odd(0.02):
        fields.pop(0)
    if odd(0.04):
        fields += UPGRADE
    body = b""
    if method in (b"POST", b"PUT", b"PATCH") or odd():
        content = luck.choice(BODIES)
        if luck.random() < 0.5:
            length = luck.choice(LENGTHS) if odd(0.1) else b"%d" % (len(content) + odd(0.05) - odd(0.05))
            fields.append((b"Content-Length", length))
            body = content
        else:
            fields.append((b"Transfer-Encoding", luck.choice(CODINGS) if odd(0.1) else b"chunked"))
            body = chunked(luck, content, odd(0.2))
        if odd(0.05):
            fields.append(luck.choice([(b"Content-Length", luck.choice(LENGTHS)), (b"Transfer-Encoding", luck.choice(CODINGS))]))
    luck.shuffle(fields)
    lines = [b" ".join((method, target, version))]
    for name, value in fields:
        between = luck.choice([b":", b" : ", b":\t", b" :", b"", b": \r\n "]) if odd(0.01) else b": "
        lines.append(name + between + value)
    end = b"\r\n"
    if odd(0.01):
        end = luck.choice(LINE_ENDS)
    return end.join(lines) + end + end + body


def chunked(luck: random.Random, content: bytes, odd: bool) -> bytes:
    parts = []
    while content:
        size = luck.randrange(1, min(len(content), 5000) + 1)
        piece, content = content[:size], content[size:]
        said = b"%x" % (size if luck.random() > 0.01 else size + luck.choice([-1, 1, 2, 1 << 40]))
        if odd and luck.random() < 0.2:
            said = luck.choice(SIZES)
        parts.append(said + b"\r\n" + piece + b"\r\n")
    parts.append(b"0\r\n")
    if odd:
        parts.append(luck.choice([b"X-Last: 1\r\n", b"Host: b\r\n", b"X: 1\r\n" * 4000, b"bad\r\n", b": x\r\n", b" x\r\n", b""]))
    parts.append(b"\r\n")
    return b"".join(parts)


def slip(luck: random.Random, data: bytes) -> bytes:
    """Change a few bytes of it anywhere."""
    made = bytearray(data)
    for _ in range(luck.randrange(1, 4)):
        at = luck.randrange(len(made) + 1)
        match luck.randrange(6):
            case 0:
                made[at:at] = luck.choice(SPLICES)
            case 1:
                del made[at : at + luck.randrange(1, 20)]
            case 2 if at < len(made):
                made[at] ^= 1 << luck.randrange(8)
            case 3:
                made[at:at] = made[max(0, at - luck.randrange(1, 80)) : at]
            case 4:
                del made[at:]
            case _:
                made[at:at] = luck.randbytes(luck.randrange(1, 8))
    return bytes(made)


def pieces_of(luck: random.Random, data: bytes) -> list[bytes]:
    """The data in one piece, or cut at random, or byte by byte at a place."""
    kind = luck.random()
    if kind < 0.6 or len(data) < 4:
        return [data]
    if kind < 0.95:
        cuts = sorted({luck.randrange(1, len(data)) for _ in range(luck.randrange(1, 6))})
    else:
        at = luck.randrange(1, len(data))
        cuts = list(range(at, min(at + 40, len(data))))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def mutated_requests(seed: int) -> list[bytes]:
    """What one connection says, in the pieces in which it is sent."""
    luck = random.Random(seed)
    if luck.random() < 0.02:
        return pieces_of(luck, luck.choice(GARBAGE))
    count = luck.choice([1, 1, 1, 2, 3, 8, 40])
    data = b"".join(request_of(luck) for _ in range(count))
    if luck.random() < 0.25:
        data = slip(luck, data)
    return pieces_of(luck, data)


STATUSES: Final = [b"200 OK", b"200 OK", b"404 Not Found", b"204 No Content", b"304 Not Modified", b"500 Oh", b"401 Who"]
ODD_STATUSES: Final = [
    b"100 Continue", b"101 Switching Protocols", b"103 Early", b"199 x", b"0", b"099 x", b"999 x", b"2000 OK", b"20 OK", b"abc OK",
    b"200", b"200OK", b"200  OK", b"200 O\x00K", b"200 O\rK", b"-20 OK", b"200 " + b"x" * 40000, b"600 x",
]  # fmt: skip


def answer_of(luck: random.Random) -> tuple[bytes, bool]:
    """One answer, and whether its end is the connection's."""

    def odd(share: float = 0.05) -> bool:
        return luck.random() < share

    status = luck.choice(ODD_STATUSES) if odd(0.08) else luck.choice(STATUSES)
    version = luck.choice(ODD_VERSIONS) if odd(0.03) else luck.choice(VERSIONS)
    fields = [*luck.sample(FIELDS, luck.randrange(3)), (b"Date", b"Sat, 21 Nov 2026 09:00:00 GMT")]
    fields += luck.sample(ODD_FIELDS, luck.randrange(3) if odd(0.3) else 0)
    if odd(0.02):
        fields += [(b"X%d" % number, b"") for number in range(luck.choice([99, 101, 5000]))]
    if odd(0.1):
        fields.append((b"Set-Cookie", b"a=b; Path=/"))
    if odd(0.02):
        status = b"101 Switching Protocols"
        fields += UPGRADE
    content = luck.choice(BODIES)
    ends = False
    framing = luck.random()
    if framing < 0.45:
        length = luck.choice(LENGTHS) if odd() else b"%d" % (len(content) + odd() - odd())
        fields.append((b"Content-Length", length))
        body = content
    elif framing < 0.9:
        fields.append((b"Transfer-Encoding", luck.choice(CODINGS) if odd() else b"chunked"))
        body = chunked(luck, content, odd(0.15))
    else:
        body, ends = content, True
    if odd(0.03):
        fields.append((b"Content-Length", luck.choice(LENGTHS)))
    luck.shuffle(fields)
    end = luck.choice(LINE_ENDS) if odd(0.03) else b"\r\n"
    lines = [version + b" " + status, *(name + b": " + value for name, value in fields)]
    return end.join(lines) + end + end + body, ends


def mutated_answer(seed: int | str) -> tuple[list[bytes], bool]:
    """The pieces of an answer, and whether the connection is to be closed behind them."""
    luck = random.Random(seed)
    if luck.random() < 0.02:
        return pieces_of(luck, luck.choice(GARBAGE)), True
    before = b"HTTP/1.1 103 Early Hints\r\n\r\n" * luck.choice([0, 0, 0, 0, 0, 1, 15, 16, 17, 3000])
    answer, ends = answer_of(luck)
    data = before + answer
    if luck.random() < 0.05:
        data += answer_of(luck)[0]
    if luck.random() < 0.3:
        data = slip(luck, data)
    return pieces_of(luck, data), ends or luck.random() < 0.2
