"""Literals that cannot be right: statuses, addresses, header names and values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from policylang.check import program as p
from policylang.check.kinds import NETWORKS
from policylang.check.walk import Walk, unknown
from policylang.sdk import static_types as t
from policylang.sdk.networks import Networks, read_address
from policylang.sdk.values import Ip
from policylang.source import Span
from policylang.syntax import nodes as n

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110, 5.6.2: what a field's name is made of."""
_BREAKS = re.compile(r"[\r\n\0]")


_ADDRESSES = 'write an address such as "192.0.2.7" or "2001:db8::1", or a network such as "10.0.0.0/8"'
DOT_SEGMENT = re.compile(r"(?:\A|/)(?:\.|%2[eE]){1,2}(?:/|\Z)")
HIDDEN = re.compile(r"%(?:2[fF]|5[cC]|00)")
"""What a request's path may not hold either: a separator or end that only the upstream would see."""


def written_header(walk: Walk, span: Span, name: str) -> bool:
    """As `header_name`, for a field that the policy writes."""
    if not header_name(walk, span, name):
        return False
    if name.lower() in t.FRAMING:
        walk.error("bad-header-name", span, f"`{name}` is written by the gateway itself", help="leave it out")
        return False
    return True


def header_name(walk: Walk, span: Span, name: str) -> bool:
    """Report a literal that cannot be a field's name. True when it can."""
    if _TOKEN.fullmatch(name):
        return True
    if not name:
        message = "a header's name cannot be empty"
    else:
        wrong = next(c for c in name if not _TOKEN.fullmatch(c))
        shown = {" ": "a space", ":": "a colon"}.get(wrong, f"`{wrong}`" if wrong.isprintable() else "that character")
        message = f"`{_one_line(name)}` is no header's name: {shown} cannot stand in one"
    walk.error("bad-header-name", span, message, help="a name has letters, digits and `-`, such as `X-Account`")
    return False


def header_value(walk: Walk, expr: p.Expr) -> None:
    """Report a value that is known now and would break the head of the message (RFC 9110, 5.5)."""
    texts: list[str] = []
    if isinstance(expr, p.Const):
        values = expr.value if isinstance(expr.value, (list, tuple)) else [expr.value]
        texts = [value for value in values if isinstance(value, str)]
    elif isinstance(expr, p.Template):
        texts = [part for part in expr.parts if isinstance(part, str)]
    elif isinstance(expr, p.ListOf):
        for item in expr.items:
            header_value(walk, item)
    for text in texts:
        found = _BREAKS.search(text)
        if found is not None:
            word = {"\r": "a carriage return", "\n": "a line break", "\0": "a NUL"}[found[0]]
            walk.error(
                "bad-header-value", expr.span, f"a header's value cannot hold {word}",
                help="leave it out, or send it encoded, for example with `url_encode(…)`",
            )  # fmt: skip
            return


def status(walk: Walk, expr: p.Expr, least: int, most: int, what: str) -> None:
    """Report a status known now that is outside of `least..most`."""
    if not isinstance(expr, p.Const) or expr.type.name != "number":
        return
    value = expr.value
    if isinstance(value, int) and least <= value <= most:
        return
    if isinstance(value, int) and not 100 <= value <= 599:
        message = f"`{value}` is no HTTP status"
    else:
        message = f"{what} takes a status from {least} to {most}, not `{value}`"
    walk.error("bad-status", expr.span, message, help=f"write a status from {least} to {most}")


def networks(walk: Walk, expr: p.Expr) -> p.Expr:
    """What stands right of `client.ip in`: a constant list of addresses and networks, read now."""
    if not isinstance(expr, p.Const):
        walk.error(
            "not-constant", expr.span, "addresses beside an ip must be known when the policy is loaded",
            help="write them as a list of literals, or as a constant: `let office = [\"10.0.0.0/8\"]`",
        )  # fmt: skip
        return unknown(expr.span)
    values = expr.value if isinstance(expr.value, (list, tuple)) else [expr.value]
    texts: list[str] = []
    good = True
    for value in values:
        if not isinstance(value, str):
            walk.error("wrong-type", expr.span, f"`{value}` is no address", help="write an address as text")
            return unknown(expr.span)
        good = network(walk, expr.span, value) and good
        texts.append(value)
    return p.Const(expr.span, NETWORKS, expr.private, Networks(texts)) if good else unknown(expr.span)


def network(walk: Walk, span: Span, text: str) -> bool:
    try:
        Networks((text,))
    except ValueError as error:
        walk.error("bad-address", span, str(error), help=_ADDRESSES)
        return False
    return True


def address(walk: Walk, expr: p.Const) -> p.Expr:
    """A literal that stands for one address: beside `==`, or for a parameter that takes an ip."""
    found = read_address(expr.value) if isinstance(expr.value, str) else None
    if found is not None:
        return p.Const(expr.span, t.IP, expr.private, Ip(found.compressed))
    text = _one_line(str(expr.value))
    if "/" in text:
        try:
            Networks((text,))
        except ValueError as error:
            walk.error("bad-address", expr.span, str(error), help=_ADDRESSES)
        else:
            walk.error(
                "bad-address", expr.span, f"`{text}` is a network, not one address",
                help=f'compare with `in`: `client.ip in ["{text}"]`',
            )  # fmt: skip
    else:
        walk.error("bad-address", expr.span, f"`{text}` is no address", help='write one such as "192.0.2.7"')
    return unknown(expr.span)


def literal_at(node: n.Expr, text: str) -> Span | None:
    """Where a string literal stands inside an expression."""
    if isinstance(node, n.Text):
        return node.span if node.literal == text else None
    inner: tuple[Any, ...] = ()
    if isinstance(node, n.ListValue):
        inner = node.items
    elif isinstance(node, n.MapValue):
        inner = tuple(entry.value for entry in node.entries)
    for each in inner:
        found = literal_at(each, text)
        if found is not None:
            return found
    return None


def place_of(args: Sequence[n.Argument], message: str) -> Span | None:
    """The argument that a message is about: the literal or the name that it quotes, else the first of them."""
    wanted = message.split("`")[1::2]
    for arg in args:
        for text in wanted:
            found = literal_at(arg.value, text)
            if found is not None:
                return found
    named = [arg.value.span for arg in args if arg.name in wanted]
    return named[0] if named else args[0].value.span if args else None


def _one_line(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
