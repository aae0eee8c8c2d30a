"""Listings of what cannot be read, and cursors that somebody made."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from miniagent_store import InvalidArgumentError, Key, KeyNotFoundError, Keyring, open_store

CURSORS = {
    "no cursor": "nonsense",
    "no base64": "é",
    "another order": json.dumps(["last_activity", 1, "s"]),
    "a text for a time": json.dumps(["-last_activity", "1", "s"]),
    "more than any number": '["-last_activity", 1e999, "s"]',
    "a long number": f'["-last_activity", {"9" * 30}, "s"]',
    "no id": json.dumps(["-last_activity", 1, "{"]),
    "nested": "[" * 2000,
    "long": "[" * 100_000,
    "no list": "{}",
}


@pytest.mark.parametrize("made", CURSORS.values(), ids=CURSORS)
async def test_a_cursor_made_by_hand_is_refused(made: str) -> None:
    async with open_store("memory://") as store:
        for cursor in (made, base64.urlsafe_b64encode(made.encode()).decode()):
            with pytest.raises(InvalidArgumentError, match="not a cursor"):
                await store.list(cursor=cursor)


async def test_without_metadata_a_session_is_listed_whose_key_is_missing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db?serializer=msgpack%2Bencrypted"
    old, new = Key.generate(), Key.generate()
    async with open_store(url, keyring=Keyring([old])) as store:
        await store.create("s", user_id="ada", metadata={"secret": 1})

    async with open_store(url, keyring=Keyring([new])) as store:
        await store.create("t", metadata={"known": 1})
        with pytest.raises(KeyNotFoundError):
            await store.list()
        listed = await store.list(metadata=False)

    assert [(each.id, each.user_id, each.metadata) for each in listed] == [
        ("t", None, {}),
        ("s", "ada", {}),
    ]
