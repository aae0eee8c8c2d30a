"""Acts: asked for, done, written down, and taken back where they can be."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from miniagent_store import Message, OutcomeUnknownError, SessionNotFoundError, SessionStore
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.whole import WholeSession, core_of, read_whole
from miniagent_store.web.acting import audit, keeping
from tests.web.acting import visiting

ACTS = ("touch", "ttl", "fork", "rewind", "clear", "delete", "redact", "undo")


async def talk(store: SessionStore, session_id: str = "talk", **given: object) -> str:
    """A session with something of everything."""
    given = {"user_id": "ada", "agent": "guide", "tags": ["travel"], "ttl": "7d", **given}
    await store.create(session_id, metadata={"mood": "good"}, **given)  # type: ignore[arg-type]
    for number in range(1, 5):
        async with store.batch(session_id) as batch:
            batch.append(Message.user(f"question {number}", id=f"q{number}"), Message.assistant("answer"))
            batch.append({"type": "called", "number": number}, log="events")
            batch.state.set("step", number)
    await store.redact(session_id, 2, reason="a secret")
    return session_id


async def whole(store: SessionStore, session_id: str) -> WholeSession:
    """All of a session but its log of acts, as JSON."""
    core = core_of(store)
    found = await read_whole(core, session_id)
    assert found is not None
    found = PlainValues(core).opened(found)
    logs = {log: entries for log, entries in found.logs.items() if log != audit.LOG}
    return WholeSession(found.record, logs, found.values, plain=True)


def equal(one: WholeSession, other: WholeSession) -> bool:
    """Whether two sessions hold the same, down to ids, sequences and times; versions go on."""

    def bare(session: WholeSession) -> list[object]:
        record = session.record
        facts = record.kind, record.user_id, record.agent, record.tags, record.ttl_ms, record.metadata
        return [facts, record.created_ms, session.logs, session.values]

    return bare(one) == bare(other)


async def told(store: SessionStore, session_id: str) -> list[str]:
    """What the log of acts says."""
    return [f"{act.what}: {act.told}" for act in await audit.acts_of(store, session_id)]


async def test_a_ttl_is_changed(store: SessionStore) -> None:
    await talk(store)
    before = await store.get("talk")
    async with visiting(store) as visitor:
        page = await visitor.act("ttl", "talk", ttl="90m")
        assert "from 7 d to 90 min" in page.text

        wrong = await visitor.act("ttl", "talk", ttl="soon")
        assert wrong.status_code == 400
        assert "soon" in wrong.text

    session = await store.get("talk")
    assert session.ttl == 90 * 60
    assert session.last_activity == before.last_activity
    assert await told(store, "talk") == ["ttl: from 7 d to 90 min"]


async def test_never_is_a_ttl_too(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await visitor.act("ttl", "talk", ttl="never")

    assert (await one.get("talk")).expires_at is None


async def test_a_touch_renews(one: SessionStore) -> None:
    await talk(one, ttl=30)
    before = await one.get("talk")
    async with visiting(one) as visitor:
        await asyncio.sleep(0.01)
        assert "renewed for 30 s" in (await visitor.act("touch", "talk")).text

    session = await one.get("talk")
    assert before.expires_at
    assert session.expires_at
    assert session.expires_at > before.expires_at
    assert session.last_activity == before.last_activity


async def test_a_fork_is_made(store: SessionStore) -> None:
    await talk(store)
    async with visiting(store) as visitor:
        assert "as beside" in (await visitor.act("fork", "talk", upto="3", new_id="beside")).text

        taken = await visitor.act("fork", "talk", new_id="beside")
        assert taken.status_code == 409
        assert "There is a session" in taken.text

    assert [each.content for each in await store.history("beside")][-1] == "question 2"
    assert await told(store, "beside") == ["fork: up to message 3, of talk"]
    assert await told(store, "talk") == ["fork: up to message 3, as beside"]


async def test_clearing_is_undone(store: SessionStore) -> None:
    await talk(store)
    await store.create("other")
    before = await whole(store, "talk")
    async with visiting(store) as visitor:
        await visitor.act("touch", "talk")
        asked = await visitor.see("/act/clear", id="talk")
        assert "8 messages" in asked.text
        assert "4 events" in asked.text
        assert (await store.get("talk")).message_count == 8

        done = await visitor.confirm(asked)
        assert "Done" in done.text
        assert await store.history("talk") == []
        # The acts before are told of still.
        assert await told(store, "talk") == ["touch: renewed for 7 d", "clear: 8 messages, 4 events"]
        listed = [each.id for each in await store.list()]
        assert sorted(listed) == ["other", "talk"]

        [act] = [each for each in await audit.acts_of(store, "talk") if each.kept]
        await visitor.act("undo", "talk", kept=act.kept)

        assert equal(await whole(store, "talk"), before)
        assert [each.partition(":")[0] for each in await told(store, "talk")] == ["touch", "clear", "undo"]
        again = await visitor.see("/act/undo", id="talk", kept=act.kept)
        assert again.status_code == 404
        assert "it was used" in again.text
    # It goes on as if nothing had been.
    session = await store.append("talk", Message.user("one more"))
    assert session.message_count == 9


async def test_rewinding_is_undone(store: SessionStore) -> None:
    await talk(store)
    before = await whole(store, "talk")
    async with visiting(store) as visitor:
        asked = await visitor.see("/act/rewind", id="talk", to="4")
        assert "4 messages" in asked.text
        assert "2 events" in asked.text
        await visitor.confirm(asked)
        assert len(await store.history("talk")) == 4
        assert await store.count("talk", log="events") == 2

        [act] = await audit.acts_of(store, "talk")
        await visitor.act("undo", "talk", kept=act.kept)

    assert equal(await whole(store, "talk"), before)


async def test_rewinding_asks_to_where(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        assert "See what will go" in (await visitor.see("/act/rewind", id="talk")).text
        for wrong in ("99", "-1", "two", "٣"):
            page = await visitor.see("/act/rewind", id="talk", to=wrong)
            assert page.status_code == 400
            assert "message" in page.text

        await visitor.act("rewind", "talk", to="0")
    assert (await one.get("talk")).message_count == 0


async def test_deleting_is_undone(store: SessionStore) -> None:
    await talk(store)
    before, record = await whole(store, "talk"), await store.get("talk")
    async with visiting(store) as visitor:
        asked = await visitor.see("/act/delete", id="talk")
        assert "8 messages" in asked.text
        assert "1 value of its state" in asked.text
        done = await visitor.confirm(asked)
        assert "8 messages, 4 events" in done.text
        with pytest.raises(SessionNotFoundError):
            await store.get("talk")

        [act] = await audit.recorded(store)
        assert (act.what, act.who, act.where) == ("delete", "token", "127.0.0.1")
        await visitor.act("undo", "talk", kept=act.kept)

    assert equal(await whole(store, "talk"), before)
    after = await store.get("talk")
    assert after.created_at == record.created_at
    assert after.version >= record.version
    assert after.expires_at is not None
    assert [each.partition(":")[0] for each in await told(store, "talk")] == ["delete", "undo"]


async def test_deleted_for_good_leaves_no_copy(store: SessionStore) -> None:
    await talk(store)
    async with visiting(store) as visitor:
        await visitor.act("rewind", "talk", to="4")
        assert len(await store.list(kind=keeping.KIND)) == 1
        page = await visitor.act("delete", "talk", without="keep")
        assert "Undo</a>" not in page.text

    assert len(await store.list(kind=keeping.KIND)) == 0
    assert await store.count_sessions() == 0


async def test_a_deleted_id_that_was_taken_since(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await visitor.act("delete", "talk")
        await one.create("talk", user_id="grace")
        [act] = await audit.recorded(one)
        asked = await visitor.see("/act/undo", id="talk", kept=act.kept)
        assert "under a new id" in asked.text
        await visitor.confirm(asked)

    assert (await one.get("talk")).user_id == "grace"
    [back] = [each for each in await one.list() if each.id != "talk"]
    assert back.message_count == 8


async def test_what_was_written_since_is_not_lost_by_undoing(store: SessionStore) -> None:
    await talk(store)
    async with visiting(store) as visitor:
        await visitor.act("clear", "talk")
        await store.append("talk", Message.user("new"))
        [act] = await audit.acts_of(store, "talk")
        refused = await visitor.act("undo", "talk", kept=act.kept)
        assert refused.status_code == 409
        assert "Undo beside it" in refused.text
        assert [each.content for each in await store.history("talk")] == ["new"]

        await visitor.confirm(refused)

    assert [each.content for each in await store.history("talk")] == ["new"]
    [back] = [each for each in await store.list() if each.id != "talk"]
    assert (back.message_count, back.user_id) == (8, "ada")


async def test_what_changes_nothing_is_in_no_ones_way(one: SessionStore) -> None:
    await talk(one)
    before = await whole(one, "talk")
    async with visiting(one) as visitor:
        await visitor.act("clear", "talk")
        await visitor.act("touch", "talk")
        await visitor.act("fork", "talk")
        [act] = [act for act in await audit.acts_of(one, "talk") if act.kept]
        done = await visitor.act("undo", "talk", kept=act.kept)
        assert done.status_code == 200

    assert equal(await whole(one, "talk"), before)


async def test_of_two_acts_the_later_is_undone_in_its_place(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await visitor.act("clear", "talk")
        await one.append("talk", Message.user("between"))
        await visitor.act("clear", "talk")
        first, second = [act for act in await audit.acts_of(one, "talk") if act.kept]
        refused = await visitor.act("undo", "talk", kept=first.kept)
        assert refused.status_code == 409
        await visitor.act("undo", "talk", kept=second.kept)

    assert [each.content for each in await one.history("talk")] == ["between"]


async def test_an_act_that_may_have_been_done_keeps_its_copy(
    one: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk(one)
    deleted = type(one).delete

    async def delete(self: SessionStore, session_id: str, **given: object) -> bool:
        await deleted(self, session_id, **given)
        raise OutcomeUnknownError(session_id, commit_id=None, why="the connection was cut")

    async with visiting(one) as visitor:
        monkeypatch.setattr(type(one), "delete", delete)
        page = await visitor.act("delete", "talk")
        monkeypatch.undo()
        assert "Failed: delete" in page.text
        assert "cannot be known" in page.text
        assert "Undo</a>" in page.text
        [act] = await audit.recorded(one)
        await visitor.act("undo", "talk", kept=act.kept)

    assert (await one.get("talk")).message_count == 8


async def test_what_others_write_into_the_log_is_only_shown(one: SessionStore) -> None:
    await talk(one)
    for until in ("soon", 7, "2030-01-01", None, "9999-01-01T00:00:00+00:00"):
        forged = {"by": "viewer", "what": "clear", "kept": "viewer-undo/none", "until": until, "told": 1}
        await one.append("talk", forged, {"role": "user", "content": "hello"}, log="audit")
    async with visiting(one) as visitor:
        page = await visitor.see("/audit", id="talk")
        assert page.status_code == 200
        assert "Undo</a>" not in page.text
        assert (await visitor.act("clear", "talk")).status_code == 200


async def test_redacting_takes_copies_too(store: SessionStore) -> None:
    await talk(store)
    async with visiting(store) as visitor:
        await visitor.act("rewind", "talk", to="6")
        assert len(await store.list(kind=keeping.KIND)) == 1
        asked = await visitor.see("/act/redact", id="talk", seq="3")
        assert "question 2" in asked.text
        assert "cannot be undone" in asked.text
        nothing = await visitor.confirm(asked)
        assert nothing.status_code == 400

        await visitor.confirm(asked, reason="on request")

    [entry] = await store.entries("talk", after=2, before=4)
    assert entry.redacted
    assert "on request" in str(entry.value)
    assert len(await store.list(kind=keeping.KIND)) == 0
    assert (await told(store, "talk"))[-1] == "redact: entry 3 of messages: on request"


async def test_another_entry_by_now_is_not_redacted(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        asked = await visitor.see("/act/redact", id="talk", seq="8")
        await one.rewind("talk", to=7)
        await one.append("talk", Message.assistant("harmless"))
        page = await visitor.confirm(asked, reason="on request")

    assert page.status_code == 409
    assert (await one.history("talk"))[-1].content == "harmless"


async def test_what_changed_while_somebody_looked_is_asked_anew(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        for what, given in (("clear", {}), ("rewind", {"to": "2"}), ("delete", {})):
            asked = await visitor.see(f"/act/{what}", id="talk", **given)
            session = await one.append("talk", Message.user("meanwhile"))
            again = await visitor.confirm(asked)
            assert again.status_code == 409
            assert f"{session.message_count} messages" in again.text or what == "rewind"
            assert (await one.get("talk")).message_count == session.message_count

        # All the same, with what is there now.
        await visitor.confirm(again)
    with pytest.raises(SessionNotFoundError):
        await one.get("talk")


async def test_copies_expire(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await visitor.act("delete", "talk")
        [copy] = await one.list(kind=keeping.KIND)
        assert copy.expires_at is not None
        assert 0 < (copy.expires_at - datetime.now(UTC)).total_seconds() <= keeping.LASTS.total_seconds()
        await one.touch(copy.id, 0.001)
        await asyncio.sleep(0.05)

        assert "Undo</a>" not in (await visitor.see("/audit", id="talk")).text
        [act] = await audit.recorded(one)
        assert (await visitor.see("/act/undo", id="talk", kept=act.kept)).status_code == 404


async def test_what_is_the_viewers_own_is_left_alone(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await visitor.act("clear", "talk")
        [copy] = await one.list(kind=keeping.KIND)
        for own in (audit.VIEWER, copy.id):
            for what in ("clear", "delete", "ttl", "rewind", "redact"):
                assert (await visitor.see(f"/act/{what}", id=own)).status_code == 403
        assert (await visitor.see("/act/redact", id="talk", log="audit", seq="1")).status_code == 400


async def test_who_did_it_is_the_apps_to_say(one: SessionStore) -> None:
    async def who(request: object) -> str:
        return "grace@example.org"

    await talk(one)
    async with visiting(one, auth=who) as visitor:
        await visitor.act("touch", "talk")
        assert "grace@example.org" in (await visitor.see("/audit", id="talk")).text

    [act] = await audit.acts_of(one, "talk")
    assert act.who == "grace@example.org"


async def test_the_log_of_all_acts(one: SessionStore) -> None:
    await talk(one)
    await talk(one, "other")
    async with visiting(one) as visitor:
        await visitor.act("touch", "talk")
        await visitor.act("delete", "other")
        page = (await visitor.see("/audit")).text
        assert page.index("delete") < page.index("renewed for 7 d")
        gone = await visitor.see("/audit", id="other")
        assert "8 messages, 4 events" in gone.text
        assert "Undo</a>" in gone.text


async def test_a_failure_is_written_down(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        await one.create("taken")
        await visitor.act("fork", "talk", new_id="taken")

    [failed] = await audit.recorded(one)
    assert failed.failed
    assert await told(one, "talk") == []


async def test_without_content_nothing_said_is_shown(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one, content=False) as visitor:
        for what, given in (
            ("clear", {}),
            ("delete", {}),
            ("rewind", {"to": "2"}),
            ("redact", {"seq": "3"}),
        ):
            page = await visitor.see(f"/act/{what}", id="talk", **given)
            assert page.status_code == 200
            assert "question 1" not in page.text
            assert ">answer" not in page.text
