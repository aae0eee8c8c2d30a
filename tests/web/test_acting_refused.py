"""Who may not act, and what is only text."""

from __future__ import annotations

from miniagent_store import Message, SessionStore
from miniagent_store.web.acting import audit
from tests.web.acting import form_in, visiting
from tests.web.test_acting import ACTS, talk

HOSTILE = "<script>alert(1)</script>'\"&<img src=x onerror=alert(2)>"


async def test_read_only_there_are_no_acts(one: SessionStore) -> None:
    await talk(one)
    before = await one.get("talk")
    async with visiting(one) as writer:
        forms = {
            what: form_in((await writer.see(f"/act/{what}", id="talk", seq=1, to=1)).text)
            for what in ACTS[:-1]
        }
    async with visiting(one, allow_write=False) as visitor:
        for what in ACTS:
            assert (await visitor.see(f"/act/{what}", id="talk")).status_code == 404
        for action, fields in forms.values():
            assert (await visitor.client.post(action, data=fields)).status_code == 403
        for path in (
            "/",
            "/session?id=talk",
            "/audit",
            "/audit?id=talk",
            "/compare?id=talk&at=1&with_at=2",
        ):
            page = (await visitor.see(path)).text
            assert "/act/" not in page
            assert "acting.js" not in page
    assert await one.get("talk") == before


async def test_a_form_of_somebody_else_does_nothing(one: SessionStore) -> None:
    await talk(one)
    before = await one.get("talk")
    async with visiting(one) as visitor, visiting(one) as stranger:
        fields = {
            "id": "talk",
            "version": str(before.version),
            "anyway": "1",
            "to": "1",
            "seq": "1",
            "ttl": "1h",
            "reason": "x",
        }
        strange = form_in((await stranger.see("/act/touch", id="talk")).text)[1]["form"]
        for what in ACTS:
            for token in (None, "", "0" * 64, strange, "ä"):
                given = fields if token is None else {**fields, "form": token}
                answer = await visitor.client.post(f"/act/{what}", data=given)
                assert answer.status_code == 403
            # Nor does a link.
            await visitor.see(f"/act/{what}", **fields, keep="yes")
    assert await one.get("talk") == before
    assert await audit.recorded(one) == []


async def test_hostile_texts_are_texts(one: SessionStore) -> None:
    session_id = HOSTILE
    await one.create(
        session_id, user_id=HOSTILE, agent=HOSTILE, tags=[HOSTILE], metadata={HOSTILE: HOSTILE}
    )
    await one.append(session_id, Message(HOSTILE, HOSTILE), Message.user(HOSTILE))
    await one.append(session_id, {HOSTILE: HOSTILE, "type": HOSTILE}, log=HOSTILE)
    await one.state(session_id).set(HOSTILE, HOSTILE)

    async def who(request: object) -> str:
        return HOSTILE

    async with visiting(one, auth=who) as visitor:
        await visitor.act("redact", session_id, seq="2", reason=HOSTILE)
        await visitor.act("fork", session_id, new_id="fork" + HOSTILE)
        await one.append(session_id, Message.user(HOSTILE * 2))
        await visitor.act("ttl", session_id, ttl=HOSTILE)
        await visitor.act("clear", session_id)
        pages = [
            await visitor.see("/audit"),
            await visitor.see("/audit", id=session_id, done=HOSTILE),
            await visitor.see("/compare", id="fork" + HOSTILE, **{"with": session_id, "log": HOSTILE}),
            await visitor.see("/compare", id="fork" + HOSTILE, **{"with": session_id}),
            await visitor.see("/compare", id=HOSTILE, at=HOSTILE),
            await visitor.see("/compare", id="none" + HOSTILE, at=1),
            *[
                await visitor.see(f"/act/{what}", id="fork" + HOSTILE, to=0, seq=1, log="messages")
                for what in ACTS
            ],
            *[
                await visitor.see(f"/act/{what}", id=session_id, to=HOSTILE, seq=HOSTILE, log=HOSTILE)
                for what in ACTS
            ],
        ]
    for page in pages:
        assert "alert(1)&lt;/script&gt;" in page.text, page.url
        assert "<script>alert" not in page.text, page.url
        assert "<img src=x" not in page.text, page.url
