"""What `DocumentBackend` makes of two primitives, besides the conformance suite."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import dict_backend
from dict_backend import DictBackend

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.backend import ReadPlan
from miniagent_store.errors import (
    BackendUnavailableError,
    OutcomeUnknownError,
    SessionDamagedError,
    StoreClosedError,
)
from miniagent_store.rules import change_log
from miniagent_store.rules.document_codec import KEPT_LEASE_MS, decode_document
from miniagent_store.testing import StoreConformance, backend_of, eventually

T = TypeVar("T")
PLUGINS = [dict_backend]


class TestDict(StoreConformance):
    """The example passes the suite."""

    @pytest.fixture
    def store_url(self) -> str:
        return "dict://"

    @pytest.fixture
    def store_options(self) -> dict[str, Any]:
        return {"plugins": PLUGINS}


@pytest.fixture
async def store() -> AsyncIterator[SessionStore]:
    async with open_store("dict://", plugins=PLUGINS, deadline=1) as opened:
        yield opened


@pytest.fixture
def backend(store: SessionStore) -> DictBackend:
    found = backend_of(store)
    assert isinstance(found, DictBackend)
    return found


async def test_nothing_is_left_of_a_deleted_session(store: SessionStore, backend: DictBackend) -> None:
    await store.create("s")
    await store.append("s", Message.user("a"))

    await store.delete("s")

    assert backend.documents == {}


async def test_asking_again_writes_nothing(store: SessionStore, backend: DictBackend) -> None:
    await store.create("s")
    commit_id = store.new_commit_id()
    await store.append("s", Message.user("a"), commit_id=commit_id)
    before = dict(backend.documents)

    await store.append("s", Message.user("a"), commit_id=commit_id)
    await store.create("s", exist_ok=True)
    await store.history("s")

    assert all(backend.documents[key] is data for key, data in before.items())


async def test_no_change_log_is_written_until_someone_watches(
    store: SessionStore, backend: DictBackend
) -> None:
    await store.create("before")
    assert [key.partition("/")[0] for key in backend.documents] == ["session"]

    _, cursor = await backend.changes(None, 10)
    await store.create("after")

    changes, _ = await backend.changes(cursor, 10)
    assert [change.session_id for change in changes] == ["after"]


async def test_who_fell_behind_is_told_of_every_session(
    store: SessionStore, backend: DictBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 3)
    await store.create("before")
    _, cursor = await backend.changes(None, 10)
    for number in range(5):
        await store.create(f"s{number}")

    changes, now = await backend.changes(cursor, 10)

    assert {change.session_id for change in changes} == {"before", *(f"s{n}" for n in range(5))}
    assert await backend.changes(now, 10) == ([], now)


async def test_a_cursor_of_a_log_that_was_forgotten_tells_every_session(
    store: SessionStore, backend: DictBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cursor = await backend.changes(None, 10)
    await store.create("s")
    monkeypatch.setattr(change_log, "FORGET_MS", -1)
    await store.sweep()
    assert not any(key.startswith("changes/") for key in backend.documents)

    changes, _ = await backend.changes(cursor, 10)

    assert [change.session_id for change in changes] == ["s"]


async def test_sweeping_removes_what_is_due(
    store: SessionStore, backend: DictBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("s", ttl=0.01)
    await store.cache.set("key", 1, ttl=0.01)
    await store.rate_limit("key", 1, 0.01)
    async with store.lock("job"), store.turn("new", create=True):
        pass
    assert len(backend.documents) == 5
    later = backend.now_ms() + 2 * KEPT_LEASE_MS
    monkeypatch.setattr(backend, "now_ms", lambda: later)

    assert await store.sweep() == 1

    assert backend.documents == {}


async def test_one_sweep_tells_no_more_than_it_was_asked_for(
    store: SessionStore, backend: DictBackend
) -> None:
    for number in range(5):
        await store.create(f"s{number}", ttl=0.01)
    await asyncio.sleep(0.05)

    told = [len(await backend.claim_expired(2, 60_000)) for _ in range(4)]

    assert told == [2, 2, 1, 0]


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x90", b"\x94\x63\xa1s\xc0\xc0", b"junk"])
async def test_a_damaged_document_is_an_error(
    store: SessionStore, backend: DictBackend, damage: bytes
) -> None:
    await store.create("s")
    [key] = backend.documents
    backend.documents[key] = damage

    with pytest.raises(SessionDamagedError):
        await store.get("s")
    with pytest.raises(SessionDamagedError):
        await store.append("s", Message.user("a"))
    assert backend.documents[key] == damage


async def test_a_document_cut_short_is_an_error(store: SessionStore, backend: DictBackend) -> None:
    await store.create("s", metadata={"m": 1})
    await store.append("s", Message.user("a"))
    [key] = backend.documents
    whole = backend.documents[key]

    for length in range(len(whole)):
        backend.documents[key] = whole[:length]
        with pytest.raises(SessionDamagedError):
            await backend.read(ReadPlan("s"))


async def test_a_document_under_another_key_is_an_error(store: SessionStore, backend: DictBackend) -> None:
    await store.create("s")
    [data] = backend.documents.values()
    await store.create("t")
    for key in backend.documents:
        backend.documents[key] = data

    with pytest.raises(SessionDamagedError):
        await store.get("t")


async def test_documents_come_back_as_they_were(store: SessionStore, backend: DictBackend) -> None:
    await store.append("s", Message.user("a", id="m1"), create=True)
    await store.state("s").set("name", 1, ttl="1h")
    await store.state("s").add("n", 2**62)
    await store.pop("s")
    [data] = backend.documents.values()

    assert decode_document(data, "s").encode() == data


class Failing(DictBackend):
    """Fails before or after it wrote, so many times."""

    before = after = 0

    async def transact(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        if self.before:
            self.before -= 1
            raise OSError("the disk is away")
        result = await super().transact(key, change)
        if self.after:
            self.after -= 1
            raise OSError("the answer was lost")
        return result

    async def fetch(self, key: str) -> bytes | None:
        return self.documents.get(key)


@pytest.fixture
def failing(backend: DictBackend) -> Failing:
    backend.__class__ = Failing
    assert isinstance(backend, Failing)
    return backend


async def test_what_failed_before_it_was_written_is_tried_again(
    store: SessionStore, failing: Failing
) -> None:
    await store.create("s")
    failing.before = 2

    await store.append("s", Message.user("a"))

    assert await store.count("s") == 1


async def test_what_may_have_been_written_is_tried_again_and_stored_once(
    store: SessionStore, failing: Failing
) -> None:
    await store.create("s")
    failing.after = 2

    after = await store.append("s", Message.user("a"))

    assert (after.version, await store.count("s")) == (2, 1)


async def test_what_cannot_be_known_is_said(store: SessionStore, failing: Failing) -> None:
    await store.create("s")
    failing.after = 10**6

    with pytest.raises(OutcomeUnknownError) as unknown:
        await store.append("s", Message.user("a"))

    failing.after = 0
    await store.append("s", Message.user("a"), commit_id=unknown.value.commit_id)
    assert await store.count("s") == 1


async def test_what_was_not_written_is_said(store: SessionStore, failing: Failing) -> None:
    await store.create("s")
    failing.before = 10**6

    with pytest.raises(BackendUnavailableError):
        await store.append("s", Message.user("a"))

    failing.before = 0
    assert await store.count("s") == 0


async def test_a_begun_commit_ends_though_its_caller_is_cancelled(
    store: SessionStore, backend: DictBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.create("s")
    going, go_on = asyncio.Event(), asyncio.Event()
    transact = backend.transact

    async def slow(key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        going.set()
        await go_on.wait()
        return await transact(key, change)

    monkeypatch.setattr(backend, "transact", slow)
    task = asyncio.create_task(store.append("s", Message.user("a")))
    await going.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await task

    monkeypatch.setattr(backend, "transact", transact)
    assert await store.count("s") == 1


async def test_closing_ends_the_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    from miniagent_store.backend import BackendOptions, Capabilities, Topic
    from miniagent_store.url import StoreURL

    monkeypatch.setattr(DictBackend, "capabilities", Capabilities(durable=False, shared=True))
    backend = DictBackend(StoreURL.parse("dict://"), BackendOptions())
    await backend.open()
    subscription = await backend.subscribe(Topic("store"))
    # Other processes may have done something: whoever waits is woken to look.
    assert await subscription.wait(5)
    tasks = len(asyncio.all_tasks())

    await backend.close()
    await backend.close()

    await eventually(lambda: len(asyncio.all_tasks()) == tasks - 1)
    with pytest.raises(StoreClosedError):
        await backend.read(ReadPlan("s"))
