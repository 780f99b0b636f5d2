"""Exchanges that are over, for the tests of what is told of them."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from policylang.sdk import Client, Exchange, Failure
from policylang.source import Source, Span
from policylang.tree.outcome import CANCELLED, Entry, Place
from runtime.edge.peer import Peer
from runtime.edge.request import ReceivedRequest, Trace
from runtime.observe.observer import Observer

MS = 1_000_000
TEXT = st.text(st.characters(), max_size=40)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SOURCE = Source("policy.pol", "service orders {\n" + "    require true\n" * 9 + "}\n")
OTHER_FILE = Source("shared/common.pol", "assertion a() {\n    require true\n}\n")
ROUTES = {"orders": "/orders/{id}", "carts": "/carts"}


def place(line: int, name: str = "require", source: Source = SOURCE) -> Place:
    start = sum(len(text) + 1 for text in source.text.split("\n")[: line - 1])
    return Place(name, Span(source, start, start + 5))


PLACES = [place(number) for number in range(2, 8)] + [place(2, source=OTHER_FILE)]
PASSED = [Entry(one, None) for one in PLACES]


class Head:
    def __init__(self, method: str = "GET", path: bytes = b"/orders/7") -> None:
        self.method = method
        self.path = path


def over(**changed: Any) -> Exchange:
    """An exchange that is over; `changed`: of the exchange, its request or its trace."""
    request = ReceivedRequest("GET", "/orders/7", None, [], host="api.example", id="r-1")
    request.trace = trace = Trace()
    trace.peer = Peer("10.1.2.3", 4000)
    made = Exchange(request, Client("10.1.2.3", 4000), None, started=1_000_000_000)  # type: ignore[arg-type]
    made.service = "orders"
    made.journal = []
    for name, value in changed.items():
        target = made if name in Exchange.__slots__ else trace if name in Trace.__slots__ else request
        setattr(target, name, value)
    return made


def tell(observer: Observer, made: Exchange, status: int = 200, took: int = 3 * MS, head: Any = None) -> None:
    observer.done(made, status, 0, 181, made.started + took, head or Head(), "api.example")


ENTRIES = st.lists(
    st.one_of(
        st.sampled_from(PASSED),
        st.builds(lambda one, name: Entry(one, Failure(name, 403)), st.sampled_from(PLACES), st.sampled_from("xyz")),
        st.builds(lambda one: Entry(one, CANCELLED), st.sampled_from(PLACES)),
    ),
    max_size=5,
)  # fmt: skip


class Kept:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)
