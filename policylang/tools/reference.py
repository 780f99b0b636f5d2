"""Pages, made of Cards and of the files in `policylang/pages`: what `pol explain` prints and `pol docs` writes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from inspect import cleandoc

from policylang.catalog import load_catalog
from policylang.lint.known import all_rules
from policylang.sdk.card import Card, FunctionCard, ParamCard
from policylang.sdk.certificate import Certificate
from policylang.sdk.static_types import RECORDS, Type
from policylang.tools.rule_pages import rule_page


@cache
def written_pages() -> dict[str, str]:
    """The hand-written pages of statements and declarations, by name."""
    folder = files("policylang") / "pages"
    return {file.name[:-3]: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".md")}


def page(name: str) -> str | None:
    """The page of an assertion, function, statement, setting or diagnostic, as Markdown; None where there is none."""
    catalog = load_catalog()
    pages = [
        assertion_page(catalog.assertions[name]) if name in catalog.assertions else None,
        function_page(special_and_plain()[name]) if name in special_and_plain() else None,
        written_pages().get(name),
        *[assertion_page(card) for word, card in test_cards().items() if name in (word, word.partition(" ")[0])],
        *[setting_page(place, cards[name]) for place, cards in settings().items() if name in cards],
        diagnostic_pages().get(name),
    ]
    found = [text for text in pages if text]
    return "\n".join(found) if found else rule_page(name)


def names() -> list[str]:
    """Everything that has a page."""
    catalog = load_catalog()
    set_there = [name for cards in settings().values() for name in cards]
    pages = {*catalog.assertions, *special_and_plain(), *written_pages(), *diagnostic_pages(), *set_there}
    return sorted(pages | {"lint", *(rule.name for rule in all_rules())})


def special_and_plain() -> dict[str, FunctionCard]:
    from policylang.check.special import SPECIAL

    return {**load_catalog().functions, **SPECIAL}


def test_cards() -> dict[str, Card]:
    """The words of tests, by their names; what can be given is `given map` and so on."""
    from policylang.testing.vocabulary import CARDS, GIVEN

    return {**CARDS, **{card.name: card for card in GIVEN.values()}}


def settings() -> dict[str, dict[str, Card]]:
    """The cards of what may stand in `gateway` and `upstream` blocks."""
    from policylang.check.settings import GATEWAY, UPSTREAM

    return {"gateway": GATEWAY, "upstream": UPSTREAM}


def diagnostic_pages() -> dict[str, str]:
    from policylang.check.pages import PAGES as CHECKED
    from policylang.check.pages import RESULTS
    from policylang.lint.configured import PAGES as CONFIGURED
    from policylang.syntax.pages import PAGES as READ

    return {**READ, **CHECKED, **RESULTS, **CONFIGURED}


# --- one page ---


def assertion_page(card: Card) -> str:
    lines = [f"# {card.name}", "", card.doc, "", "```pol", card.example, "```", ""]
    if card.deprecated:
        lines[2:2] = [f"**Deprecated**: {card.deprecated}.", ""]
    if card.params:
        lines += ["| parameter | type | default | what |", "| --- | --- | --- | --- |"]
        lines += [f"| {_usage(p)} | {_kinds(p)} | {_default(p)} | {p.doc} |" for p in card.params]
        lines.append("")
    if card.outputs:
        given = ", ".join(f"`{name}` ({kind})" for name, kind in card.outputs.items())
        lines += [f"Gives {given}.", ""]
    if card.failures or card.errors:
        lines += ["| failure | status | kind |", "| --- | --- | --- |"]
        lines += [f"| `{name}` | {status} | refusal |" for name, status in card.failures.items()]
        lines += [f"| `{name}` | {status} | error |" for name, status in card.errors.items()]
        lines.append("")
    notes = []
    if card.effects:
        notes.append(f"Writes {_and(sorted(f'`{effect}`' for effect in card.effects))}.")
    if card.waits:
        notes.append("May wait.")
    if notes:
        lines += [" ".join(notes), ""]
    return "\n".join(lines)


def setting_page(place: str, card: Card) -> str:
    return assertion_page(card).replace(f"# {card.name}", f"# {card.name} (in `{place}`)", 1)


def function_page(card: FunctionCard) -> str:
    lines = [f"# {signature(card)}", "", card.doc, "", "```pol", card.example, "```", ""]
    told = [p for p in card.params if p.doc]
    if told:
        lines += [f"- `{p.name}` ({_kinds(p)}{_otherwise(p)}): {p.doc}" for p in told]
        lines.append("")
    return "\n".join(lines)


def variables_page() -> str:
    """The members of what a policy finds there: requests, responses, clients, their certificates…"""
    lines = ["# Context variables", ""]
    for name, members in RECORDS.items():
        lines += [f"## {name}", ""]
        if name in _SAID:
            lines += [_SAID[name], ""]
        lines += ["| member | type |", "| --- | --- |"]
        lines += [f"| `{member}` | {_word(kind)} |" for member, kind in members.items()]
        lines.append("")
    return "\n".join(lines)


def signature(card: FunctionCard) -> str:
    taken = ", ".join(p.name if p.positional else f"{p.name}:" for p in card.params)
    return f"{card.name}({taken}) -> {_word(card.returns)}"


_SAID = {
    "request": "Besides these `query`, `header` and `cookie`, by name: `request.header[\"X-Account\"]`.",
    "response": "Known after `route`. Besides these `header`, by name; cookies: `response.header[\"Set-Cookie\"]`.",
    "client": "`cert` is `none` unless the listener has `client_ca:` and the client has shown a certificate.",
    "certificate": cleandoc(Certificate.__doc__ or ""),
    "principal": "`user`, once an assertion has found out who calls.",
    "failure": "In `catch e` and `on failure`.",
}


def _usage(param: ParamCard) -> str:
    name = f"`{param.name}`" if param.positional else f"`{param.name}:`"
    return f"{name} …" if param.many else name


def _default(param: ParamCard) -> str:
    if param.default is not None:
        return f"`{param.default}`"
    return "required" if param.required else "absent"


def _otherwise(param: ParamCard) -> str:
    return f", `{param.default}` when left out" if param.default is not None else "" if param.required else ", optional"


def _kinds(param: ParamCard) -> str:
    if param.symbols:
        return _or(f"`{symbol}`" for symbol in param.symbols)
    words = _or(_word(kind.sure()) for kind in param.types)
    return words if param.lazy else f"{words}, constant"


def _word(kind: Type) -> str:
    return {"json?": "json", "any": "anything", "any?": "anything", "none?": "none"}.get(str(kind), str(kind))


def _or(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


def _and(words: list[str]) -> str:
    return " and ".join(words)
