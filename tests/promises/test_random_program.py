"""Whatever memory answers, every other backend and serializer answers too."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from miniagent_store.testing.random_program import run_random_program

SERIALIZERS = ["json", "orjson", "msgpack"]


def embedded_urls(folder: Path, serializers: list[str]) -> list[str]:
    number = next(_numbers)
    memory = [f"memory://?serializer={each}" for each in serializers]
    sqlite = [
        f"sqlite:///{folder}/{number}-{each}.db?serializer={each}&synchronous=OFF" for each in serializers
    ]
    return [*memory, *sqlite]


_numbers = itertools.count()


def test_memory_and_sqlite_answer_alike_with_every_serializer(tmp_path: Path) -> None:
    lengths = run_random_program(lambda: embedded_urls(tmp_path, SERIALIZERS), steps=60, examples=15)

    assert sum(lengths) > 200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_program_of_two_thousand_calls_is_answered_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What one example may draw; the default ends a program after some 500 calls.
    monkeypatch.setattr("hypothesis.internal.conjecture.engine.BUFFER_SIZE", 256 * 1024)

    lengths = run_random_program(
        lambda: embedded_urls(tmp_path, SERIALIZERS), steps=2000, least=2000, examples=5
    )

    print(f"{len(lengths)} programs, {sum(lengths)} calls, the longest {max(lengths)}, on each of 6 stores")
    assert max(lengths) >= 2000
