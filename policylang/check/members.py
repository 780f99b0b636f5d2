"""Context variables and members: `request.header["X"]`, `user.id`, `path.id`, `caller.contract`."""

from __future__ import annotations

from policylang.check import program as p
from policylang.check.kinds import phrase, type_of
from policylang.check.literals import header_name
from policylang.check.walk import Walk, is_unknown, unknown
from policylang.sdk import static_types as t
from policylang.sdk.static_types import BODY_FIELDS, PRIVATE_FIELDS, PRIVATE_HEADERS, RECORDS
from policylang.source import Span
from policylang.syntax import nodes as n

CONTEXT = ("request", "response", "path", "client", "user", "service", "gateway", "now")
NAMED = {"request": ("header", "query", "cookie"), "response": ("header",)}
IN_BALANCE = "use the request's path, query or fields, `client`, `user`, `service` or constants"
_PARTS = {"path": "path.id", "client": "client.ip", "service": "service.name", "gateway": "gateway.name"}


# --- context variables ---------------------------------------------------------------------------


def context_value(walk: Walk, span: Span, word: str) -> p.Expr:
    if not _context_here(walk, span, word):
        return unknown(span)
    if word == "request":
        if walk.place == "balance":
            walk.error("bad-balance", span, "`on` cannot read the whole request", help=IN_BALANCE)
            return unknown(span)
        return p.MessageRef(span, t.REQUEST, _message_tainted(walk, "request"), "request")
    if word == "response":
        if not _response_here(walk, span):
            return unknown(span)
        kind = t.RESPONSE.maybe() if walk.state.response == "maybe" else t.RESPONSE
        return p.MessageRef(span, kind, _message_tainted(walk, "response"), "response")
    if word == "user":
        return p.ContextValue(span, t.PRINCIPAL if walk.state.user else t.PRINCIPAL.maybe(), False, "user", "")
    if word == "now":
        return p.ContextValue(span, t.TIME, False, "now", "")
    if word == "failure":
        kind = t.FAILURE if walk.place == "failure" else t.FAILURE.maybe()
        return p.ContextValue(span, kind, False, "failure", "")
    walk.error(
        "not-a-value", span, f"`{word}` is not a value by itself", help=f"take a part of it, such as `{_PARTS[word]}`"
    )
    return unknown(span)


def _context_here(walk: Walk, span: Span, word: str) -> bool:
    if walk.place == "constant":
        walk.error(
            "not-constant", span, f"`{word}` is known only when a message is here",
            help="a constant is made of literals, other constants, `env`, `secret`, `file` and `map`",
        )  # fmt: skip
        return False
    if walk.place == "balance" and word in ("path", "response"):
        walk.error("bad-balance", span, f"`on` cannot read `{word}`", help=IN_BALANCE)
        return False
    if word == "path" and walk.captures is None:
        if walk.definition is not None or walk.place == "default":
            message = "an assertion does not see `path`"
            cure = "declare a parameter for it, and pass `path.…` where the assertion is called"
        else:
            message = "`path` is known in a service only"
            cure = "read `request.path`, which every request has"
        walk.error("unknown-name", span, message, help=cure)
        return False
    return True


def _response_here(walk: Walk, span: Span) -> bool:
    state = walk.state
    if state.response:
        return True
    if not state.lost:
        label = state.response_label
        if label is not None:
            walk.error(
                "unset-response", span, "there may be no `response` here", labels=[label],
                help="put a `route` on every way to this line, or move this line into that branch",
            )  # fmt: skip
        else:
            walk.error(
                "unset-response", span, "there is no `response` yet",
                help="`response` is known after `route`" if walk.place != "before"
                else "`global before` runs before every `route`: put this into `global after`",
            )  # fmt: skip
    return False


def _message_tainted(walk: Walk, message: str) -> bool:
    return (message, "body", "") in walk.frame.tainted


def check_member(walk: Walk, node: n.Member) -> p.Expr:
    base = node.base
    kind = type(base)
    if kind is n.Name:
        assert isinstance(base, n.Name)
        if _is_context(walk, base.name):
            return _context_member(walk, node.span, base, node.name, node.name_span)
    elif kind is n.Member:
        assert isinstance(base, n.Member)
        root = base.base
        if type(root) is n.Name and base.name in NAMED.get(root.name, ()):
            key = p.Const(node.name_span, t.STRING, False, node.name)
            return named(walk, node.span, root, base.name, key)
    found = walk.expr(base)
    key = p.Const(node.name_span, t.STRING, False, node.name)
    return member_of(walk, node.span, found, key)


