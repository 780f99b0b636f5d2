"""A policy as rules see it: the checked program, the text it came from, and facts that many rules ask for."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from policylang.catalog import Catalog
from policylang.check import program as p
from policylang.lint import look
from policylang.lint.look import Visit
from policylang.lint.origins import Origins
from policylang.lint.written import Place, Scope, Written, names_in, place_of, scopes, written
from policylang.sdk.shared_map import SharedMap
from policylang.syntax import nodes as n


class Policy:
    """`program` has no errors. `files` are what it was read from, in the order of the program's sources.

    The program is what is meant (names resolved, constants folded, each call of a user's assertion expanded in place);
    the files are what is written. Ask the program, unless the question is how it is written.
    """

    def __init__(self, program: p.Program, files: tuple[n.File, ...], catalog: Catalog) -> None:
        self.program = program
        self.files = files
        self.catalog = catalog
        self.sending: dict[int, list[int]] = {}
        """What `ways` has found of blocks, by their identity: the visits keep them."""
        self.members: dict[int, Any] = {}
        """What `entries` has found of maps, by their identity: the program keeps them."""
        look.forget()

    # --- what is meant ---

    @cached_property
    def visits(self) -> tuple[Visit, ...]:
        """Every statement of services and globals, outer before inner, in text order."""
        found: list[Visit] = []
        for place, blocks in (("before", self.program.before), ("after", self.program.after)):
            for block in blocks:
                found += look.statements(block, place, None)
        for service in self.program.services:
            found += look.statements(service.body, "service", service)
            if service.on_failure is not None:
                found += look.statements(service.on_failure, "failure", service)
        return tuple(found)

    def of_service(self, service: p.Service) -> Iterator[Visit]:
        """What runs for a request of this service until it is answered: `global before`, then its own block."""
        for visit in (*self.visits_of(None), *self.visits_of(service)):
            if visit.place in ("before", "service"):
                yield visit

    def visits_of(self, service: p.Service | None) -> tuple[Visit, ...]:
        """The visits of one service, also of its `on failure`; of None those of all globals."""
        return tuple(self._by_service.get("" if service is None else service.name, ()))

    @cached_property
    def _by_service(self) -> dict[str, list[Visit]]:
        found: dict[str, list[Visit]] = {}
        for visit in self.visits:
            found.setdefault("" if visit.service is None else visit.service.name, []).append(visit)
        return found

    @cached_property
    def bindings(self) -> dict[tuple[str, int], list[p.Expr | p.Invoke | int]]:
        """What gives a variable its value, by its service's name ("" in globals) and slot: expressions, calls whose
        output it is, or another slot of the same service."""
        found: dict[tuple[str, int], list[p.Expr | p.Invoke | int]] = {}
        for visit in self.visits:
            frame = visit.service.name if visit.service is not None else ""
            for slot, value in look.bound(visit.statement):
                found.setdefault((frame, slot), []).append(value)
        return found

    @cached_property
    def senses(self) -> dict[Hashable, Hashable]:
        """What names stand for, as far as `ways.sense` was asked."""
        return {}

    @cached_property
    def origins(self) -> Origins:
        """Where the values of each service come from."""
        return Origins(self.visits)

    @cached_property
    def public(self) -> bool:
        """Whether strangers can reach it: some `listen` is not on loopback, or nothing says where it listens."""
        return any(not _loopback(each.values["address"]) for each in self.listens) or not self.program.gateway

    @property
    def listens(self) -> list[p.Setting]:
        return [each for each in self.program.gateway if each.name == "listen"]

    @cached_property
    def shared_maps(self) -> dict[str, SharedMap]:
        return {each.name: each for each in self.program.maps}

    # --- what is written ---

    @cached_property
    def declarations(self) -> tuple[n.Declaration, ...]:
        return tuple(each for file in self.files for each in file.declarations)

    @cached_property
    def nodes(self) -> tuple[n.Node, ...]:
        """Every node of every file, outer before inner."""
        return tuple(node for each in self.declarations for node in look.nodes(each))

    @cached_property
    def scopes(self) -> tuple[Scope, ...]:
        """Every body that has names of its own."""
        return tuple(scopes(self.files))

    @cached_property
    def written(self) -> tuple[Written, ...]:
        """Every statement as it stands in the files, outer before inner; also of assertions that nobody calls."""
        return tuple(each for found in self._written.values() for each in found)

    def written_in(self, scope: Scope) -> tuple[Written, ...]:
        """Those of one body."""
        return self._written[id(scope)]

    @cached_property
    def _written(self) -> dict[int, tuple[Written, ...]]:
        return {id(scope): tuple(written(scope)) for scope in self.scopes}

    @cached_property
    def names_unread(self) -> dict[Place, str]:
        """Every `let` whose name nobody reads, by the place of the statement; one with `_` in front is meant so."""
        found: dict[Place, str] = {}
        for scope in self.scopes:
            lets = [each.statement for each in self.written_in(scope) if isinstance(each.statement, n.Let)]
            read = scope.reads() if lets else set()
            unread = (each for each in lets if each.name not in read and not each.name.startswith("_"))
            found.update({place_of(each.span): each.name for each in unread})
        return found

    @cached_property
    def by_place(self) -> dict[Place, Written]:
        """What is written at the place of a statement."""
        return {place_of(each.statement.span): each for each in reversed(self.written)}

    @cached_property
    def names(self) -> frozenset[tuple[str, str]]:
        """What the policy names anywhere, as `names_in` says it."""
        return frozenset(names_in(self.nodes))


def _loopback(address: Any) -> bool:
    host = str(address).rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
