"""Whatever a crash, an eviction or a hand left wrong in Redis is found, mended, and not found again."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from miniagent_backends.redis import repairing
from miniagent_backends.redis.keys import Keys, bucket_of
from miniagent_store import Message, SessionDamagedError, SessionStore, open_store
from miniagent_store.repair_report import RepairReport
from miniagent_store.testing.conformance import backend_of
from miniagent_store.testing.servers import Server

HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
async def store(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SessionStore]:
    # All is settled here: nobody has to wait for what others may have yet to tell.
    monkeypatch.setattr(repairing, "LAG_SECONDS", 0.02)
    async with open_store(server.url, namespace=uuid.uuid4().hex) as store:
        await fill(store)
        yield store


async def fill(store: SessionStore) -> None:
    for session_id, ttl in (("short", "1h"), ("long", None), ("other", "2h")):
        await store.create(session_id, user_id="ada", agent="helper", tags=["t"], ttl=ttl)
        async with store.batch(session_id) as batch:
            for number in range(5):
                batch.append(Message.user(f"text {number}", id=f"id{number}"))
            batch.append({"type": "seen"}, log="events")
            batch.append({"type": "more"}, log="notes")
            batch.state.set("plan", ["one", "two"])
            batch.state.add("turns", 3)
    # What was held back would put right what is broken by hand.
    await backend_of(store).settle()


@dataclass
class Hand:
    """Does to the server what nothing of ours does."""

    server: Server
    store: SessionStore

    @property
    def keys(self) -> Keys:
        backend: Any = backend_of(self.store)
        keys: Keys = backend._keys
        return keys

    def part(self, session_id: str, part: str) -> str:
        if part == "record":
            return self.keys.record(session_id)
        parts = self.keys.parts(session_id)
        return parts["log"] + "notes" if part == "log" else parts[part]

    def does(self, *command: Any) -> Any:
        return self.server.command(*command)


@pytest.fixture
def hand(server: Server, store: SessionStore) -> Hand:
    return Hand(server, store)


async def seen(store: SessionStore, *session_ids: str) -> list[Any]:
    found: list[Any] = []
    for session_id in session_ids:
        snapshot = await store.snapshot(session_id, logs=["messages", "events", "notes"], state=True)
        found += [snapshot.logs, snapshot.state, snapshot.session.size]
    return found


def found_in(report: RepairReport) -> dict[str, int]:
    return {sort: count for sort, count in report.found.items() if count}


async def is_well(store: SessionStore) -> bool:
    report = await store.repair(dry_run=True)
    assert report.damages == []
    return not report.found


async def test_a_whole_store_is_well(store: SessionStore) -> None:
    report = await store.repair()

    assert (report.sessions, report.damages, report.left) == (3, [], 0)


async def test_writing_is_no_damage(store: SessionStore) -> None:
    for number in range(50):
        await store.append("long", Message.user(str(number)))
    await store.create("new", ttl="1m")
    await store.update("short", tags=["other"])
    await store.fork("long", new_id="copy")
    await store.rewind("copy", to=3)
    await store.delete("other")

    assert (await store.repair(dry_run=True)).damages == []


PARTS = ["record", "thread", "events", "log", "state", "names", "count", "ids"]


@pytest.mark.parametrize("broken", ["stays", "goes early", "goes late", "goes though it is to stay"])
async def test_a_wrong_expiry_is_put_right(store: SessionStore, hand: Hand, broken: str) -> None:
    session_id = "long" if broken == "goes though it is to stay" else "short"
    keys = [hand.part(session_id, part) for part in PARTS]
    was = [hand.does("PEXPIRETIME", key) for key in keys]
    command: dict[str, tuple[Any, ...]] = {
        "stays": ("PERSIST",),
        "goes early": ("PEXPIRE", HOUR_MS // 2),
        "goes late": ("PEXPIRE", 100 * 24 * HOUR_MS),
        "goes though it is to stay": ("PEXPIRE", HOUR_MS),
    }
    name, *arguments = command[broken]
    for key in keys:
        hand.does(name, key, *arguments)

    assert found_in(await store.repair(dry_run=True)) == {"expiry": len(PARTS)}
    assert [hand.does("PEXPIRETIME", key) for key in keys] != was
    assert found_in(await store.repair()) == {"expiry": len(PARTS)}

    assert [hand.does("PEXPIRETIME", key) for key in keys] == was
    assert await is_well(store)


async def test_parts_that_are_kept_for_an_archive_are_right(server: Server) -> None:
    namespace = uuid.uuid4().hex
    async with open_store(server.url, namespace=namespace, grace="1h") as store:
        await fill(store)
    async with open_store(server.url, namespace=namespace) as other:
        assert await is_well(other)


async def test_parts_of_no_session_are_removed(store: SessionStore, hand: Hand) -> None:
    keys = [hand.part("long", part) for part in PARTS if part != "record"]
    saved = {key: hand.does("DUMP", key) for key in keys}
    await store.delete("long")
    for key, value in saved.items():
        hand.does("RESTORE", key, 0, value)

    report = await store.repair(dry_run=True)
    assert (found_in(report), hand.does("EXISTS", *keys)) == ({"orphan": 7}, 7)
    assert {each.where for each in report.damages} == {"long"}
    assert found_in(await store.repair()) == {"orphan": 7}

    assert hand.does("EXISTS", *keys) == 0
    assert await is_well(store)


async def test_an_evicted_record_leaves_orphans_and_its_places(store: SessionStore, hand: Hand) -> None:
    hand.does("DEL", hand.part("long", "record"))

    report = await store.repair()

    assert report.left == 0
    assert report.mended["orphan"] == 7
    assert report.mended["index"] >= 1
    assert [session.id for session in await store.list()] == ["other", "short"]
    assert (await store.stats()).messages == 10
    assert await is_well(store)


@pytest.mark.parametrize("part", ["names", "ids"])
async def test_what_other_parts_tell_is_made_anew(store: SessionStore, hand: Hand, part: str) -> None:
    before = await seen(store, "short")
    hand.does("DEL", hand.part("short", part))
    with pytest.raises(SessionDamagedError):
        await store.append("short", Message.user("refused"))

    assert found_in(await store.repair(dry_run=True)) == {"part": 1}
    assert found_in(await store.repair()) == {"part": 1}

    assert await seen(store, "short") == before
    assert await is_well(store)
    # A caller's id is known again, and the state's names are listed.
    session = await store.append("short", Message.user("text 2", id="id2"))
    assert session.message_count == 5


@pytest.mark.parametrize("part", ["thread", "events", "log", "state", "count"])
async def test_what_is_lost_is_told_and_left_alone(store: SessionStore, hand: Hand, part: str) -> None:
    hand.does("DEL", hand.part("short", part))

    report = await store.repair()

    assert report.left == report.found["lost"] >= 1
    assert {each.where for each in report.damages} == {"short"}
    with pytest.raises(SessionDamagedError, match="miniagent-store repair"):
        await store.append("short", Message.user("refused"))
    await seen(store, "long", "other")


@pytest.mark.parametrize("part", ["thread", "events", "log", "state", "count"])
async def test_a_salvaged_session_goes_on_with_what_is_left(
    store: SessionStore, hand: Hand, part: str
) -> None:
    session = await store.get("short")
    hand.does("DEL", hand.part("short", part))

    report = await store.repair(salvage=True)

    assert report.left == 0
    assert await is_well(store)
    snapshot = await store.snapshot("short", logs=["messages", "events", "notes"], state=True)
    counts = {log: len(entries) for log, entries in snapshot.logs.items()}
    whole = {"messages": 5, "events": 1, "notes": 1}
    name = {"thread": "messages", "events": "events", "log": "notes"}.get(part)
    assert counts == (whole if name is None else {**whole, name: 0})
    state = {"plan": ["one", "two"], "turns": 3}
    assert snapshot.state == {"state": {}, "count": {"plan": ["one", "two"]}}.get(part, state)
    assert snapshot.session.version == session.version + 1
    assert snapshot.session.epoch == session.epoch + 1
    after = await store.append("short", Message.user("goes on"), Message.user("text 0", id="id0"))
    last = await store.entries("short", last=1)
    # Sequences go on where they were; what was lost may be said again.
    assert last[0].seq == (7 if part == "thread" else 6)
    assert after.message_count == (2 if part == "thread" else 6)
    assert (await store.repair(dry_run=True)).damages == []


async def test_a_salvaged_log_keeps_its_last_entries_and_their_ids(store: SessionStore, hand: Hand) -> None:
    hand.does("LTRIM", hand.part("short", "thread"), 2, -1)

    report = await store.repair(salvage=True)

    assert [each.what for each in report.damages] == ["log 'messages' has lost 2 of 5 entries"]
    entries = await store.entries("short")
    assert [(each.seq, each.value["content"]) for each in entries] == [
        (3, "text 2"),
        (4, "text 3"),
        (5, "text 4"),
    ]
    await store.append("short", Message.user("text 3", id="id3"))
    assert await store.count("short") == 3
    sizes = [(await store.get(each)).size for each in ("short", "long")]
    assert sizes[0] < sizes[1]
    assert await is_well(store)


async def test_a_watcher_learns_that_a_session_was_salvaged(
    server: Server, store: SessionStore, hand: Hand
) -> None:
    position = (await store.get("short")).position
    hand.does("LTRIM", hand.part("short", "thread"), 2, -1)
    await store.repair(salvage=True)

    events: list[tuple[str, Any]] = []
    async for event in store.watch("short", after=position):
        events.append((event.type, event.from_seq))
        if event.type == "reset" and event.log == "messages":
            break

    assert ("reset", 1) in events


async def test_a_record_that_cannot_be_read_is_told_and_stops_nothing(
    store: SessionStore, hand: Hand
) -> None:
    hand.does("HSET", hand.part("long", "record"), "m", "nonsense")
    hand.does("SET", hand.keys.record("a text"), "not a hash")
    hand.does("PERSIST", hand.part("short", "ids"))

    report = await store.repair()

    assert found_in(report) == {"lost": 2, "expiry": 1}
    assert {each.where for each in report.damages if not each.mended} == {"long", "a text"}
    # The place of one that cannot be read is not taken away.
    assert hand.does("ZSCORE", hand.keys.index("session", "user:ada"), "long") is not None


async def test_copies_that_were_cut_short_are_given_their_time(store: SessionStore, hand: Hand) -> None:
    start = hand.keys.stage("copy", "0123")
    hand.does("RPUSH", f"{start}log:messages", "element")
    hand.does("HSET", f"{start}logs", "messages", "1")
    hand.does("HSET", f"{hand.keys.stage('other', '4567')}logs", "messages", "1")
    hand.does("PEXPIRE", f"{hand.keys.stage('other', '4567')}logs", HOUR_MS)

    assert found_in(await store.repair(dry_run=True)) == {"stage": 2}
    assert found_in(await store.repair()) == {"stage": 2}

    assert 0 < hand.does("PTTL", f"{start}logs") <= repairing.STAGE_MS
    assert await is_well(store)


@pytest.mark.parametrize(
    "broken",
    [
        "no place",
        "no index",
        "no expiry",
        "wrong totals",
        "a stranger",
        "no user",
        "no users",
        "no agent",
        "no tag",
    ],
)
async def test_drift_of_indexes_is_put_right(store: SessionStore, hand: Hand, broken: str) -> None:
    keys = hand.keys
    bucket = keys.bucket("session", bucket_of("short"))
    command: dict[str, tuple[Any, ...]] = {
        "no place": ("HDEL", bucket["places"], "short"),
        "no index": ("ZREM", keys.index("session", f"index:{{{bucket_of('short')}}}"), "short"),
        "no expiry": ("ZREM", bucket["expiry"], "short"),
        "wrong totals": ("HINCRBY", bucket["totals"], "messages", 7),
        "a stranger": ("ZADD", keys.index("session", "user:ada"), 1, "nobody"),
        "no user": ("ZREM", keys.index("session", "user:ada"), "short"),
        "no users": ("DEL", keys.users("session", "ada")),
        "no agent": ("DEL", keys.index("session", "agent:helper")),
        "no tag": ("ZREM", keys.index("session", "tag:t"), "short"),
    }
    hand.does(*command[broken])

    report = await store.repair(dry_run=True)
    assert set(found_in(report)) == {"index"}
    assert found_in(await store.repair(dry_run=True)) == found_in(report)
    assert (await store.repair()).left == 0

    assert await is_well(store)
    assert {each.id for each in await store.list(user_id="ada", agent="helper", tags=["t"])} == {
        "short",
        "long",
        "other",
    }
    stats = await store.stats()
    assert (stats.messages, stats.users, stats.agents) == (15, 1, {"helper": 3})


async def test_others_on_the_server_are_left_alone(store: SessionStore, hand: Hand) -> None:
    foreign = {
        "thread:short": ("SET", "thread:short", "x"),
        "log:{session:gone}:notes": ("RPUSH", "log:{session:gone}:notes", "x"),
        "acme/thread:{acme/session:gone}": ("RPUSH", "acme/thread:{acme/session:gone}", "x"),
    }
    for command in foreign.values():
        hand.does(*command)

    report = await store.repair()

    assert report.damages == []
    assert all(hand.does("EXISTS", key) for key in foreign)
    hand.does("DEL", *foreign)


async def test_sessions_that_will_expire_are_counted(store: SessionStore) -> None:
    assert [await store.count_expiring(within) for within in ("1m", "90m", "1d")] == [0, 1, 2]
