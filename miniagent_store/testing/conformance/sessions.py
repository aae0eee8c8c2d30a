"""Promises of the record: creating, reading, updating, touching, deleting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from miniagent_store.backend import Backend
from miniagent_store.errors import InvalidArgumentError, SessionExistsError, SessionNotFoundError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.conformance.base import ConformanceBase, OpenHere, say, texts
from miniagent_store.values import Message, Session

ODD_IDS = [
    "app/user/session",
    "with spaces in it",
    "ünïcode-日本語-🙂",
    "glob*?[a-z]^$",
    "a:b;c,d|e&f=g#h",
    "100%41",
    "'single' \"double\" `back` \\slash",
    "..",
    "-",
    "x" * 512,
]
BAD_IDS = ["", "a{b}c", "line\nbreak", "nul\x00", "tab\t", "x" * 513]


class SessionPromises(ConformanceBase):
    """The record of a session."""

    async def test_a_new_session_has_what_it_was_given(self, store: SessionStore) -> None:
        made = await store.create(
            "s",
            user_id="ada",
            agent="helper",
            metadata={"title": "Hello", "nested": {"list": [1, None, 2.5]}},
            tags=["vip", "beta"],
            ttl="1h",
        )

        assert (made.id, made.kind, made.user_id, made.agent) == ("s", "session", "ada", "helper")
        assert made.metadata == {"title": "Hello", "nested": {"list": [1, None, 2.5]}}
        assert made.tags == ("beta", "vip")
        assert (made.version, made.epoch, made.message_count) == (1, 0, 0)
        assert made.ttl == 3600
        assert made.expires_at is not None
        assert await store.get("s") == made

    async def test_a_session_without_anything_has_defaults(self, store: SessionStore) -> None:
        made = await store.create()

        assert (made.user_id, made.agent, made.metadata, made.tags) == (None, None, {}, ())
        assert (made.ttl, made.expires_at, made.size) == (None, None, 0)

    async def test_ids_are_made_up_unless_given(self, store: SessionStore) -> None:
        ids = {(await store.create()).id for _ in range(5)}

        assert len(ids) == 5

    async def test_an_id_is_taken_once(self, store: SessionStore) -> None:
        first = await store.create("s", metadata={"n": 1})

        with pytest.raises(SessionExistsError):
            await store.create("s", metadata={"n": 2})

        assert await store.get("s") == first

    async def test_exist_ok_returns_the_session_as_it_is(self, store: SessionStore) -> None:
        first = await store.create("s", user_id="ada", metadata={"n": 1}, ttl="1h")

        again = await store.create("s", user_id="bob", metadata={"n": 2}, exist_ok=True)

        assert again == first

    async def test_exist_ok_makes_a_session_that_is_missing(self, store: SessionStore) -> None:
        made = await store.create("s", metadata={"n": 2}, exist_ok=True)

        assert (made.version, made.metadata) == (1, {"n": 2})

    async def test_a_missing_session_is_an_error_everywhere(self, store: SessionStore) -> None:
        for call in (
            store.get("missing"),
            store.get("missing", touch=True),
            store.touch("missing"),
            store.update("missing", metadata={}),
            store.append("missing", Message.user("hi")),
            store.history("missing"),
            store.entries("missing"),
            store.count("missing"),
            store.snapshot("missing"),
            store.pop("missing"),
            store.clear("missing"),
            store.rewind("missing", to=0),
            store.trim("missing", before=1),
            store.replace("missing", []),
            store.redact("missing", 1, reason="x"),
            store.fork("missing"),
            store.state("missing").get("name"),
            store.state("missing").set("name", 1),
        ):
            with pytest.raises(SessionNotFoundError):
                await call

    @pytest.mark.parametrize("session_id", ODD_IDS, ids=range(len(ODD_IDS)))
    async def test_any_printable_id_without_braces_works(
        self, store: SessionStore, session_id: str
    ) -> None:
        await store.create(session_id, user_id=session_id[:400], agent=session_id[:400])
        await say(store, session_id, "hello")
        await store.state(session_id).set("name", 1)

        assert await texts(store, session_id) == ["hello"]
        assert [each.id for each in await store.list(user_id=session_id[:400])] == [session_id]
        assert await store.delete(session_id)

    @pytest.mark.parametrize("session_id", BAD_IDS, ids=range(len(BAD_IDS)))
    async def test_other_ids_are_refused(self, store: SessionStore, session_id: str) -> None:
        for call in (store.create(session_id), store.get(session_id), store.delete(session_id)):
            with pytest.raises(InvalidArgumentError):
                await call

    async def test_ids_differ_by_case_and_normal_form(self, store: SessionStore) -> None:
        ids = ["case", "Case", "caf\u00e9", "cafe\u0301", "case "]
        for each in ids:
            await store.create(each, metadata={"id": each})

        assert [(await store.get(each)).metadata["id"] for each in ids] == ids

    async def test_all_kinds_share_one_id_space(self, store: SessionStore) -> None:
        made = await store.create("s", kind="thread")

        assert made.kind == "thread"
        assert (await store.get("s")).kind == "thread"
        with pytest.raises(SessionExistsError):
            await store.create("s")

    async def test_update_replaces_metadata_as_a_whole(self, store: SessionStore) -> None:
        made = await store.create("s", metadata={"a": 1, "b": 2}, tags=["kept"])

        after = await store.update("s", metadata={"c": 3})

        assert (after.metadata, after.tags, after.version) == ({"c": 3}, ("kept",), made.version + 1)
        assert await store.get("s") == after
        assert (await store.update("s", metadata={})).metadata == {}

    async def test_update_replaces_tags_as_a_whole(self, store: SessionStore) -> None:
        await store.create("s", metadata={"kept": 1}, tags=["a", "b"])

        after = await store.update("s", tags={"plan": "pro"})

        assert (after.tags, after.metadata) == (("plan=pro",), {"kept": 1})
        assert (await store.update("s", tags=[])).tags == ()

    async def test_touching_is_no_new_version_and_no_activity(self, store: SessionStore) -> None:
        made = await store.create("s")

        touched = await store.touch("s")

        assert (touched.version, touched.position) == (made.version, made.position)
        assert touched.last_activity == made.last_activity

    async def test_reading_changes_nothing(self, store: SessionStore) -> None:
        await store.create("s", ttl="1h")
        before = await say(store, "s", "hello")

        await store.history("s")
        await store.snapshot("s", state=True)
        await store.list()

        assert await store.get("s") == before

    async def test_a_commit_is_activity(self, store: SessionStore) -> None:
        made = await store.create("s")

        after = await say(store, "s", "hello")

        assert after.last_activity >= made.last_activity
        assert after.created_at == made.created_at

    async def test_last_activity_may_be_given(self, store: SessionStore, session: Session) -> None:
        long_ago = datetime(2020, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)

        async with store.batch(session.id) as batch:
            batch.append(Message.user("imported"))
            batch.last_activity = long_ago

        assert (await store.get(session.id)).last_activity == long_ago
        await say(store, session.id, "and now")
        assert (await store.get(session.id)).last_activity > datetime.now(UTC) - timedelta(minutes=5)

    async def test_deleting_removes_all_parts(self, store: SessionStore) -> None:
        first = await store.create("s", metadata={"secret": 1}, tags=["t"])
        await say(store, "s", "hello")
        await say(store, "s", "made", log="events")
        await store.state("s").set("name", 1)

        assert await store.delete("s") is True

        with pytest.raises(SessionNotFoundError):
            await store.get("s")
        again = await store.create("s")
        assert again.incarnation != first.incarnation
        assert (again.version, again.size, again.metadata, again.tags) == (1, 0, {}, ())
        assert await texts(store, "s") == await texts(store, "s", "events") == []
        assert await store.state("s").scan() == []

    async def test_deleting_what_is_not_there_is_false(self, store: SessionStore) -> None:
        assert await store.delete("missing") is False

    async def test_a_repeated_delete_that_finds_nothing_is_true(
        self, store: SessionStore, session: Session
    ) -> None:
        commit_id = store.new_commit_id()

        assert await store.delete(session.id, commit_id=commit_id) is True
        assert await store.delete(session.id, commit_id=commit_id) is True

    async def test_another_incarnation_is_not_deleted(self, store: SessionStore, backend: Backend) -> None:
        old = await store.create("s")
        await store.delete("s")
        new = await store.create("s")

        assert await backend.delete("s", old.incarnation) is False
        assert await store.delete("s", incarnation=old.incarnation) is False
        assert await store.get("s") == new
        assert await backend.delete("s", new.incarnation) is True

    async def test_namespaces_keep_stores_apart(self, store: SessionStore, open_here: OpenHere) -> None:
        elsewhere = await open_here(namespace="elsewhere")
        await store.create("s", metadata={"here": True})
        await store.cache.set("key", "here")
        await store.kv("settings").set("key", "here")

        with pytest.raises(SessionNotFoundError):
            await elsewhere.get("s")
        assert list(await elsewhere.list()) == []
        assert await elsewhere.cache.get("key") is None
        assert await elsewhere.kv("settings").get("key") is None
        await elsewhere.create("s", metadata={"here": False})
        assert (await store.get("s")).metadata == {"here": True}
        await elsewhere.delete("s")
