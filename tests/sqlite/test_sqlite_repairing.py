"""Whatever a hand left wrong in a file is found, mended, and not found again."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from miniagent_store import Message, SessionDamagedError, SessionStore, open_store
from miniagent_store.repair_report import RepairReport

OTHER = "neighbour"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{tmp_path / 'sessions.db'}") as store:
        for session_id, ttl in (("one", "1h"), ("two", None)):
            await store.create(session_id, user_id="ada", agent="helper", tags=["t", "u"], ttl=ttl)
            messages = (Message.user(f"text {number}", id=f"id{number}") for number in range(5))
            await store.append(session_id, *messages)
            await store.append(session_id, {"type": "seen"}, log="events")
            await store.state(session_id).set("plan", ["one", "two"])
        # Another namespace of the file, which is none of our business.
        await store.tenant(OTHER).create("theirs", user_id="bob", tags=["t"])
        yield store


def by_hand(tmp_path: Path, statement: str) -> None:
    """Do what nothing of ours does."""
    connection = sqlite3.connect(tmp_path / "sessions.db", timeout=10)
    try:
        with connection:
            assert connection.execute(statement).rowcount > 0
    finally:
        connection.close()


def found_in(report: RepairReport) -> dict[str, int]:
    return {sort: count for sort, count in report.found.items() if count}


async def test_a_whole_file_is_well(store: SessionStore) -> None:
    report = await store.repair()

    assert (report.sessions, report.damages, report.left) == (2, [], 0)
    assert (await store.tenant(OTHER).repair()).sessions == 1


ONE = "(SELECT key FROM sessions WHERE id = 'one')"


@pytest.mark.parametrize(
    ("statement", "sort"),
    [
        ("UPDATE counts SET sessions = sessions + 1 WHERE scope = 'all' AND namespace = ''", "index"),
        ("DELETE FROM counts WHERE scope = 'users' AND namespace = ''", "index"),
        ("INSERT INTO counts VALUES ('', 'session', 'agent', 'nobody', 3, 0, 0)", "index"),
        ("DELETE FROM tags WHERE id = 'one' AND tag = 't'", "index"),
        ("INSERT INTO tags VALUES ('', 'session', 'x', 1, 'one', 99)", "index"),
        ("UPDATE tags SET tag = 'other' WHERE id = 'two' AND tag = 'u'", "index"),
        ("UPDATE sessions SET messages = 77 WHERE id = 'two'", "index"),
        ("INSERT INTO entries VALUES (99999, 'messages', 1, 1, x'00', 1, 0, NULL, NULL, x'00')", "orphan"),
        ("INSERT INTO state VALUES (99999, 'name', 1, NULL, 1, NULL)", "orphan"),
        ("INSERT INTO writers VALUES (99999, 'w', 1, x'00')", "orphan"),
        ("DELETE FROM sessions WHERE id = 'two'", "orphan"),
    ],
)
async def test_what_is_wrong_is_put_right(
    tmp_path: Path, store: SessionStore, statement: str, sort: str
) -> None:
    by_hand(tmp_path, statement)

    report = await store.repair(dry_run=True)
    assert sort in found_in(report)
    assert found_in(await store.repair(dry_run=True)) == found_in(report)
    assert (await store.repair()).left == 0

    assert found_in(await store.repair(dry_run=True)) == {}
    left = 1 if "DELETE FROM sessions" in statement else 2
    stats = await store.stats()
    assert (stats.sessions, stats.messages) == ({"session": left}, 5 * left)
    assert (stats.users, stats.agents) == (1, {"helper": left})
    for tag in ("t", "u"):
        assert len(await store.list(tags=[tag])) == left
    assert await store.count_sessions(user_id="ada") == left
    assert len(await store.tenant(OTHER).list(tags=["t"])) == 1


async def test_what_is_lost_is_told_and_left_alone(tmp_path: Path, store: SessionStore) -> None:
    by_hand(tmp_path, f"DELETE FROM entries WHERE session = {ONE} AND log = 'messages' AND seq IN (1, 3)")

    report = await store.repair()

    assert found_in(report) == {"lost": 1}
    assert report.left == 1
    assert report.damages[0].where == "one"
    assert report.damages[0].what == "log 'messages' has lost 2 entries"
    with pytest.raises(SessionDamagedError):
        await store.history("one")


async def test_a_salvaged_session_goes_on_with_what_is_left(tmp_path: Path, store: SessionStore) -> None:
    session = await store.get("one")
    by_hand(tmp_path, f"DELETE FROM entries WHERE session = {ONE} AND log = 'messages' AND seq IN (1, 3)")
    by_hand(tmp_path, f"DELETE FROM entries WHERE session = {ONE} AND log = 'events'")

    assert (await store.repair(salvage=True)).left == 0

    assert found_in(await store.repair(dry_run=True)) == {}
    entries = await store.entries("one")
    assert [(each.seq, each.value["content"]) for each in entries] == [
        (3, "text 1"),
        (4, "text 3"),
        (5, "text 4"),
    ]
    assert await store.entries("one", log="events") == []
    after = await store.get("one")
    assert (after.version, after.epoch) == (session.version + 1, session.epoch + 1)
    assert after.size < session.size
    assert (await store.stats()).messages == 8
    # The caller's ids that are left are known, and what was lost may be said again.
    await store.append("one", Message.user("text 3", id="id3"), Message.user("text 0", id="id0"))
    assert [each.seq for each in await store.entries("one", last=2)] == [5, 6]
    assert await store.state("one").get("plan") == ["one", "two"]


async def test_a_record_that_cannot_be_read_stops_nothing(tmp_path: Path, store: SessionStore) -> None:
    by_hand(tmp_path, "UPDATE sessions SET logs = x'c1' WHERE id = 'one'")
    by_hand(tmp_path, "UPDATE counts SET size = 1 WHERE scope = 'all' AND namespace = ''")

    report = await store.repair()

    assert found_in(report) == {"lost": 1, "index": 1}
    assert report.left == 1


async def test_commits_go_on_while_it_is_repaired(tmp_path: Path, store: SessionStore) -> None:
    import asyncio

    by_hand(tmp_path, "UPDATE counts SET sessions = sessions + 1 WHERE scope = 'all' AND namespace = ''")

    async def write(number: int) -> None:
        for count in range(20):
            await store.append(f"new{number}", Message.user(str(count)), create=True)

    *_, report = await asyncio.gather(*map(write, range(5)), store.repair())

    assert report.left == 0
    assert (await store.repair(dry_run=True)).damages == []
    assert (await store.stats()).messages == 110


async def test_sessions_that_will_expire_are_counted(store: SessionStore) -> None:
    assert [await store.count_expiring(within) for within in ("1m", "90m")] == [0, 1]
