"""`set` and `remove`: what can be written, and with what."""

from __future__ import annotations

from dataclasses import replace

from policylang.check import program as p
from policylang.check.expressions import present
from policylang.check.fitting import target
from policylang.check.kinds import INTERPOLATES, accepts, phrase, phrases
from policylang.check.literals import header_value, status, written_header
from policylang.check.measures import missing_unit
from policylang.check.members import CONTEXT, NAMED, named_key
from policylang.check.names import check_name
from policylang.check.paths import read_methods
from policylang.check.scope import Ended
from policylang.check.walk import Walk, is_unknown
from policylang.diagnostics import Label
from policylang.sdk import static_types as t
from policylang.sdk.static_types import Type
from policylang.syntax import nodes as n

_FIELDS: dict[str, dict[str, tuple[str, tuple[Type, ...]]]] = {
    "request": {
        "method": ("method", (t.STRING,)), "path": ("path", (t.STRING,)), "query": ("query_string", (t.STRING,)),
        "body": ("body", (t.STRING, t.BYTES)), "text": ("text", (t.STRING,)), "json": ("json", (t.JSON,)),
    },
    "response": {
        "status": ("status", (t.NUMBER,)), "body": ("body", (t.STRING, t.BYTES)), "text": ("text", (t.STRING,)),
        "json": ("json", (t.JSON,)),
    },
}  # fmt: skip


def check_set(walk: Walk, node: n.Set) -> p.Statement | None:
    place, kinds = _place(walk, node.target, "set")
    value = walk.value(node.value)
    if place is None:
        return None
    if isinstance(place, p.SlotPlace):
        _set_variable(walk, place, value, node)
        return p.SetPlace(node.span, place, value)
    _fits(walk, node.target, kinds, value)
    _literal(walk, place, value)
    if value.private:
        _taint(walk, place)
    return p.SetPlace(node.span, place, value)


def _literal(walk: Walk, place: p.FieldPlace | p.NamedPlace, value: p.Expr) -> None:
    """Report a value that is known now and cannot stand there."""
    if isinstance(place, p.NamedPlace):
        if place.kind == "header":
            header_value(walk, value)
    elif place.field == "status":
        status(walk, value, 200, 599, "a response")
    elif place.field == "path":
        target(walk, value)
    elif place.field == "method" and isinstance(value, p.Const) and isinstance(value.value, str):
        read_methods(walk.report, [(value.span, value.value)])


def check_remove(walk: Walk, node: n.Remove) -> p.Statement | None:
    place, _ = _place(walk, node.target, "remove")
    if place is None:
        return None
    if isinstance(place, p.SlotPlace):
        state = walk.state
        var = state.names.get(place.name)
        if var is not None and (var.optional or var.type.name == "unknown"):
            state.names[place.name] = replace(var, type=var.type.maybe())
        elif var is not None:
            del state.names[place.name]
            state.ended[place.name] = Ended(replace(var, span=node.span), "", "removed", False)
    elif isinstance(place, p.FieldPlace) and place.field in ("method", "path", "status"):
        walk.error("cannot-remove", node.target.span, f"a message cannot be without its {place.field}",
                   help=f"change it with `set {node.target.span.text} = …`")  # fmt: skip
        return None
    return p.RemovePlace(node.span, place)


# --- places --------------------------------------------------------------------------------------


def _place(walk: Walk, node: n.Expr, verb: str) -> tuple[p.Place | None, tuple[Type, ...]]:
    if isinstance(node, n.Name):
        return _variable(walk, node, verb), ()
    if isinstance(node, n.BadExpr):
        return None, ()
    base: n.Expr = node
    while isinstance(base, (n.Member, n.Index)):
        base = base.base
    if not isinstance(base, n.Name):
        walk.error(f"cannot-{verb}", node.span, f"`{verb}` changes a name or a part of a message",
                   help=f"write `{verb}` and a name, or a part of `request` or `response`")  # fmt: skip
        return None, ()
    root = base.name
    if root in ("request", "response"):
        return _message_place(walk, node, base, verb)
    if root in CONTEXT or (root == "failure" and walk.knows_failure):
        walk.error(f"cannot-{verb}", node.span, f"`{root}` can be read, not changed",
                   help="`set` and `remove` change your own names, and parts of `request` and `response`")  # fmt: skip
        return None, ()
    if _variable(walk, base, verb) is not None:
        walk.error(
            f"cannot-{verb}", node.span, f"a part of `{root}` cannot be changed by itself",
            help=f"set the whole: `set {root} = merge({root}, {{ … }})`",
        )  # fmt: skip
    return None, ()


