"""Documents as they are sent and kept, read back: JSON, and the value of a `Polgate-Journal` field."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from policylang.trace.document import VERSION

MOST_TEXT = 16 << 20
"""Characters of a document that is read, also unpacked."""
LONGEST_FIELD = 24 << 10
"""Bytes of a `Polgate-Journal` field."""


class NotAJournal(ValueError):
    """`str()` says on one line what is wrong with a text."""


def read(text: str) -> dict[str, Any]:
    """A document of its JSON text. Raises NotAJournal."""
    if len(text) > MOST_TEXT:
        raise NotAJournal(f"this is no journal: it has over {MOST_TEXT} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "nesting"
        raise NotAJournal(f"this is no journal: it is not JSON ({where})") from None
    if not isinstance(found, dict) or "version" not in found:
        raise NotAJournal("this is no journal: it is no JSON object with a `version`")
    if found["version"] != VERSION:
        theirs = json.dumps(found["version"])[:20]
        raise NotAJournal(f"this journal has version {theirs}, and version {VERSION} is read here")
    _check(found, "", _DOCUMENT, _MAYBE_DOCUMENT)
    return found


# --- its shape ---

Test = Callable[[Any, str], None]


def _is(kind: type, word: str) -> Test:
    def test(value: Any, path: str) -> None:
        if type(value) is not kind or (isinstance(value, int) and abs(value) > _LARGEST):
            raise NotAJournal(f"this journal is damaged: `{path}` is not {word}")

    return test


def _object(needed: dict[str, Test], maybe: dict[str, Test]) -> Test:
    return lambda value, path: _check(value, path, needed, maybe)


def _list(each: Test) -> Test:
    def test(value: Any, path: str) -> None:
        _A_LIST(value, path)
        for number, item in enumerate(value):
            each(item, f"{path}[{number}]")

    return test


def _texts(value: Any, path: str) -> None:
    _AN_OBJECT(value, path)
    for name, text in value.items():
        _TEXT(text, f"{path}.{name}")


def _outcome(value: Any, path: str) -> None:
    if value not in ("passed", "failed", "responded", "cancelled"):
        raise NotAJournal(f"this journal is damaged: `{path}` is no outcome")


def _check(value: Any, path: str, needed: dict[str, Test], maybe: dict[str, Test]) -> None:
    """Names that are not known here are left alone: a later version may have added them."""
    _AN_OBJECT(value, path or "the whole")
    for name, test in needed.items():
        if name not in value:
            raise NotAJournal(f"this journal is damaged: `{path}{'.' * bool(path)}{name}` is missing")
        test(value[name], f"{path}{'.' * bool(path)}{name}")
    for name, test in maybe.items():
        if name in value:
            test(value[name], f"{path}{'.' * bool(path)}{name}")


_LARGEST = 1 << 62
_TEXT = _is(str, "text")
_NUMBER = _is(int, "a whole number")
_A_LIST = _is(list, "a list")
_AN_OBJECT = _is(dict, "an object")
_PLACE = {"file": _TEXT, "line": _NUMBER, "column": _NUMBER, "end_line": _NUMBER, "end_column": _NUMBER}
_ENTRY = {**_PLACE, "word": _TEXT, "depth": _NUMBER, "outcome": _outcome}
_MAYBE_ENTRY = {
    "name": _TEXT, "status": _NUMBER, "kind": _TEXT, "at": _NUMBER, "took": _NUMBER, "reads": _texts, "binds": _texts,
    "body": _object(_PLACE, {}),
}  # fmt: skip
_DOCUMENT = {
    "policy": _TEXT, "service": _TEXT, "time": _TEXT, "elapsed": _NUMBER,
    "request": _object({"method": _TEXT, "path": _TEXT, "host": _TEXT}, {"query": _TEXT, "id": _TEXT}),
    "client": _object({"ip": _TEXT, "port": _NUMBER}, {}),
    "parts": _list(_object({**_PLACE, "word": _TEXT}, {"name": _TEXT})),
    "entries": _list(_object(_ENTRY, _MAYBE_ENTRY)),
}  # fmt: skip
_MESSAGE = {"fields": _list(_list(_TEXT))}
_RECEIVED = {**_MESSAGE, "upstream": _TEXT, "copy": _is(bool, "true or false"), "method": _TEXT, "target": _TEXT,
             "host": _TEXT}  # fmt: skip
_MAYBE_DOCUMENT = {
    "received": _list(_object(_RECEIVED, {"body": _TEXT})),
    "answer": _object({**_MESSAGE, "status": _NUMBER}, {"body": _TEXT}),
    "user": _TEXT, "status": _NUMBER, "cut": _object({"after": _NUMBER, "entries": _NUMBER}, {}),
    "failure": _object({"name": _TEXT, "status": _NUMBER, "kind": _TEXT, "title": _TEXT},
                       {"detail": _TEXT, "assertion": _TEXT, **_PLACE}),
}  # fmt: skip


# --- as a field ---


def to_field(document: dict[str, Any], most: int = LONGEST_FIELD) -> bytes:
    """The value of a `Polgate-Journal` field: base64url of zlib of the JSON, without padding.

    At most `most` bytes: entries in the middle are left out until it fits. Empty where not even the rest does.
    """
    while True:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        packed = base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).rstrip(b"=")
        if len(packed) <= most:
            return packed
        entries = document["entries"]
        if not entries:
            return b""
        # What a share of the entries comes to is nearly their share of the bytes.
        document = shortened(document, min(len(entries) - 1, len(entries) * most // len(packed)))


def shortened(document: dict[str, Any], most: int) -> dict[str, Any]:
    """A copy with at most so many entries; those in the middle are left out and counted in `cut`."""
    entries = document["entries"]
    gone = len(entries) - most
    if gone <= 0:
        return document
    cut = document.get("cut")
    first = min(most // 2, cut["after"]) if cut else most // 2
    counted = gone + (cut["entries"] if cut else 0)
    kept = [*entries[:first], *entries[first + gone :]]
    return {**document, "entries": kept, "cut": {"after": first, "entries": counted}}


def from_field(value: str) -> dict[str, Any]:
    """The document in the value of a `Polgate-Journal` field. Raises NotAJournal."""
    text = value.strip()
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(packed, MOST_TEXT)
    except (binascii.Error, zlib.error, ValueError):
        raise NotAJournal("this is no journal: it is no value of a `Polgate-Journal` field") from None
    if not unpacking.eof:
        raise NotAJournal("this journal is damaged: the field was cut")
    return read(data.decode("utf-8", "replace"))


# --- whatever holds some ---


def read_all(text: str) -> Iterator[dict[str, Any]]:
    """The documents in a text: JSON, one after the other; the value of a `Polgate-Journal` field; or the heads of
    answers that have it. Raises NotAJournal.

    Lines that a gateway tells of its own while it is followed, those with the name `trace`, are passed over.
    """
    fields = re.findall(r"^[ \t<*]*polgate-journal:[ \t]*(\S*)", text, re.I | re.M)
    if fields:
        yield from map(from_field, fields)
        return
    stripped = text.strip()
    if not stripped:
        raise NotAJournal("this is no journal: it is empty")
    if not stripped.startswith("{"):
        if re.match(r"HTTP/[0-9.]+ ", stripped):
            why = re.search(r"^polgate-trace:[ \t]*(\S+)", text, re.I | re.M)
            cause = "the request showed no token of this gateway"
            if why is not None:
                cause = f"the gateway says of its token `{why[1][:40]}`"
            raise NotAJournal(f"this answer has no `Polgate-Journal` field: {cause}")
        yield from_field(stripped)
        return
    texts = [*_texts_of(stripped)]
    for number, each in texts:
        if re.match(r'\{\s*"trace"', each):
            continue
        try:
            yield read(each)
        except NotAJournal as error:
            raise NotAJournal(f"line {number}: {error}" if len(texts) > 1 else str(error)) from None


def _texts_of(text: str) -> Iterator[tuple[int, str]]:
    """One JSON text after the other, on a line each or on many, with the number of its first line. What is no JSON is
    one too, to its end."""
    decoder = json.JSONDecoder()
    place, line = 0, 1
    while place < len(text):
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = len(text)
        while end < len(text) and text[end].isspace():
            end += 1
        yield line, text[place:end]
        line += text.count("\n", place, end)
        place = end
