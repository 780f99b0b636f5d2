"""From Python annotations to the language's types."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from policylang.sdk import static_types as t
from policylang.sdk.exchange import Exchange, Request, Response
from policylang.sdk.message import Message
from policylang.sdk.shared_map import SharedMap
from policylang.sdk.values import Duration, Expr, Ip, Key, Principal, Query, Rate, Size, Target, Time, UpstreamName

_PLAIN: dict[Any, tuple[t.Type, ...]] = {
    str: (t.STRING,), int: (t.NUMBER,), float: (t.NUMBER,), bool: (t.BOOLEAN,), bytes: (t.BYTES,),
    Duration: (t.DURATION,), Size: (t.SIZE,), Rate: (t.RATE,), Ip: (t.IP,), Time: (t.TIME,), Key: (t.KEY,),
    Target: (t.TARGET,), Query: (t.QUERY,),
    UpstreamName: (t.UPSTREAM,), SharedMap: (t.SHARED_MAP,), Message: (t.REQUEST, t.RESPONSE),
    Request: (t.REQUEST,), Response: (t.RESPONSE,),
    Principal: (t.PRINCIPAL,), range: (t.RANGE,), dict: (t.MAP,), list: (t.LIST,), tuple: (t.LIST,), Any: (t.ANY,),
    object: (t.ANY,),
}  # fmt: skip


class Reading:
    """What an annotation says: the types, if it is worked out per message, may be left out, or be none."""

    __slots__ = ("absent", "lazy", "none", "symbols", "types")

    def __init__(self, annotation: Any) -> None:
        self.symbols: tuple[str, ...] = ()
        annotation, self.absent = _without_none(annotation)
        self.lazy = get_origin(annotation) is Expr
        if self.lazy:
            annotation = get_args(annotation)[0]
        annotation, self.none = _without_none(annotation)
        if get_origin(annotation) is Literal:
            self.symbols = tuple(str(a) for a in get_args(annotation))
            self.types: tuple[t.Type, ...] = (t.SYMBOL,)
        else:
            self.types = read_types(annotation)
        if t.JSON in self.types or t.ANY in self.types:
            self.none = True


def read_types(annotation: Any) -> tuple[t.Type, ...]:
    """Raises TypeError on an annotation that the language has no word for."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return tuple(dict.fromkeys(kind for part in get_args(annotation) for kind in read_types(part)))
    if origin in (list, tuple):
        element = read_types(get_args(annotation)[0])
        return (t.list_of(element[0] if len(element) == 1 and element[0] != t.ANY else t.JSON),)
    if origin is dict:
        return (t.MAP,)
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    raise TypeError(f"a parameter cannot have the type {annotation!r}")


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) < len(get_args(annotation)):
            return (parts[0] if len(parts) == 1 else Union[tuple(parts)]), True  # noqa: UP007
    return annotation, False


__all__ = ["Exchange", "Reading", "read_types"]
