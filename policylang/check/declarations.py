"""Declarations other than services: settings of gateway and upstreams, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from policylang.check import program as p
from policylang.check.arguments import assign, bind, signature_of
from policylang.check.fitting import argument, fit
from policylang.check.gateway_cards import split_address
from policylang.check.literals import place_of
from policylang.check.scope import Slots
from policylang.check.setting import Setting
from policylang.check.settings import GATEWAY, UPSTREAM
from policylang.check.special import MAP_DECLARATION
from policylang.check.unit import DeclaredMap, Unit
from policylang.check.walk import Frame, Walk
from policylang.diagnostics import Edit, Fix, Label
from policylang.sdk.card import Card
from policylang.sdk.shared_map import LARGEST, LONGEST, SharedMap
from policylang.sdk.values import Duration, Size
from policylang.source import Span
from policylang.syntax import nodes as n

_LATER = {
    "gateway": frozenset({"trust", "tls"}),
    "upstream": frozenset({"resolve", "hedge"}),
}
"""Settings that are planned: said to be so, rather than to be unknown."""
_MAP = signature_of("map", MAP_DECLARATION)
_ON = replace(next(each for each in UPSTREAM["balance"].params if each.name == "on"), accepts_none=False)


def _walk(unit: Unit, place: str = "constant") -> Walk:
    return Walk(unit, Frame("", Slots()), place)


# --- settings ------------------------------------------------------------------------------------


def gateway_settings(unit: Unit, node: n.Gateway | None) -> tuple[p.Setting, ...]:
    found = _settings(unit, node.settings if node is not None else (), GATEWAY, "gateway")
    listens: dict[tuple[str, int] | str, p.Setting] = {}
    for setting in found:
        if setting.name == "listen":
            text = setting.values["address"]
            key = split_address(text) or text
            first = listens.setdefault(key, setting)
            if first is not setting and not text.endswith(":0"):
                unit.report.error("duplicate-setting", setting.span, f"`{text}` is listened on already",
                                  labels=[Label(first.span, "first here")], help="leave one of them out")  # fmt: skip
    span = node.span if node is not None else _nowhere()
    return (*found, *_left_out(unit, found, GATEWAY, span))


def upstream_settings(unit: Unit, node: n.Upstream) -> p.Upstream:
    found = _settings(unit, node.settings, UPSTREAM, "upstream")
    present = {setting.name for setting in node.settings}
    for name, card in UPSTREAM.items():
        if _kind(card).needed and name not in present and not unit.broken:
            unit.report.error("missing-setting", node.name_span, f"`{node.name}` has no `{name}`",
                              help=f"write at least one, such as `{card.example}`")  # fmt: skip
    settings = (*found, *_left_out(unit, found, UPSTREAM, node.span))
    return p.Upstream(node.span, node.name, settings, _hashed(unit, node))


def _hashed(unit: Unit, node: n.Upstream) -> p.Expr | None:
    """What `balance hash, on: …` looks at: known only when a request is here, unlike all else that is set."""
    balance = next((setting for setting in node.settings if setting.name == "balance"), None)
    if balance is None:
        return None
    how = next((arg.value for arg in balance.args if arg.name in (None, "how")), None)
    given = [arg for arg in balance.args if arg.name == "on"]
    on = given[0] if given else None
    hashes = isinstance(how, n.Name) and how.name == "hash"
    if hashes and on is None:
        unit.report.error("bad-balance", balance.name_span, "`hash` needs `on`: what is the same goes to one server",
                          help="write `balance hash, on: client.ip`")  # fmt: skip
    elif on is not None and not hashes:
        unit.report.error("bad-balance", on.name_span or on.span, "`on` belongs to `hash`",
                          help=f"write `balance hash, on: {on.value.span.text}`, or leave it out")  # fmt: skip
    for other in given[1:]:
        unit.report.error("duplicate-parameter", other.name_span or other.span, "`on` is given twice",
                          labels=[Label(given[0].span, "first here")], help="keep one of them")  # fmt: skip
    if on is not None and hashes:
        return argument(_walk(unit, "balance"), _ON, on.value)
    return None


def _nowhere() -> Span:
    from policylang.source import Source

    return Span(Source("default", ""), 0, 0)


def _kind(card: Card) -> type[Setting]:
    made: Any = card.make
    return made  # type: ignore[no-any-return]


def _settings(unit: Unit, nodes: Sequence[n.Setting], cards: Mapping[str, Card], owner: str) -> list[p.Setting]:
    walk = _walk(unit)
    seen: dict[str, n.Setting] = {}
    found: list[p.Setting] = []
    for node in nodes:
        card = cards.get(node.name)
        if card is None:
            _unknown_setting(unit, node, cards, owner)
            continue
        first = seen.setdefault(node.name, node)
        if first is not node and not _kind(card).several:
            unit.report.error("duplicate-setting", node.name_span, f"`{node.name}` stands twice",
                              labels=[Label(first.name_span, "first here")], help="leave one of them out")  # fmt: skip
            continue
        # `on:` is worked out for each request; it is looked at by itself.
        args = [arg for arg in node.args if not (node.name == "balance" and arg.name == "on")]
        bound, good = bind(walk, signature_of(node.name, card.params), args, node.name_span)
        if not node.args and card.params and not any(q.required for q in card.params):
            unit.report.error("missing-parameter", node.name_span, f"`{node.name}` says nothing",
                              help=f"write it as in `{card.example}`, or leave it out")  # fmt: skip
        made = _setting(unit, node, card, bound)
        if good and made is not None:
            found.append(made)
    return found


def _setting(unit: Unit, node: n.Setting, card: Card, bound: tuple[p.Bound, ...]) -> p.Setting | None:
    values = {
        each.param.name: each.value.value
        for each in bound
        if isinstance(each.value, p.Const) and each.value.type.name != "unknown"
    }
    message = _kind(card).check(values)
    if message is None:
        return p.Setting(node.span, node.name, values)
    place = place_of(node.args, message) or node.name_span
    unit.report.error("bad-literal", place, message, help=f"write it as in `{card.example}`")
    return None


def _unknown_setting(unit: Unit, node: n.Setting, cards: Mapping[str, Card], owner: str) -> None:
    if node.name in _LATER[owner]:
        unit.report.error("not-in-this-version", node.name_span, f"`{node.name}` is not in this version",
                          help="leave it out")  # fmt: skip
        return
    close = unit.nearest(node.name, cards)
    fix = Fix(f"write `{close}`", (Edit(node.name_span, close),)) if close is not None else None
    cure = f"did you mean `{close}`?" if close is not None else "it has " + ", ".join(f"`{name}`" for name in cards)
    unit.report.error("unknown-setting", node.name_span, f"`{owner}` has no setting `{node.name}`", help=cure, fix=fix)


def _left_out(unit: Unit, found: Sequence[p.Setting], cards: Mapping[str, Card], span: Span) -> list[p.Setting]:
    """Settings that are not written, with their defaults."""
    walk = _walk(unit)
    written = {setting.name for setting in found}
    made: list[p.Setting] = []
    for name, card in cards.items():
        if name in written or _kind(card).needed or not _kind(card).left_out:
            continue
        bound, _ = bind(walk, signature_of(name, card.params), (), span)
        values = {each.param.name: each.value.value for each in bound if isinstance(each.value, p.Const)}
        made.append(p.Setting(span, name, values))
    return made


# --- maps ----------------------------------------------------------------------------------------


def declared_map(unit: Unit, node: n.MapDeclaration) -> DeclaredMap:
    """A map's declaration with its entries, or with what is known of it in the store; None where something was
    reported."""
    walk = _walk(unit)
    given, good = assign(walk, _MAP, node.args, node.name_span)
    if not good:
        return DeclaredMap(node, None)
    if "ttl" in given:
        return DeclaredMap(node, _in_the_store(walk, node))
    args = given.get("file")
    if args is None:
        unit.report.error("missing-parameter", node.name_span, f"the map `{node.name}` needs `file` or `ttl`",
                          help=f'write `map {node.name}, file: "{node.name}.json"`, or `map {node.name}, ttl: 30m` for '
                               "one that lives in the store")  # fmt: skip
        return DeclaredMap(node, None)
    for name in ("max_entry", "private"):
        if name in given:
            arg = given[name][0]
            unit.report.error("misplaced-parameter", arg.name_span or arg.span,
                              f"`{name}` belongs to a map that lives in the store", help="leave it out")  # fmt: skip
    value = fit(walk, MAP_DECLARATION[0], walk.value(args[0].value), args[0].value)
    if not isinstance(value, p.Const) or not isinstance(value.value, str):
        return DeclaredMap(node, None)
    span = args[0].value.span
    entries = unit.surroundings.given_map(node.name, value.value, span)
    if entries is None:
        entries = unit.surroundings.json_object(unit.report, value.value, span)
    return DeclaredMap(node, entries)


def _in_the_store(walk: Walk, node: n.MapDeclaration) -> SharedMap | None:
    by_name = {arg.name: arg for arg in node.args}
    if "file" in by_name:
        walk.error("duplicate-parameter", by_name["ttl"].name_span or by_name["ttl"].span,
                   "a map is read from a `file` or lives in the store, with a `ttl`",
                   labels=[Label(by_name["file"].span, "read from this")], help="keep one of them")  # fmt: skip
        return None
    bound, good = bind(walk, _MAP, node.args, node.name_span)
    values = {each.param.name: each.value.value for each in bound if isinstance(each.value, p.Const)}
    ttl, most = values.get("ttl"), values.get("max_entry")
    if not good or not isinstance(ttl, Duration) or not isinstance(most, Size):
        return None
    if not 1 <= ttl.seconds <= LONGEST:
        walk.error("bad-literal", by_name["ttl"].value.span, "`ttl` is a time from `1s` to `400d`",
                   help=f"write it as in `map {node.name}, ttl: 30m`")  # fmt: skip
        return None
    if not 1 <= most.bytes <= LARGEST:
        walk.error("bad-literal", by_name["max_entry"].value.span, "`max_entry` is a size up to `1MiB`",
                   help=f"write it as in `map {node.name}, ttl: {ttl}, max_entry: 64KiB`")  # fmt: skip
        return None
    return SharedMap(node.name, ttl.seconds, most.bytes, values.get("private") is True)
