"""Fixtures of all tests: Hazelcast clusters, started once and only where a test wants one."""

from __future__ import annotations

from collections.abc import Iterator

import members
import pytest


def started(count: int) -> Iterator[members.Members]:
    try:
        cluster = members.Members(count)
    except members.NoMembers as error:
        pytest.skip(f"NO HAZELCAST MEMBERS, so their tests did not run: {error}")
    with cluster:
        cluster.start()
        yield cluster


@pytest.fixture(scope="session")
def _one() -> Iterator[members.Members]:
    yield from started(1)


@pytest.fixture(scope="session")
def _three() -> Iterator[members.Members]:
    yield from started(3)


@pytest.fixture
def one_member(_one: members.Members) -> members.Members:
    """A cluster of one, all tests' own: use keys of your own. Whatever a test did to it is healed for the next."""
    _one.heal()
    return _one


@pytest.fixture
def three_members(_three: members.Members) -> members.Members:
    """A cluster of three, all tests' own: use keys of your own. Whatever a test did to it is healed for the next."""
    _three.heal()
    return _three