def check_index(walk: Walk, node: n.Index) -> p.Expr:
    base = node.base
    if type(base) is n.Member:
        root = base.base
        if type(root) is n.Name and base.name in NAMED.get(root.name, ()):
            return named(walk, node.span, root, base.name, walk.value(node.key))
    elif type(base) is n.Name and _is_context(walk, base.name):
        key = walk.value(node.key)
        if isinstance(key, p.Const) and isinstance(key.value, str):
            return _context_member(walk, node.span, base, key.value, node.key.span)
        if not is_unknown(key):
            walk.error(
                "unknown-member", node.key.span, f"a member of `{base.name}` is named, not worked out",
                help=f"write `{base.name}.name`",
            )  # fmt: skip
        return unknown(node.span)
    return member_of(walk, node.span, walk.expr(base), walk.value(node.key))


def _is_context(walk: Walk, word: str) -> bool:
    return (word in CONTEXT or (word == "failure" and walk.knows_failure)) and word not in walk.state.names


def _context_member(walk: Walk, span: Span, root: n.Name, name: str, name_span: Span) -> p.Expr:
    word = root.name
    if not _context_here(walk, root.span, word):
        return unknown(span)
    if word == "request" or word == "response":
        return _message_field(walk, span, root, name, name_span)
    if word == "path":
        return _capture(walk, span, name, name_span)
    record = RECORDS["principal" if word == "user" else word] if word != "now" else {}
    kind = record.get(name)
    if kind is None:
        _unknown_member(walk, name_span, f"`{word}`", name, list(record))
        return unknown(span)
    if (word == "user" and not walk.state.user) or (word == "failure" and walk.place != "failure"):
        kind = kind.maybe()
    return p.ContextValue(span, kind, False, word, name)


def _message_field(walk: Walk, span: Span, root: n.Name, name: str, name_span: Span) -> p.Expr:
    word = root.name
    if word == "response" and not _response_here(walk, root.span):
        return unknown(span)
    kind = RECORDS[word].get(name)
    if kind is None:
        if name in NAMED[word]:
            example = 'header["X-Account"]' if name == "header" else f"{name}.name"
            walk.error(
                "unknown-member", name_span, f"`{word}.{name}` needs the name of the one that is meant",
                help=f"write `{word}.{example}`",
            )  # fmt: skip
        elif word == "response" and name == "cookie":
            walk.error(
                "unknown-member", name_span, "a response has no `cookie`",
                help='read `response.header["Set-Cookie"]`',
            )  # fmt: skip
        else:
            _unknown_member(walk, name_span, f"`{word}`", name, [*RECORDS[word], *NAMED[word]])
        return unknown(span)
    if walk.place == "balance" and name in BODY_FIELDS:
        walk.error("bad-balance", span, "`on` cannot read a body, which may not be here yet", help=IN_BALANCE)
        return unknown(span)
    private = f"{word}.{name}" in PRIVATE_FIELDS
    if walk.frame.tainted and not private:
        part = ("header", "content-type") if name == "content_type" else ("body" if name in BODY_FIELDS else name, "")
        private = (word, *part) in walk.frame.tainted
    if word == "response" and walk.state.response == "maybe":
        kind = kind.maybe()
    return p.MessageField(span, kind, private, word, name)


def named(walk: Walk, span: Span, root: n.Name, kind: str, key: p.Expr) -> p.Expr:
    """`request.header[X]`, `.query.x`, `.cookie.x`."""
    word = root.name
    if not _context_here(walk, root.span, word) or (word == "response" and not _response_here(walk, root.span)):
        return unknown(span)
    if not named_key(walk, kind, key):
        return unknown(span)
    return p.Named(span, t.STRING.maybe(), key.private or named_private(walk, word, kind, key), word, kind, key)


def named_key(walk: Walk, kind: str, key: p.Expr) -> bool:
    """Report a key that cannot name a header, query parameter or cookie. True when it can."""
    if is_unknown(key):
        return False
    if key.type.name not in ("string", "json"):
        walk.error("wrong-type", key.span, f"the name of a {kind} is text, not {phrase(key.type)}",
                   help=f'write {kind}["name"]')  # fmt: skip
        return False
    if kind == "header" and isinstance(key, p.Const):
        return isinstance(key.value, str) and header_name(walk, key.span, key.value)
    return True


def named_private(walk: Walk, message: str, kind: str, key: p.Expr) -> bool:
    if kind == "cookie":
        return True  # it is a part of the Cookie field
    if not isinstance(key, p.Const) or not isinstance(key.value, str):
        # worked out for each message, so it may name Authorization, or one that a private value was written to
        return kind == "header" or any(t[:2] == (message, kind) for t in walk.frame.tainted if isinstance(t, tuple))
    name = key.value.lower() if kind == "header" else key.value
    if kind == "header" and name in PRIVATE_HEADERS:
        return True
    tainted = walk.frame.tainted
    return bool(tainted) and ((message, kind, name) in tainted or (message, kind, "") in tainted)


