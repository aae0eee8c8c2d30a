"""The conformance suite and the random program on real servers."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

import pytest

from miniagent_store.testing import StoreConformance
from miniagent_store.testing.random_program import run_random_program
from miniagent_store.testing.servers import Server

_programs = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


class TestRedis(StoreConformance):
    """One server, a namespace for each test."""

    @pytest.fixture
    def store_url(self, server: Server) -> str:
        return f"{server.url}?namespace={uuid.uuid4().hex}"


def test_redis_answers_as_memory_does(server: Server) -> None:
    def urls() -> list[str]:
        return ["memory://", f"{server.url}?namespace=p{next(_programs)}"]

    lengths = run_random_program(urls, steps=60, examples=15)

    assert sum(lengths) > 200
