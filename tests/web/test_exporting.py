"""One session as a file."""

from __future__ import annotations

import io
import json
from pathlib import Path

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.moving.archive import ArchiveReader
from miniagent_store.moving.frames import read_lines
from miniagent_store.moving.importing import Import, archived
from miniagent_store.moving.walking import Filters
from tests.web.acting import OTHER, SEALED, visiting
from tests.web.test_acting import equal, talk, whole
from tests.web.test_acting_refused import HOSTILE


async def test_an_archive_is_what_import_takes(store: SessionStore, tmp_path: Path) -> None:
    await talk(store)
    for form in ("stored", "plain"):
        async with visiting(store) as visitor:
            file = await visitor.see("/export", id="talk", format=form)
        assert file.headers["content-disposition"].startswith('attachment; filename="talk.jsonl"')
        reader = ArchiveReader(read_lines(io.BytesIO(file.content)))
        async with open_store(f"sqlite:///{tmp_path}/{form}.db") as there:
            taken = Import(there, reader.header.namespace)
            done = await taken.run(archived(reader), Filters(), lambda _: None)
            assert (done.written, done.entries, done.problems) == (1, 12, [])
            assert reader.complete
            assert equal(await whole(there, "talk"), await whole(store, "talk"))


async def test_markdown_is_for_people(one: SessionStore) -> None:
    await talk(one)
    await one.append(
        "talk", Message.assistant("# A heading\nand `code`"), Message.tool("42", tool_call_id="c")
    )
    async with visiting(one) as visitor:
        file = await visitor.see("/export", id="talk", format="markdown")

    text = file.text
    assert file.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.startswith("# talk\n\n- User: ada\n")
    assert "## 1 user" in text
    assert "question 1" in text
    assert "redacted: a secret" in text
    assert "\\# A heading" in text
    assert "# Log events" in text
    assert '"step": 4' in text


async def test_json_is_one_document(store: SessionStore) -> None:
    await talk(store)
    await store.append("talk", {"role": "user", "content": "bytes", "raw": b"\x00\xff"})
    async with visiting(store) as visitor:
        document = json.loads((await visitor.see("/export", id="talk", format="json")).content)

    assert document["session"]["user_id"] == "ada"
    assert len(document["logs"]["messages"]) == 9
    assert document["logs"]["messages"][1]["redacted"] is True
    assert document["logs"]["messages"][8]["value"]["raw"] == "AP8="
    assert document["state"] == {"step": 4}


async def test_without_content_nothing_is_exported(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one, content=False) as visitor:
        for form in ("markdown", "json", "plain", "stored"):
            assert (await visitor.see("/export", id="talk", format=form)).status_code == 403
        assert "/export" not in (await visitor.see("/session", id="talk")).text


async def test_what_is_not_there_is_a_page(one: SessionStore) -> None:
    await talk(one)
    async with visiting(one) as visitor:
        for form in ("markdown", "json", "plain", "stored"):
            assert (await visitor.see("/export", id="nowhere", format=form)).status_code == 404
        assert (await visitor.see("/export", id="talk", format="../x")).status_code == 400


async def test_a_name_is_only_a_name(one: SessionStore) -> None:
    session_id = '../"a"; filename=b.exe/ä ' + HOSTILE
    await one.create(session_id)
    async with visiting(one) as visitor:
        file = await visitor.see("/export", id=session_id, format="json")
        told = file.headers["content-disposition"]

    plainly = told.partition('filename="')[2].partition('"')[0]
    assert "/" not in plainly
    assert plainly.endswith(".json")
    assert told.count('"') == 2
    assert "<" not in told


async def test_what_cannot_be_read_says_so_in_its_place(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sealed.db"
    async with open_store(url, serializer="json+aesgcm", keyring=SEALED) as store:
        await store.create("talk")
        await store.append("talk", Message.user("a secret"))
    async with open_store(url, serializer="json+aesgcm", keyring=OTHER) as store:
        await store.append("talk", Message.user("in the clear"))
        async with visiting(store) as visitor:
            text = (await visitor.see("/export", id="talk", format="markdown")).text
            document = json.loads((await visitor.see("/export", id="talk", format="json")).content)

    assert "cannot be read" in text
    assert "in the clear" in text
    assert "error" in document["logs"]["messages"][0]