def _capture(walk: Walk, span: Span, name: str, name_span: Span) -> p.Expr:
    captures = walk.captures or {}
    found = captures.get(name)
    if found is None:
        close = walk.unit.nearest(name, list(captures))
        if close is not None:
            cure = f"did you mean `path.{close}`?"
        elif captures:
            cure = "the path captures " + ", ".join(f"`{each}`" for each in captures)
        else:
            cure = f'write `{{{name}}}` for one segment of the service\'s path, as in "/items/{{{name}}}"'
        walk.error("unknown-capture", name_span, f"the service's path captures no `{name}`", help=cure)
        return unknown(span)
    if not found:
        walk.error(
            "unknown-capture", name_span, f"not every path of this service captures `{name}`",
            help=f"write `{{{name}}}` into each of its paths, or make two services of it",
        )  # fmt: skip
        return unknown(span)
    return p.ContextValue(span, t.STRING, False, "path", name)


# --- members of values ---------------------------------------------------------------------------


def member_of(walk: Walk, span: Span, base: p.Expr, key: p.Expr) -> p.Expr:
    kind = base.type.name
    if kind == "unknown" or key.type.name == "unknown":
        return unknown(span)
    if kind == "shared map":
        walk.not_here(base.span)
        return unknown(span)
    private = base.private or key.private
    key_kind = key.type.name
    if kind == "json" or kind == "map":
        if key_kind not in ("string", "json") and not (kind == "json" and key_kind == "number"):
            walk.error("wrong-type", key.span, f"a key of {phrase(base.type)} is text, not {phrase(key.type)}",
                       help='write the key in quotes: `x["key"]`')  # fmt: skip
            return unknown(span)
        if isinstance(base, p.Const) and isinstance(key, p.Const):
            return _folded(span, base, key, private)
        found = base.type.of if kind == "map" and base.type.of is not None else t.JSON
        return p.MemberOf(span, found.maybe(), private, base, key)
    if kind == "list":
        if key_kind not in ("number", "json"):
            name = key.value if isinstance(key, p.Const) else None
            walk.error(
                "unknown-member", key.span, f"a list has no member `{name}`" if name else "an element has a number",
                help="take an element by its number, as in `x[0]`, or go through all with `for`",
            )  # fmt: skip
            return unknown(span)
        if isinstance(base, p.Const) and isinstance(key, p.Const):
            return _folded(span, base, key, private)
        return p.MemberOf(span, (base.type.of or t.JSON).maybe(), private, base, key)
    record = RECORDS.get(kind)
    if record is not None and kind in ("principal", "failure", "certificate"):
        name = key.value if isinstance(key, p.Const) else None
        member = record.get(name) if isinstance(name, str) else None
        if member is None:
            _unknown_member(walk, key.span, phrase(base.type), str(name), list(record))
            return unknown(span)
        return p.MemberOf(span, member.maybe() if base.type.optional else member, private, base, key)
    name = key.value if isinstance(key, p.Const) else None
    what = f"no member `{name}`" if isinstance(name, str) else "no elements"
    cure = "a member is taken of JSON, maps and records"
    if kind == "xml":
        cure = 'take a part of it with `xpath(r"//name", in: request)`'
    elif kind == "string":
        cure = "take a part of text with `substring(…)`, `split(…)` or `regex(…)`"
    elif kind == "none":
        cure = "`none` has no members"
    walk.error("unknown-member", key.span, f"{phrase(base.type)} has {what}", help=cure)
    return unknown(span)


def _folded(span: Span, base: p.Const, key: p.Const, private: bool) -> p.Const:
    """A look-up in a constant: none where it is not there, as for every message."""
    value = None
    inside, name = base.value, key.value
    if isinstance(inside, dict):
        value = inside.get(name) if isinstance(name, str) else None
    elif isinstance(inside, (list, tuple)) and isinstance(name, int) and not isinstance(name, bool):
        value = inside[name] if 0 <= name < len(inside) else None
    return p.Const(span, type_of(value), private, value)


def _unknown_member(walk: Walk, span: Span, owner: str, name: str, known: list[str]) -> None:
    close = walk.unit.nearest(name, known)
    if close is not None:
        cure = f"did you mean `{close}`?"
    elif known:
        cure = "it has " + ", ".join(f"`{each}`" for each in known)
    else:
        cure = "take a part of a time with `hour(…)`, `weekday(…)` or `format_time(…)`"
    walk.error("unknown-member", span, f"{owner} has no member `{name}`", help=cure)
