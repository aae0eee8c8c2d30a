"""Vector sets: chosen where they are, kept up to date by all who use them, and gone with their record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.rights import acl_rules
from miniagent_backends.redis.vector_filters import filter_of
from miniagent_backends.redis.vector_sets import VectorSet
from miniagent_store import SessionStore, open_store
from miniagent_store.errors import AccessDeniedError, ConfigurationError
from miniagent_store.keys.keyring import Key, Keyring
from miniagent_store.repair_report import RepairReport
from miniagent_store.store.memory.filters import checked
from miniagent_store.store.memory.scope import MemoryScope
from miniagent_store.testing.servers import Server
from miniagent_store.vector_index import IndexedVector, IndexGone, IndexQuery

from .reference import expected, one, place, vector
from .test_columns import filters

SCOPE = "memory/ada"


@pytest.fixture
async def store(vector_url: str) -> AsyncIterator[SessionStore]:
    async with open_store(vector_url) as store:
        yield store


async def begun(store: SessionStore, *memories: IndexedVector) -> tuple[VectorSet, str]:
    """A set that holds these, and the incarnation of its record."""
    await store.create(SCOPE, kind="memory")
    index = VectorSet(place(backend_of(store), SCOPE))
    session = await store.get(SCOPE)
    assert session is not None
    await index.applied()
    await index.apply(memories, (), f"{session.incarnation}:1", anew=True)
    return index, session.incarnation


def backend_of(store: Any) -> Any:
    return store._core.backend


def keys_of(store: Any) -> list[str]:
    """Of the set."""
    keys: list[str] = backend_of(store).keys.vectors(SCOPE)
    return keys


def another(store: SessionStore) -> VectorSet:
    """The same set, as another client has it."""
    return VectorSet(place(backend_of(store), SCOPE))


async def ids(index: VectorSet, query: IndexQuery) -> list[str]:
    return [each for each, _ in await index.search(query)]


def kind_of(memory: MemoryScope) -> str:
    index: Any = memory._indexed._index
    return type(getattr(index, "_asked", index)).__name__


# Where it is chosen


async def test_it_is_chosen_where_it_can_stand(
    vector_url: str, cluster_url: str, redis_server: Server
) -> None:
    for url, wanted in ((vector_url, "VectorSet"), (cluster_url, "VectorSet"), ("memory://", "ExactIndex")):
        async with open_store(url) as store:
            memory = store.memory("ada")
            await memory.add("My dog is called Rex", id="dog")
            assert [each.id for each in await memory.search("dog")] == ["dog"]
            assert kind_of(memory) == wanted
    async with open_store(redis_server.url) as store:
        memory = store.memory("nobody's")
        await memory.add("My dog is called Rex", id="dog")
        assert [each.id for each in await memory.search("dog")] == ["dog"]
        assert kind_of(memory) == "ExactIndex"
        by_name = store.memory("nobody's", index="vector-set")
        with pytest.raises(ConfigurationError, match="has no vector sets"):
            await by_name.search("dog")
        await memory.forget()
    async with open_store("memory://") as store:
        memory = store.memory("ada", index="vector-set")
        await memory.add("My dog is called Rex")
        with pytest.raises(ConfigurationError, match="needs a Redis with vector sets, not 'memory'"):
            await memory.search("dog")


async def test_no_vector_is_plain_where_texts_are_encrypted(vector_url: str, vector_server: Server) -> None:
    keys = Keyring([Key.generate()])
    async with open_store(vector_url, serializer="encrypted", keyring=keys) as store:
        memory = store.memory("ada")
        await memory.add("My dog is called Rex", id="dog")
        assert [each.id for each in await memory.search("dog")] == ["dog"]
        assert kind_of(memory) == "ExactIndex"
        assert not [key for key in vector_server.command("KEYS", "*:vectors") if _is_of(vector_url, key)]
        with pytest.raises(ConfigurationError, match="plain_vectors=True"):
            store.memory("ada", index="vector-set")

        allowed = store.memory("ada", plain_vectors=True)
        assert [each.id for each in await allowed.search("dog")] == ["dog"]
        assert kind_of(allowed) == "VectorSet"


def _is_of(url: str, key: bytes) -> bool:
    return key.startswith(url.rpartition("namespace=")[2].encode() + b"/")


async def test_a_user_who_may_not_use_it_is_served_without(
    vector_server: Server, vector_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    vector_server.command(
        "ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-vcard", "-vadd"
    )
    url = vector_url.replace("redis://", "redis://plain:secret@")
    async with open_store(url) as store:
        memory = store.memory("ada")
        await memory.add("My dog is called Rex", id="dog")
        with caplog.at_level(logging.WARNING):
            assert [each.id for each in await memory.search("dog")] == ["dog"]
        assert "the user may not use them" in caplog.text
        assert "secret" not in caplog.text
        with pytest.raises(AccessDeniedError, match=r"needs \+vadd \+vcard \+vrem \+vsim"):
            await store.memory("ada", index="vector-set").search("dog")


async def test_the_smallest_rights_are_told(vector_server: Server, vector_url: str) -> None:
    rules = acl_rules(Keys(vector_url.rpartition("namespace=")[2]), vector_sets=True)
    vector_server.command("ACL", "SETUSER", "small", "reset", "on", ">secret", *rules.split())
    async with open_store(vector_url.replace("redis://", "redis://small:secret@")) as store:
        memory = store.memory("ada")
        await memory.add("My dog is called Rex", id="dog", ttl=1000)
        assert [each.id for each in await memory.search("dog", filter={"a": None})] == ["dog"]
        assert kind_of(memory) == "VectorSet"
        await memory.delete("dog")
        assert await memory.search("dog") == []


# What it finds


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(filter=filters())
def test_the_server_lets_all_pass_that_pass(filter: dict[str, Any], passing: Passing) -> None:
    """What a filter cannot say on the server it says wider, never narrower."""
    query = IndexQuery(vector(1), 200, checked(filter))
    wanted = {each for each, _ in expected(passing.memories, query)}
    assert wanted <= set(passing.ids(filter_of(query, some_expire=True)))


class Passing:
    """Metadata of all sorts in a set, and what an expression lets pass."""

    def __init__(self, server: Server) -> None:
        from miniagent_backends.redis.vector_filters import attributes

        self._server = server
        values: list[Any] = [
            *(None, True, False, "", "a", "b", "'", '"', "1", 0, 1, -1, 2, 3, 1.5, -3, 0.0, -0.0, 1e-9),
            *(-1e-9, 1e300, -1e300, 2**53, 2**53 + 1, -(2**53) - 1, 2**70, 10**400, -(10**400)),
            *(float("inf"), float("-inf"), float("nan"), 5e-324, ["a"], {"a": 1}),
        ]
        metadata = [{}, *({"a": each} for each in values), *({"a": "a", "b": each} for each in values)]
        self.memories = {f"m{at}": one(f"m{at}", at, each) for at, each in enumerate(metadata)}
        for each in self.memories.values():
            server.command("VADD", "passing", "FP32", each.vector, each.id, "SETATTR", attributes(each))

    def ids(self, expression: str) -> list[str]:
        more = ("FILTER", expression) if expression else ()
        found = self._server.command("VSIM", "passing", "FP32", vector(1), "COUNT", 1000, "TRUTH", *more)
        return [each.decode() for each in found]


@pytest.fixture(scope="module")
def passing(vector_server: Server) -> Passing:
    return Passing(vector_server)


def test_nothing_that_a_caller_wrote_is_in_an_expression() -> None:
    hostile = '") or ("" == "' + "x" * 200
    query = IndexQuery(vector(1), 5, checked({hostile[:100]: {"$in": [hostile, "a' or 1", 7]}}))
    expression = filter_of(query, some_expire=False)
    assert "x" * 10 not in expression
    assert set(expression) <= set('0123456789abcdefinorh (){}".')


async def test_what_has_expired_is_not_found_and_goes_in_time(store: SessionStore) -> None:
    index, incarnation = await begun(store, one("a", 1, expires_ms=100), one("b", 2))
    assert await ids(index, IndexQuery(vector(1), 5, now_ms=99)) == ["a", "b"]
    assert await ids(index, IndexQuery(vector(1), 5, now_ms=100)) == ["b"]
    await index.apply([one("c", 3, expires_ms=10**15)], (), f"{incarnation}:2")
    assert (await index.applied()) == f"{incarnation}:2"
    assert index._seen.count == 2


# Who brings it forward


async def test_an_old_view_changes_nothing(store: SessionStore) -> None:
    mine, incarnation = await begun(store, one("a", 1))
    theirs = another(store)
    assert await theirs.applied() == f"{incarnation}:1"
    await theirs.apply([one("b", 2)], (), f"{incarnation}:2")

    # What others have brought further already stays as it is.
    await mine.apply([one("c", 9)], ["b"], f"{incarnation}:2")
    assert await mine.applied() == f"{incarnation}:2"
    assert sorted(await ids(mine, IndexQuery(vector(1), 5))) == ["a", "b"]
    # Nor does one that began anew before the other had.
    await theirs.apply([one("c", 3)], (), f"{incarnation}:3", anew=True)
    with pytest.raises(IndexGone):
        await mine.apply([one("d", 4)], (), f"{incarnation}:3", anew=True)
    with pytest.raises(IndexGone):
        await mine.search(IndexQuery(vector(1), 5))
    await mine.applied()
    assert await ids(mine, IndexQuery(vector(1), 5)) == ["c"]


async def test_only_one_fills_it_and_another_goes_on_when_that_one_is_gone(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miniagent_backends.redis.vector_sets.PATIENCE_MS", 300)
    mine, incarnation = await begun(store)
    await mine.apply([one("a", 1)], (), None, anew=True)
    theirs = another(store)
    assert await theirs.applied() is None
    with pytest.raises(IndexGone):
        await theirs.apply([one("b", 2)], (), f"{incarnation}:5", anew=True)
    # It was killed, and is heard of no more.
    while (await theirs.applied(), theirs._seen.wait_ms)[1]:
        await asyncio.sleep(0.01)
    await theirs.apply([one("b", 2)], (), f"{incarnation}:5", anew=True)
    with pytest.raises(IndexGone):
        await mine.apply([one("c", 3)], (), f"{incarnation}:4")
    assert await ids(theirs, IndexQuery(vector(1), 5)) == ["b"]


async def test_no_set_comes_to_be_without_its_record(store: SessionStore, vector_server: Server) -> None:
    _, incarnation = await begun(store, one("a", 1))
    await store.delete(SCOPE)
    keys = keys_of(store)
    assert vector_server.command("EXISTS", *keys) == 0
    late = another(store)
    await late.applied()
    for anew in (False, True):
        with pytest.raises(IndexGone):
            await late.apply([one("a", 1)], (), f"{incarnation}:2", anew=anew)
    # Nor for another one of the same name.
    await store.create(SCOPE, kind="memory")
    await late.applied()
    with pytest.raises(IndexGone):
        await late.apply([one("a", 1)], (), f"{incarnation}:2", anew=True)
    assert vector_server.command("EXISTS", *keys) == 0


async def test_many_clients_at_once_find_what_is_there(vector_url: str, cluster_url: str) -> None:
    for url in (vector_url, cluster_url):
        async with open_store(url) as one_store, open_store(url) as other_store:
            scopes = [one_store.memory("ada"), other_store.memory("ada")]

            async def talk(memory: MemoryScope, number: int) -> None:
                for at in range(8):
                    id = f"m{number}-{at}"
                    await memory.add(f"fact {number} {at} of {number * at}", id=id)
                    found = await memory.search(f"fact {number} {at} of {number * at}", k=50, mode="vector")
                    assert id in {each.id for each in found}
                    if at % 3 == 2:
                        await memory.delete(id)
                        found = await memory.search(f"fact {number} {at}", k=50, mode="vector")
                        assert id not in {each.id for each in found}

            await asyncio.gather(*(talk(scopes[number % 2], number) for number in range(6)))
            assert {kind_of(each) for each in scopes} == {"VectorSet"}
            exact = one_store.memory("ada", index="exact")
            for memory in scopes:
                wanted = await exact.search("fact 3 4 of 12", k=20, mode="vector")
                assert await memory.search("fact 3 4 of 12", k=20, mode="vector") == wanted


# What becomes of it


@pytest.mark.parametrize("part", [0, 1])
async def test_one_that_is_lost_is_filled_anew(
    store: SessionStore, vector_server: Server, caplog: pytest.LogCaptureFixture, part: int
) -> None:
    memory = store.memory("ada")
    await memory.add("My dog is called Rex", id="dog")
    assert [each.id for each in await memory.search("dog", mode="vector")] == ["dog"]
    keys = keys_of(store)
    vector_server.command("DEL", keys[part])
    with caplog.at_level(logging.WARNING):
        assert [each.id for each in await memory.search("dog", mode="vector")] == ["dog"]
    assert "it is filled anew" in caplog.text
    assert vector_server.command("EXISTS", *keys) == 2


async def test_it_goes_with_its_scope_its_tenant_and_whoever_sweeps(
    store: SessionStore, vector_server: Server
) -> None:
    for taken in (store, store.tenant("acme")):
        memory = taken.memory("ada")
        await memory.add("My dog is called Rex", id="dog", ttl=1000)
        await memory.search("dog", mode="vector")
        keys = keys_of(taken)
        assert vector_server.command("EXISTS", *keys) == 3
        if taken is store:
            assert await memory.forget()
        else:
            await store.delete_tenant("acme")
        assert vector_server.command("EXISTS", *keys) == 0


async def test_one_whose_record_is_gone_is_found_by_repair(
    store: SessionStore, vector_server: Server
) -> None:
    await begun(store, one("a", 1))
    backend = backend_of(store)
    keys = backend.keys.vectors(SCOPE)
    vector_server.command("DEL", backend.keys.record(SCOPE))
    assert vector_server.command("EXISTS", *keys) == 2
    found: RepairReport = await store.repair(dry_run=True)
    assert any(each.sort == "orphan" and each.where == SCOPE for each in found.damages)
    assert vector_server.command("EXISTS", *keys) == 2
    await store.repair()
    assert vector_server.command("EXISTS", *keys) == 0


async def test_a_large_scope_is_answered_while_its_set_is_filled(store: SessionStore) -> None:
    exact = store.memory("ada", index="exact")
    await exact.add_many({"said": f"fact {at} of {at % 7}", "id": f"m{at:04}"} for at in range(700))
    memory = store.memory("ada")
    wanted = await exact.search("fact 77 of 0", mode="vector")
    assert await memory.search("fact 77 of 0", mode="vector") == wanted
    assert kind_of(memory) == "ExactIndex"
    # What changes meanwhile is in it as well.
    await memory.add("fact 1000 of 1", id="new")
    await memory.delete("m0077")
    while kind_of(memory) != "VectorSet":
        await asyncio.sleep(0.01)
        assert [each.id for each in await memory.search("fact 1000 of 1", k=1, mode="vector")] == ["new"]
    assert await memory.search("fact 77 of 0", mode="vector") == await exact.search(
        "fact 77 of 0", mode="vector"
    )
