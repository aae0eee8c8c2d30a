"""Promises of cleaning up: what expired is told, archived and removed once; counts are right throughout."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store.archiving import FileArchive
from miniagent_store.backend import Backend, Create, LogRange, ReadPlan, StateSet
from miniagent_store.errors import InvalidArgumentError
from miniagent_store.hookspecs import hookimpl
from miniagent_store.store import sweeping
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import (
    ConformanceBase,
    OpenHere,
    append,
    commit,
    eventually,
    gone,
    payloads,
    say,
    texts,
)
from miniagent_store.values import Message, Session, Snapshot


class Told:
    """A plugin that remembers what expired, and what it was given to archive.

    Attributes:
        problem: what archiving raises, if anything.
    """

    def __init__(self) -> None:
        self.expired: list[str] = []
        self.archived: list[Snapshot] = []
        self.problem: Exception | None = None

    @hookimpl
    def session_expired(self, session_id: str) -> None:
        self.expired.append(session_id)


class Archived(Told):
    """One that archives as well."""

    @hookimpl
    async def session_archive(self, session: Session, snapshot: Snapshot) -> None:
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        assert snapshot.session == session
        self.archived.append(snapshot)


async def claimed(backend: Backend, claim_ms: int = 60_000) -> list[tuple[str, str]]:
    """Session and incarnation of all that expired."""
    found = await backend.claim_expired(100, claim_ms)
    return [(each.session_id, each.incarnation) for each in found]


class CleaningPromises(ConformanceBase):
    """Sweeps, claims, archives, counts."""

    async def test_a_claim_is_one_callers_until_its_time_is_over(self, backend: Backend) -> None:
        made = await backend.commit(commit(backend, "s", create=Create(ttl_ms=30)))
        await backend.commit(commit(backend, "lives", create=Create(ttl_ms=60_000)))
        expected = [("s", made.record.incarnation)]

        async def is_claimed() -> bool:
            return await claimed(backend, 1_000) == expected

        await eventually(is_claimed)

        assert await claimed(backend, 1_000) == []
        await asyncio.sleep(1.1)
        assert await claimed(backend) == expected
        assert await claimed(backend) == []

    async def test_what_is_finished_does_not_come_again(self, backend: Backend) -> None:
        for number in range(5):
            await backend.commit(
                commit(backend, f"s{number}", create=Create(ttl_ms=30, user_id="ada"), changes=append(b"x"))
            )
        await asyncio.sleep(0.5)

        expired = [*await backend.claim_expired(3, 1_000), *await backend.claim_expired(3, 1_000)]
        await backend.finish_expired(expired)
        await backend.finish_expired(expired)

        assert len({each.session_id for each in expired}) == len(expired) == 5
        await asyncio.sleep(1.1)
        assert await backend.claim_expired(10, 100) == []
        assert (await backend.stats()).sessions == {}

    async def test_finishing_spares_a_session_that_was_made_meanwhile(self, backend: Backend) -> None:
        created = Create(ttl_ms=30, user_id="ada", agent="helper", tags=("t",))
        await backend.commit(commit(backend, "s", 1, create=created, changes=append(b"old")))
        await asyncio.sleep(0.1)
        expired = await backend.claim_expired(10, 60_000)
        again = Create(user_id="ada", tags=("t", "u"))
        new = await backend.commit(commit(backend, "s", 2, create=again, changes=append(b"new")))
        assert new.created

        await backend.finish_expired(expired)

        read = await backend.read(ReadPlan("s", (LogRange("messages"),)))
        assert read.record is not None
        assert read.record.incarnation == new.record.incarnation
        assert payloads(read.entries[0]) == [b"new"]
        stats = await backend.stats()
        assert (stats.sessions, stats.messages, stats.users, stats.agents) == ({"session": 1}, 1, 1, {})

    async def test_an_id_that_is_used_again_is_told_as_expired_once(self, open_here: OpenHere) -> None:
        told = Told()
        store = await open_here(plugins=[told])
        await store.create("s", ttl=0.03)
        await gone(store, "s")
        await store.create("s")

        await store.sweep()
        await store.sweep()

        assert told.expired == ["s"]
        assert (await store.get("s")).expires_at is None
        assert await store.count_sessions() == 1

    async def test_only_a_sweep_can_read_what_has_expired(self, open_here: OpenHere) -> None:
        store = await open_here(grace="1h")
        backend: Backend = store._core.backend  # type: ignore[attr-defined]
        state = (StateSet("name", b"value"),)
        await backend.commit(
            commit(backend, "s", create=Create(ttl_ms=1_500), changes=append(b"x"), state=state)
        )
        plan = ReadPlan("s", (LogRange("messages"),), names=("name",), expired=True)
        assert (await backend.read(plan)).record is None
        await gone(store, "s")

        read = await backend.read(plan)

        assert read.record is not None
        assert payloads(read.entries[0]) == [b"x"]
        assert [value.payload for value in read.values] == [b"value"]
        for call in (store.history("s"), store.touch("s"), store.append("s", Message.user("late"))):
            with pytest.raises(Exception, match="'s'"):
                await call
        assert not await store.delete("s")
        await backend.finish_expired(await backend.claim_expired(10, 1_000))
        assert (await backend.read(plan)).record is None

    async def test_an_expired_session_is_archived_whole(self, open_here: OpenHere) -> None:
        told = Archived()
        store = await open_here(plugins=[told])
        await store.create("s", user_id="ada", metadata={"title": "x"}, tags=["t"], ttl="1h")
        await say(store, "s", "a", "b")
        await say(store, "s", "e", log="events")
        await store.state("s").set("name", {"k": b"bytes"})
        before = await store.snapshot("s", logs=("messages", "events"), state=True)
        await store.touch("s", ttl=0.05)
        await gone(store, "s")

        swept = await store.sweep()
        again = await store.sweep()

        [archived] = told.archived
        assert (swept, again, told.expired) == (1, 0, ["s"])
        assert archived.logs == before.logs
        assert archived.state == before.state
        assert (archived.session.metadata, archived.session.tags) == ({"title": "x"}, ("t",))

    async def test_what_could_not_be_archived_comes_again(
        self, open_here: OpenHere, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sweeping, "CLAIM_SECONDS", 0.5)
        told = Archived()
        told.problem = OSError("the disk is full")
        store = await open_here(plugins=[told])
        await store.create("s")
        await say(store, "s", "kept")
        await store.touch("s", ttl=0.03)
        await gone(store, "s")

        async def was_tried() -> bool:
            # On a machine that stands still a claim may be over before its turn.
            assert await store.sweep() == 0
            return "could not be archived, and comes again" in caplog.text

        await eventually(was_tried)
        assert told.expired == []
        told.problem = None

        async def is_archived() -> bool:
            return await store.sweep() == 1

        await eventually(is_archived)
        assert [message.content for message in told.archived[0].history] == ["kept"]
        assert told.expired == ["s"]

    async def test_an_archived_file_holds_the_session(self, open_here: OpenHere, tmp_path: Any) -> None:
        archive = FileArchive(tmp_path / "archive")
        store = await open_here(plugins=[archive])
        await store.create("a/b: c", user_id="ada", ttl=0.5)
        await say(store, "a/b: c", "hello")
        before = await store.snapshot("a/b: c", state=True)
        await gone(store, "a/b: c")

        assert await store.sweep() == 1

        [path] = archive.paths()
        assert archive.read(path).history == before.history

    async def test_sessions_are_counted_by_one_filter_or_more(self, store: SessionStore) -> None:
        for number in range(6):
            await store.create(
                f"s{number}",
                user_id="ada" if number % 2 else "bob",
                agent="helper" if number < 4 else None,
                tags=["even"] if number % 2 == 0 else ["odd", "third"] if number == 3 else ["odd"],
            )
        await store.create("k", user_id="ada", kind="thread")
        await store.create("short", user_id="ada", agent="helper", tags=["odd"], ttl=0.05)
        await gone(store, "short")

        wanted: list[dict[str, Any]] = [
            {},
            {"user_id": "ada"},
            {"user_id": "nobody"},
            {"agent": "helper"},
            {"tags": ["odd"]},
            {"kind": "thread"},
            {"kind": "nothing"},
            {"user_id": "ada", "agent": "helper"},
            {"tags": ["odd", "third"]},
            {"user_id": "bob", "tags": ["odd"]},
        ]

        async def counts() -> list[int]:
            return [await store.count_sessions(**filters) for filters in wanted]

        expected = [6, 3, 0, 4, 3, 1, 0, 2, 1, 0]
        assert await counts() == expected
        assert await store.sweep() == 1
        assert await counts() == expected
        await store.update("s3", tags=["even"])
        await store.delete("s5")
        assert await counts() == [5, 2, 0, 4, 1, 1, 0, 2, 0, 0]
        with pytest.raises(InvalidArgumentError):
            await store.count_sessions(user_id="")

    async def test_counts_follow_every_change(self, store: SessionStore) -> None:
        await store.create("s", user_id="ada", agent="helper")
        await say(store, "s", "a", "b", "c")
        await store.pop("s")
        await store.state("s").set("name", "x" * 100)
        await store.fork("s", new_id="t")
        await store.clear("t")
        await store.create("u")
        await say(store, "u", "gone")
        await store.touch("u", ttl=0.05)
        await gone(store, "u")

        async def seen() -> tuple[Any, ...]:
            stats = await store.stats()
            return stats.sessions, stats.messages, stats.size, stats.users, stats.agents

        size = sum([(await store.get(each)).size for each in ("s", "t")])
        expected = ({"session": 2}, 2, size, 1, {"helper": 2})
        assert await seen() == expected
        await store.sweep()
        assert await seen() == expected
        await store.delete("s")
        assert await seen() == ({"session": 1}, 0, (await store.get("t")).size, 1, {"helper": 1})

    async def test_there_is_nothing_to_put_right(self, store: SessionStore) -> None:
        await store.create("s", user_id="ada", tags=["t"], ttl="1h")
        await say(store, "s", "a", "b")
        await store.kv("settings").set("name", 1)
        seen: list[int] = []

        assert await store.reconcile(progress=seen.append) == 0

        assert seen == sorted(seen)
        assert await texts(store, "s") == ["a", "b"]

    async def test_there_is_nothing_to_repair(self, store: SessionStore) -> None:
        await store.create("s", user_id="ada", agent="helper", tags=["t"], ttl="1h")
        await store.append("s", {"id": "one", "content": "a"}, {"content": "b"})
        await store.append("s", {"content": "seen"}, log="events")
        await store.state("s").set("plan", 1)
        await store.state("s").add("turns", 2)
        await store.fork("s", new_id="t")
        await store.rewind("t", to=1)
        await store.touch("t", "never")
        seen: list[int] = []

        looked = await store.repair(dry_run=True)
        report = await store.repair(salvage=True, progress=seen.append)

        assert looked.damages == report.damages == []
        assert (report.found.total(), report.left) == (0, 0)
        assert seen == sorted(seen)
        assert (await store.get("s")).version == 5
        assert await texts(store, "t") == ["a"]

    async def test_what_will_expire_is_counted(self, store: SessionStore) -> None:
        await store.create("s", ttl="1h")
        await store.create("t", ttl="1d")
        await store.create("u")
        await store.create("k", kind="other", ttl="1h")

        counts = [await store.count_expiring(within) for within in ("1m", "90m", "2d")]

        # Where that takes a look at each session, nobody looks.
        assert counts in ([0, 1, 2], [None, None, None])

    async def test_one_sweeper_of_many_sweeps(self, store: SessionStore, other: SessionStore) -> None:
        await store.create("s", ttl=0.05)
        async with store.sweeper(every=0.02) as one, other.sweeper(every=0.02) as two:
            await eventually(lambda: one.is_elected or two.is_elected)
            assert not (one.is_elected and two.is_elected)
            first, second = (one, two) if one.is_elected else (two, one)
            await first.stop()
            await eventually(lambda: second.is_elected)
            assert not first.is_elected
        with pytest.raises(InvalidArgumentError):
            store.sweeper(every=0)
