"""Expired sessions go into files or another store, and come back from there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Key, Keyring, Message, SessionExistsError, SessionStore, Snapshot, open_store
from miniagent_store.archiving import FileArchive, StoreArchive, restore
from miniagent_store.errors import DecodeError
from miniagent_store.store import sweeping
from miniagent_store.testing.conformance import eventually
from miniagent_store.testing.conformance.base import gone
from tests.coordination.many_sessions import Place, opened, place_of

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
STATE = {"plan": {"steps": [1, 2.5, None]}, "bytes": b"\x00\xff", "when": NOON}


@pytest.fixture(scope="module", params=["sqlite", "redis", "cluster"])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with place_of(request.param, tmp_path_factory.mktemp("place")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Place:
    return shared.alone()


@pytest.fixture(params=["plain", "encrypted", "shred"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "plain":
        return {}
    return {
        "serializer": "msgpack+encrypted",
        "keyring": Keyring([Key.generate()]),
        "shred": request.param == "shred",
    }


async def make(store: SessionStore, session_id: str) -> Snapshot:
    """A session that expires soon; what it held."""
    await store.create(session_id, user_id="ada", agent="helper", metadata={"title": "x"}, tags=["t"])
    async with store.batch(session_id) as batch:
        batch.append(Message.user("hello", id="m1"), time=NOON)
        batch.append(Message.assistant("hi"), {"role": "tool", "content": b"bytes"})
        batch.append({"event": 1}, log="events")
        for name, value in STATE.items():
            batch.state.set(name, value)
    snapshot = await store.snapshot(session_id, logs=("messages", "events"), state=True)
    await store.touch(session_id, ttl=0.1)
    await gone(store, session_id)
    return snapshot


def check_same(restored: Snapshot, before: Snapshot) -> None:
    for log, entries in before.logs.items():
        expected = [(entry.seq, entry.value, entry.time) for entry in entries]
        assert [(entry.seq, entry.value, entry.time) for entry in restored.logs[log]] == expected
    assert before.state.items() <= restored.state.items()
    one, other = restored.session, before.session
    assert (one.user_id, one.agent, one.metadata, one.tags) == (
        other.user_id,
        other.agent,
        other.metadata,
        other.tags,
    )
    assert one.message_count == other.message_count


async def test_a_session_goes_into_a_file_and_comes_back(
    place: Place, options: dict[str, Any], tmp_path: Path
) -> None:
    archive = FileArchive(tmp_path / "archive" / "2024")
    async with opened(place, plugins=[archive], **options) as store:
        before = await make(store, "a: b/c")

        assert await store.sweep() == 1

        [path] = archive.paths()
        assert path.stat().st_mode & 0o077 == 0
        assert [each.name for each in path.parent.iterdir()] == [path.name]
        snapshot = archive.read(path)
        assert (snapshot.logs, snapshot.state) == (before.logs, before.state)
        await restore(store, snapshot)
        check_same(await store.snapshot("a: b/c", logs=("messages", "events"), state=True), before)
        with pytest.raises(SessionExistsError):
            await restore(store, snapshot)
        assert (await restore(store, snapshot, session_id="copy", ttl="1h")).ttl == 3600


async def test_a_session_goes_into_another_store(place: Place, options: dict[str, Any]) -> None:
    async with open_store("memory://") as other:
        archive = StoreArchive(other)
        async with opened(place, plugins=[archive], **options) as store:
            before = await make(store, "s")
            assert await store.sweep() == 1
            check_same(await other.snapshot("s", logs=("messages", "events"), state=True), before)

            # The id again, in another life; and one that is told of again is there once.
            again = await make(store, "s")
            assert await store.sweep() == 1
            await archive.session_archive(again.session, again)
            await archive.session_archive(before.session, before)

        assert len(await other.list()) == 2
        check_same(await other.snapshot("s", logs=("messages", "events"), state=True), before)


async def test_an_archive_that_fails_is_tried_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeping, "CLAIM_SECONDS", 0.6)
    folder = tmp_path / "archive"
    folder.write_text("not a folder")
    archive = FileArchive(folder)
    async with opened(place, plugins=[archive]) as store:
        before = await make(store, "s")

        assert await store.sweep() == await store.sweep() == 0
        assert caplog.text.count("could not be archived, and comes again") == 1
        folder.unlink()

        async def is_archived() -> bool:
            return await store.sweep() == 1

        await eventually(is_archived)
        [path] = archive.paths()
        assert archive.read(path).history == before.history


async def test_without_a_grace_there_may_be_nothing_left_to_archive(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path / "archive")
    with place_of("redis", tmp_path) as place:
        async with opened(place, plugins=[archive], grace=0) as store:
            await make(store, "s")
            assert await store.sweep() == 1
        assert list(archive.paths()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"format": 99}', b'{"format": 1, "snapshot": 1}', b"\xff"]
)
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)

    with pytest.raises(DecodeError):
        FileArchive(tmp_path).read(path)


async def test_a_session_that_is_kept_for_its_archive_takes_no_commit(tmp_path: Path) -> None:
    """Also where the store knows its record, and would append without a look."""
    with place_of("redis", tmp_path) as place:
        async with opened(place, grace="1h", ttl_mode="absolute") as store:
            await store.create("s", ttl=1.5)
            late = []
            for _ in range(400):
                try:
                    await store.append("s", Message.user("x"))
                except Exception as error:  # noqa: BLE001 - which one is looked at below
                    late.append(type(error).__name__)
                    if len(late) == 5:
                        break
                await asyncio.sleep(0.01)
            assert late == ["SessionNotFoundError"] * 5
            await store.append("s", Message.user("new"), create=True)
            assert [message.content for message in await store.history("s")] == ["new"]
