"""The conformance suite and the random program on a real Redis."""

from __future__ import annotations

import itertools
import uuid

import pytest

from miniagent_store.testing import StoreConformance
from miniagent_store.testing.random_program import run_random_program

_programs = itertools.count()


class TestRedis(StoreConformance):
    """One server, a namespace for each test."""

    @pytest.fixture
    def store_url(self, redis_port: int) -> str:
        return f"redis://127.0.0.1:{redis_port}/0?namespace={uuid.uuid4().hex}"


def test_redis_answers_as_memory_does(redis_port: int) -> None:
    def urls() -> list[str]:
        return ["memory://", f"redis://127.0.0.1:{redis_port}/1?namespace=p{next(_programs)}"]

    lengths = run_random_program(urls, steps=60, examples=15)

    assert sum(lengths) > 200
