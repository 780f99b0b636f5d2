"""Paths, hosts and methods of services: what is written, and if two services claim one request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from policylang.check import program as p
from policylang.check.report import Report
from policylang.diagnostics import Label
from policylang.source import Span

_CAPTURE = re.compile(r"\{([A-Za-z_]\w*)\}", re.ASCII)
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*")
"""RFC 3986, 3.3: what a segment is made of."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
STANDARD_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def read_path(report: Report, span: Span, text: str) -> p.PathPattern | None:
    """A service's path as segments; None when it was reported."""

    def wrong(message: str, cure: str) -> None:
        report.error("bad-path", span, message, help=cure)

    if not text.startswith("/"):
        wrong("a service's path begins with `/`", f'write "/{text[:40]}"' if text.isprintable() else 'write "/…"')
        return None
    if "?" in text or "#" in text:
        wrong("a service's path has no query", "read the query inside, with `request.query.name`")
        return None
    parts = text[1:].split("/")
    segments: list[str | tuple[str, ...]] = []
    captures: set[str] = set()
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            if not last:
                wrong("`**` can stand at a path's end only", "write `{name}` for one segment in the middle")
                return None
            segments.append(())
            continue
        capture = _CAPTURE.fullmatch(part)
        if capture is not None:
            name = capture[1]
            if name in captures:
                wrong(f"the path captures `{name}` twice", "give each capture a name of its own")
                return None
            captures.add(name)
            segments.append((name,))
            continue
        found = _literal(wrong, part, last)
        if found is None:
            return None
        segments.append(found)
    return p.PathPattern(span, text, tuple(segments))


def _literal(wrong: object, part: str, last: bool) -> str | None:
    assert callable(wrong)
    if "{" in part or "}" in part:
        wrong(f"`{part}` mixes a capture with text", "a capture is a whole segment, such as `/{name}/`")
    elif part == "*":
        wrong("`*` stands for nothing in a path", "write `{name}` for one segment, `**` for all that follow")
    elif "*" in part:
        wrong(f"`{part}` mixes `*` with text", "write `{name}` for one segment, `**` for all that follow")
    elif part in (".", ".."):
        wrong(f"a path with `{part}` is never asked for", "it is resolved before services are looked at: leave it out")
    elif not part and not last:
        wrong("a path with an empty segment is never asked for", "write one `/`")
    elif not _SEGMENT.fullmatch(part) and part.isascii():
        wrong(f"`{part}` cannot stand in a path" if part.isprintable() else "that cannot stand in a path",
              "percent-encode it, such as `%20` for a space")  # fmt: skip
    else:
        decoded = unquote_to_bytes(part) if part.isascii() else part.encode("utf-8")
        if b"/" in decoded or b"\\" in decoded or b"\0" in decoded:
            wrong("a path with an encoded `/`, `\\` or NUL is never asked for", "such requests are refused with 400")
            return None
        try:
            return decoded.decode("utf-8")
        except UnicodeDecodeError:
            wrong(f"`{part}` is not UTF-8 when it is decoded", "encode the text as UTF-8")
    return None


def read_host(report: Report, span: Span, text: str) -> str:
    """A host in small letters, "" when it was reported."""
    host = text.lower()
    name = host.removeprefix("*.")
    if ":" in host and "://" not in host and not host.startswith("["):
        report.error("bad-host", span, f"`{text}` has a port", help="a host stands without its port")
        return ""
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in labels):
        cure = 'write one such as "api.example" or "*.example"'
        if "://" in host:
            cure = "leave out the scheme and the path"
        elif "*" in host:
            cure = 'a `*` stands for the first label only, as in "*.example"'
        elif not host.isascii():
            cure = "write international names as they are sent: `xn--…`"
        report.error("bad-host", span, f"`{text}` is no host" if text.isprintable() else "that is no host", help=cure)
        return ""
    return host


def read_methods(report: Report, places: Sequence[tuple[Span, str]]) -> tuple[str, ...]:
    found: list[str] = []
    for span, text in places:
        wrong = wrong_method(text)
        if wrong is not None:
            report.error("bad-method", span, wrong[0], help=wrong[1])
        elif text not in found:
            found.append(text)
    return tuple(found)


def wrong_method(text: str) -> tuple[str, str] | None:
    """What is wrong with a method, and the cure."""
    if not _METHOD.fullmatch(text):
        return f"`{text}` is no method" if text.isprintable() else "that is no method", 'write one such as "GET"'
    if text != text.upper() and text.upper() in STANDARD_METHODS:
        return f"`{text}` is not `{text.upper()}`: methods are told apart by case", f'write "{text.upper()}"'
    if text == "CONNECT":
        return "a gateway does not serve `CONNECT`", "leave it out"
    return None


class Claims:
    """Which service answers for which host, path and methods."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, tuple[object, ...]], list[tuple[tuple[str, ...], str, Span]]] = {}

    def claim(self, report: Report, service: str, host: str, methods: tuple[str, ...], path: p.PathPattern) -> None:
        """Report a path that another service, or this one, has claimed for one of the methods."""
        shape = tuple(segment if isinstance(segment, str) else len(segment) for segment in path.segments)
        others = self._known.setdefault((host, shape), [])
        for other, name, span in others:
            both = [method for method in methods if method in other]
            if methods and other and not both:
                continue
            what = f"`{path.text}` belongs to `{name}` already" if name != service else f"`{path.text}` stands twice"
            if both:
                what += " for " + ", ".join(f"`{each}`" for each in both)
            report.error(
                "same-path", path.span, what, labels=[Label(span, "claimed here")],
                help="tell them apart by path, `host:` or `methods:`, or write one service with a `match`"
                if name != service else "leave one of them out",
            )  # fmt: skip
            break
        others.append((methods, service, path.span))
