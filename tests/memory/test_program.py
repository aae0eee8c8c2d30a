"""Random programs on every index and backend do what the plain reference does."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miniagent_store import SessionStore, open_store
from miniagent_store.testing import eventually
from tests.memory.plain_reference import (
    Known,
    Letters,
    Query,
    Reference,
    ids,
    ids_of,
    metadata,
    queries,
    texts,
    times,
)

_numbers = itertools.count()
# Of which backends each index is tried by default; all of them in full.
INDEXES = ["exact", "exact:int8", "usearch", "auto"]
PLACES = ["memory", "sqlite", "redis", "cluster", "vectors"]
BY_DEFAULT = [
    ("exact", "memory"),
    ("exact:int8", "memory"),
    ("usearch", "memory"),
    ("exact", "sqlite"),
    ("exact", "redis"),
    ("vector-set", "vectors"),
]


@dataclass(frozen=True)
class Add:
    """Several at once; each of an id once."""

    new: dict[str, Known]


@dataclass(frozen=True)
class Delete:
    ids: list[str]


@dataclass(frozen=True)
class Expire:
    """Add what is gone soon."""

    id: str
    known: Known


@dataclass(frozen=True)
class Forget:
    """The whole scope."""


known = st.builds(Known, texts, metadata, times)
steps = st.one_of(
    st.builds(Add, st.dictionaries(ids, known, min_size=1, max_size=6)),
    st.builds(Add, st.dictionaries(ids, known, min_size=1, max_size=6)),
    queries,
    queries,
    queries,
    st.builds(Delete, st.lists(ids, min_size=1, max_size=3, unique=True)),
    st.builds(Expire, ids, known),
    st.just(Forget()),
)
# By which of two processes each step is done.
programs = st.lists(st.tuples(st.integers(0, 1), steps), min_size=3, max_size=20)


@pytest.fixture
async def views(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """The same store, as two processes have it."""
    if place == "memory":
        url = f"memory://program{next(_numbers)}?deadline=20s"
    elif place == "sqlite":
        url = f"sqlite:///{tmp_path}/sessions.db?deadline=20s"
    else:
        server = {"redis": "redis_server", "cluster": "cluster", "vectors": "vectors_server"}[place]
        database = "" if place == "cluster" else "/0"
        url = f"{request.getfixturevalue(server).url}{database}?deadline=20s"
        url += f"&namespace=program{next(_numbers)}"
    async with open_store(url) as one, open_store(url) as other:
        yield one, other


def settled(examples: int) -> Any:
    return settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("index", "place"), BY_DEFAULT)
@settled(5)
@given(program=programs)
async def test_every_index_does_what_the_reference_does(
    views: tuple[SessionStore, SessionStore], index: str, program: list[Any]
) -> None:
    await run(views, index, program)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("index", "place"), [*itertools.product(INDEXES, PLACES), ("vector-set", "vectors")]
)
@settled(100)
@given(program=programs)
async def test_every_index_does_what_the_reference_does_in_full(
    views: tuple[SessionStore, SessionStore], index: str, program: list[Any]
) -> None:
    await run(views, index, program)


async def run(views: tuple[SessionStore, SessionStore], index: str, program: list[Any]) -> None:
    scope = f"scope{next(_numbers)}"
    memories = [view.memory(scope, embedder=Letters(), index=index) for view in views]
    reference = Reference()
    for who, step in program:
        memory = memories[who]
        if isinstance(step, Query):
            reference.check(step, await memory.search(step.text, mode="vector", **step.arguments()))
        elif isinstance(step, Add):
            await memory.add_many(
                {"said": each.text, "id": id, "metadata": each.metadata, "time": each.time}
                for id, each in step.new.items()
            )
            reference.known.update(step.new)
        elif isinstance(step, Delete):
            there = [each for each in step.ids if reference.known.pop(each, None)]
            assert await memory.delete(*step.ids) == len(there)
        elif isinstance(step, Expire):
            each = step.known
            await memory.add(each.text, id=step.id, metadata=each.metadata, time=each.time, ttl=0.03)
            reference.known.pop(step.id, None)
            await eventually(lambda memory=memory, id=step.id: is_gone(memory, id))
        else:
            await memory.forget()
            reference.known.clear()
    for memory in memories:
        await check_all(memory, reference)


async def check_all(memory: Any, reference: Reference) -> None:
    """Whatever is asked, it is found or it is not."""
    for text in ("a", "-"):
        everything = Query(text, k=50)
        reference.check(everything, await memory.search(text, k=50, mode="vector"))
    assert sorted(ids_of(await memory.list(limit=50))) == sorted(reference.known)
    for id, each in reference.known.items():
        found = await memory.get(id)
        assert (found.text, dict(found.metadata)) == (each.text, each.metadata)
    for mode in ("words", "hybrid"):
        found = await memory.search("abc", mode=mode, k=50)
        assert set(ids_of(found)) <= set(reference.known)


async def is_gone(memory: Any, id: str) -> bool:
    return await memory.get(id) is None
