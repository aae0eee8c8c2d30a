"""What somebody wrote into the file by hand, of another type than ours, is an error of ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from miniagent_store import Message, StoreError, open_store


@pytest.mark.parametrize("changed", ["payload || x'ff'", "'words'", "5", "2.5", "''"])
async def test_a_payload_of_another_type_is_an_error_of_ours(tmp_path: Path, changed: str) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db"
    async with open_store(url) as store:
        await store.append("s", Message.user("the secret word"), create=True)
    with sqlite3.connect(tmp_path / "sessions.db") as connection:
        connection.execute(f"UPDATE entries SET payload = {changed}")
    connection.close()

    async with open_store(url) as store:
        with pytest.raises(StoreError) as told:
            await store.history("s")

    assert "secret" not in str(told.value)
