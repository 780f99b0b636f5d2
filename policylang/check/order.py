"""In which order declarations that lead to each other are looked at, and which lead back to themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from policylang.syntax import nodes as n


def in_order(names: Iterable[str], needs: Callable[[str], Iterable[str]]) -> tuple[list[str], dict[str, list[str]]]:
    """The names, each after all that it needs, and for every one that needs itself the way around.

    Nothing here recurses: a policy may be a chain of any length.
    """
    done: dict[str, bool] = {}
    order: list[str] = []
    circles: dict[str, list[str]] = {}
    for first in names:
        if first in done:
            continue
        done[first] = False
        path = [first]
        waiting: list[Iterator[str]] = [iter(needs(first))]
        while waiting:
            following = next(waiting[-1], None)
            if following is None:
                waiting.pop()
                name = path.pop()
                done[name] = True
                order.append(name)
            elif following not in done:
                done[following] = False
                path.append(following)
                waiting.append(iter(needs(following)))
            elif not done[following]:
                circle = path[path.index(following) :]
                for place, name in enumerate(circle):
                    circles.setdefault(name, [*circle[place:], *circle[:place], name])
    return order, circles


def around(circle: list[str]) -> str:
    """A way around, as a message shows it."""
    words = [f"`{name}`" for name in circle]
    if len(words) > 7:
        words[4:-2] = ["…"]
    return " → ".join(words)


def names_in(node: object) -> list[str]:
    """Every bare word in an expression."""
    return [found.name for found in walk_nodes(node) if isinstance(found, n.Name)]


def calls_in(node: object) -> list[str]:
    """The names of every assertion that is called in a block."""
    return [found.name for found in walk_nodes(node) if isinstance(found, n.Call)]


def walk_nodes(node: object) -> Iterator[n.Node]:
    """A node and every node in it, in no order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, n.Node):
            yield found
            for name in _fields(type(found)):
                waiting.append(getattr(found, name))
        elif isinstance(found, tuple):
            waiting.extend(found)


_known: dict[type, tuple[str, ...]] = {}


def _fields(kind: type) -> tuple[str, ...]:
    found = _known.get(kind)
    if found is None:
        fields: Mapping[str, object] = kind.__dataclass_fields__  # type: ignore[attr-defined]
        found = _known[kind] = tuple(name for name in fields if not name.endswith("span"))
    return found
