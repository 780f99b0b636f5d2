"""Forms that look like functions or assertions but are the checker's own, as Cards for pages and hover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from policylang.sdk import static_types as t
from policylang.sdk.card import FunctionCard, ParamCard
from policylang.sdk.static_types import Type


def _never(*_: Any) -> Any:
    raise TypeError("worked out by the checker")


def _param(name: str, doc: str, *types: Type, positional: bool = True, required: bool = True, none: bool = False,
           lazy: bool = True, shown: bool = False) -> ParamCard:  # fmt: skip
    return ParamCard(
        name=name, doc=doc, types=types, lazy=lazy, positional=positional, required=required, accepts_none=none,
        shown=shown, attribute=name,
    )  # fmt: skip


def _card(
    name: str, summary: str, doc: str, example: str, params: tuple[ParamCard, ...], returns: Type
) -> FunctionCard:
    call: Callable[..., Any] = _never
    return FunctionCard(
        name=name, group="language", summary=summary, doc=doc, example=example, params=params, returns=returns,
        call=call, prepare=None, returns_for=None, pure=False,
    )  # fmt: skip


ENV = _card(
    "env", "An environment variable of the gateway.",
    "Read when the policy is loaded; the name is a literal. One that is not set is an error unless there is a default.",
    'let region = env("REGION", default: "eu")',
    (_param("name", "The variable's name.", t.STRING), _param("default", "What it is when it is not set.", t.STRING,
                                                              positional=False, required=False)),
    t.STRING,
)  # fmt: skip
SECRET = _card(
    "secret", "A secret of the gateway's surroundings.",
    "Read when the policy is loaded, from the file of that name in `$CREDENTIALS_DIRECTORY`, else from the environment "
    "variable of that name; the name is a literal. It is private.",
    'let signing_key = secret("SIGNING_KEY")',
    (_param("name", "The secret's name.", t.STRING),),
    t.STRING,
)
FILE = _card(
    "file", "The text of a file, read with the policy.",
    "The path is a literal, relative to the policy's own file.",
    'respond 200, body: file("page.html"), content_type: "text/html"',
    (_param("path", "The file's path.", t.STRING),),
    t.STRING,
)
MAP = _card(
    "map", "A map that is declared with `map`.",
    "The name is a literal. A map with a `file:` is a constant: a JSON object from keys to values. One with a `ttl:` "
    "lives in the store: it is given to `lookup`, `store` and their like, and is no value.",
    'map("clients")["k1"]',
    (_param("name", "The map's name.", t.STRING),),
    t.MAP,
)
ALL = _card(
    "all", "Every value of a header field, query parameter or cookie.",
    "A list in the order of the message, empty where there is none. Read plainly, a repeated query parameter or cookie "
    "is refused.",
    'for tag in all(request.query.tag) { require tag != "" }',
    (_param("of", "A header field, query parameter or cookie of a message.", t.STRING),),
    t.list_of(t.STRING),
)
REVEAL = _card(
    "reveal", "A private value that may be shown from here on.",
    "`private` sticks to whatever is computed from a private value; this ends it.",
    "log \"key ${reveal(substring(request.bearer, 0, 4))}\"",
    (_param("value", "Any value.", t.ANY, none=True),),
    t.JSON,
)
SPECIAL = {card.name: card for card in (ALL, ENV, FILE, MAP, REVEAL, SECRET)}

RESPOND = (
    _param("status", "The answer's status, 200 to 599.", t.NUMBER),
    _param("body", "The answer's body as text.", t.STRING, t.BYTES, positional=False, required=False, shown=True),
    _param("json", "A value that becomes the body, as JSON.", t.JSON, positional=False, required=False, none=True,
           shown=True),
    _param("content_type", "The body's type; `text/plain` for text, `application/json` for JSON.", t.STRING,
           positional=False, required=False),
    _param("header", "Header fields of the answer: a map of names and texts.", t.MAP, positional=False, required=False),
)  # fmt: skip
"""What `respond` takes."""
FAIL = (
    _param("status", "The failure's status, 400 to 599.", t.NUMBER),
    _param("detail", "What the client is told.", t.STRING, required=False, shown=True),
    _param("name", "The failure's name, letters and `-`.", t.STRING, positional=False, required=False, lazy=False),
    _param("title", "A short title for this kind of failure.", t.STRING, positional=False, required=False, shown=True),
)
"""What `fail` takes."""
SPLIT = (
    _param("by", "What decides, the same way each time; left out: each request is drawn anew.", t.KEY,
           positional=False, required=False),
    _param("name", "Splits of one name decide alike; left out: each by itself.", t.STRING, positional=False,
           required=False, lazy=False),
)  # fmt: skip
"""What `split` takes."""
SERVICE = (
    ParamCard("path", "A path, with `{name}` for a segment and `**` for the rest.", (t.list_of(t.STRING),), False, True,
              many=True),
    ParamCard("methods", "The methods it answers; all where none is given.", (t.list_of(t.STRING),), False,
              required=False),
    ParamCard("host", "The host it answers for, as `api.example` or `*.example`.", (t.STRING,), False, required=False),
)  # fmt: skip
"""What stands after `service NAME`."""
MAP_DECLARATION = (
    ParamCard("file", "A file with a JSON object.", (t.STRING,), False, required=False),
    ParamCard("ttl", "How long an entry of a map in the store lives: at most 400d.", (t.DURATION,), False,
              required=False),
    ParamCard("max_entry", "How large a value may be as JSON, in a map in the store: at most 1MiB.", (t.SIZE,), False,
              required=False, default="64KiB"),
    ParamCard("private", "Whether what a map in the store holds is private; its keys are stored as hashes then.",
              (t.BOOLEAN,), False, required=False, default="false"),
)
"""What stands after `map NAME`."""
