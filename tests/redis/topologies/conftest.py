"""One group of servers of each sort for the tests of a module; a test that breaks one makes its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server

Place = Server | SentinelGroup | ClusterGroup


def url_of(place: Place, **options: str | int) -> str:
    """The place's URL with options, in a namespace of its own."""
    pairs = {"namespace": uuid.uuid4().hex, **options}
    joint = "&" if "?" in place.url else "?"
    return place.url + joint + "&".join(f"{name}={value}" for name, value in pairs.items())


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def sentinels() -> Iterator[SentinelGroup]:
    with SentinelGroup() as group:
        yield group


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


@pytest.fixture(params=["server", "sentinels", "cluster"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found
