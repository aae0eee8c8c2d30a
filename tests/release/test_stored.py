"""What a released version stored is read, and gone on with, by this one. Folders are added, never changed.

`make_stored.py` says how a new one is made.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import Message, Position, SessionStore, open_store
from miniagent_store.testing.servers import Server
from tests.release.stored_support import (
    HELLO,
    KEYRING,
    OPEN,
    SEALED,
    Documents,
    load_file,
    load_server,
    say,
)

STORED = Path(__file__).parent / "stored"
Place = dict[str, Any]
OPTIONS = {"open": OPEN, "sealed": SEALED}


@pytest.fixture(params=sorted(path.name for path in STORED.iterdir()))
def folder(request: pytest.FixtureRequest) -> Path:
    return STORED / str(request.param)


@pytest.fixture(params=["sqlite", "redis", "documents"])
async def place(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> AsyncIterator[Place]:
    """What `open_store` is given for the store of a version."""
    match request.param:
        case "sqlite":
            load_file(tmp_path / "sessions.db", (folder / "sqlite.sql").read_text())
            yield {"name": "sqlite", "url": f"sqlite:///{tmp_path}/sessions.db"}
        case "redis":
            with Server() as server:
                await load_server(f"{server.url}/0", _read(folder / "redis.json"))
                yield {"name": "redis", "url": f"{server.url}/0"}
        case _:
            plugin = Documents.load(_read(folder / "documents.json"))
            yield {"name": "documents", "url": "dict://", "plugins": [plugin]}


@pytest.mark.parametrize("how", OPTIONS)
async def test_what_an_earlier_version_stored_is_read(place: Place, folder: Path, how: str) -> None:
    name = place.pop("name")
    url = f"{place.pop('url')}?{OPTIONS[how]}"
    then = _read(folder / f"{name}-{how}.json")

    async with open_store(url, keyring=KEYRING, **place) as store:
        assert await say(store) == then
        await _go_on(store, then["sessions"]["one"]["session"])


async def _go_on(store: SessionStore, then: dict[str, Any]) -> None:
    """A position, a caller's id, a counter and a version of then still hold."""
    await store.append("one", Message.user("later"), expected_version=then["version"])
    news = await store.snapshot("one", after=Position.parse(then["position"]))
    assert (news.resets, [message.content for message in news.history]) == ({}, ["later"])
    await store.append("one", HELLO)
    assert await store.count("one") == 4
    assert await store.state("one").add("asked", 1) == 8
    async with store.turn("one") as turn:
        turn.append(Message.assistant("in turn"))
    await store.delete("two")
    assert await store.count_sessions(user_id="ada") == 1


def _read(path: Path) -> Any:
    return json.loads(path.read_text())