def _variable(walk: Walk, node: n.Name, verb: str) -> p.SlotPlace | None:
    word = node.name
    var = walk.state.names.get(word)
    if var is not None:
        if var.kind in ("let", "output"):
            return p.SlotPlace(var.slot, word)
        what = {"parameter": "a parameter", "loop": "the name of a loop", "caught": "a caught failure"}[var.kind]
        walk.error(
            f"cannot-{verb}", node.span, f"`{word}` is {what} and cannot be changed",
            labels=[Label(var.span, "bound here")], help=f"copy it first: `let changed = {word}`",
        )  # fmt: skip
        return None
    ended = walk.state.ended.get(word)
    if ended is not None and ended.reached == "removed":
        return p.SlotPlace(ended.var.slot, word)
    if word in walk.unit.constant_spans:
        walk.error(
            f"cannot-{verb}", node.span, f"`{word}` is a constant and cannot be changed",
            labels=[Label(walk.unit.constant_spans[word], "declared here")],
            help=f"copy it first: `let changed = {word}`",
        )  # fmt: skip
        return None
    if word in CONTEXT:
        cure = f"change a part of it, such as `{word}.header[\"X-Account\"]`" if word in NAMED else (
            "`set` and `remove` change your own names, and parts of `request` and `response`")  # fmt: skip
        walk.error(f"cannot-{verb}", node.span, f"`{word}` cannot be changed as a whole", help=cure)
        return None
    check_name(walk, node)  # says that it is unknown, or unset here
    return None


def _message_place(walk: Walk, node: n.Expr, root: n.Name, verb: str) -> tuple[p.Place | None, tuple[Type, ...]]:
    word = root.name
    if walk.place == "constant" or not _response_can(walk, root, verb):
        return None, ()
    names = NAMED[word]
    outer = node.base if isinstance(node, (n.Member, n.Index)) else None
    if isinstance(outer, n.Member) and outer.base is root and outer.name in names:
        if isinstance(node, n.Member):
            key: p.Expr = p.Const(node.name_span, t.STRING, False, node.name)
        else:
            assert isinstance(node, n.Index)
            key = walk.value(node.key)
        if not named_key(walk, outer.name, key):
            return None, ()
        if outer.name == "header" and isinstance(key, p.Const) and not written_header(walk, key.span, key.value):
            return None, ()
        kinds = (t.STRING, t.list_of(t.STRING)) if outer.name == "header" else (t.STRING,)
        return p.NamedPlace(word, outer.name, key), kinds
    if isinstance(node, n.Member) and outer is root:
        found = _FIELDS[word].get(node.name)
        if found is not None:
            return p.FieldPlace(word, found[0]), found[1]
        known = list(dict.fromkeys([*_FIELDS[word], *names]))
        close = walk.unit.nearest(node.name, known)
        if node.name == "content_type":
            cure = f'change the field: `{verb} {word}.header["Content-Type"]`'
        elif node.name in names:
            cure = f'name the one that is meant, as in `{word}.{node.name}["X-Account"]`'
        elif close is not None:
            cure = f"did you mean `{word}.{close}`?"
        else:
            cure = f"of {word} one can change " + ", ".join(f"`{each}`" for each in known)
        walk.error(f"cannot-{verb}", node.name_span, f"`{word}.{node.name}` cannot be changed", help=cure)
        return None, ()
    if isinstance(outer, n.Member) and outer.base is root and outer.name == "cookie":
        walk.error(f"cannot-{verb}", node.span, f"`{word}` has no cookies that could be changed one by one",
                   help='write the field: `set response.header["Set-Cookie"] = "name=value; HttpOnly"`')  # fmt: skip
        return None, ()
    walk.error(
        f"cannot-{verb}", node.span, "a part of a body cannot be changed by itself",
        help=f"set the whole: `set {word}.json = merge({word}.json, {{ … }})`",
    )  # fmt: skip
    return None, ()


def _response_can(walk: Walk, root: n.Name, verb: str) -> bool:
    if root.name != "response":
        return True
    found = check_name(walk, root)
    if is_unknown(found):
        return False
    if found.type.optional:
        walk.error(
            "may-be-none", root.span, "`response` may be `none` in `on failure`",
            help="write `if response != none { … }` around it",
        )  # fmt: skip
        return False
    return True


# --- values --------------------------------------------------------------------------------------


def _set_variable(walk: Walk, place: p.SlotPlace, value: p.Expr, node: n.Set) -> None:
    state = walk.state
    var = state.names.get(place.name)
    if var is None:
        ended = state.ended.pop(place.name)
        var = replace(ended.var, type=value.type.sure())
    kind = value.type
    if kind.name == "none":
        if not var.optional:
            walk.error(
                "may-be-none", value.span, f"`{place.name}` cannot be `none`",
                labels=[Label(var.span, "bound here, without `?`")], help=f"bind it as `let {place.name}? = …`",
            )  # fmt: skip
        else:
            state.names[place.name] = replace(var, type=var.type.maybe())
        return
    if not (accepts(var.type, kind) or (var.type.name == "json" and kind.name != "unknown")):
        if isinstance(value, p.Const) and kind.name == "number" and var.type.name in ("duration", "size", "rate"):
            missing_unit(walk, value, var.type.name, f"`{place.name}` is a {var.type.name}")
        else:
            walk.error(
                "wrong-type", value.span, f"`{place.name}` is {phrase(var.type)}, not {phrase(kind)}",
                labels=[Label(var.span, "bound here")], help="convert the value, or bind another name",
            )  # fmt: skip
    elif var.optional:
        state.names[place.name] = replace(var, type=var.type.maybe() if kind.optional else var.type.sure())
    else:
        present(walk, value, f"`{place.name}`")
        state.names[place.name] = var
    if value.private:
        walk.frame.tainted.add(var.slot)


def _fits(walk: Walk, target: n.Expr, kinds: tuple[Type, ...], value: p.Expr) -> None:
    kind = value.type
    if kind.name == "unknown":
        return
    text = target.span.text
    if kind.name == "none":
        if any(wanted.name == "json" for wanted in kinds):
            return
        walk.error("may-be-none", value.span, f"`{text}` cannot be `none`", help=f"write `remove {text}`")
        return
    if not any(accepts(wanted, kind) for wanted in kinds):
        cure = ""
        if kind.name in INTERPOLATES and "\n" not in value.span.text and '"' not in value.span.text:
            cure = f'make text of it: `"${{{value.span.text}}}"`'
        elif kind.name in ("list", "map"):
            cure = f"write it as JSON: `json({value.span.text})`"
        walk.error("wrong-type", value.span, f"`{text}` takes {phrases(kinds)}, not {phrase(kind)}", help=cure)
        return
    if not any(wanted.name == "json" for wanted in kinds):
        present(walk, value, f"`{text}`")


def _taint(walk: Walk, place: p.FieldPlace | p.NamedPlace) -> None:
    """A private value was written there: who reads it again reads something private."""
    tainted = walk.frame.tainted
    if isinstance(place, p.NamedPlace):
        key = place.key
        name = key.value if isinstance(key, p.Const) and isinstance(key.value, str) else ""
        tainted.add((place.message, place.kind, name.lower() if place.kind == "header" else name))
        return
    if place.field in ("body", "text", "json"):
        tainted.add((place.message, "body", ""))
    elif place.field == "query_string":
        tainted.add((place.message, "query", ""))
    else:
        tainted.add((place.message, place.field, ""))
