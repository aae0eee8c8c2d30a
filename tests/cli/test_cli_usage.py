"""``miniagent-store usage``."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import pytest

from miniagent_store import Message, open_store
from miniagent_store.cli.usage import bar
from miniagent_store.store.store import Store
from tests.cli.cli_support import run, run_json, terminal

DAYS = ["2030-01-01", "2030-01-02"]


@pytest.fixture
def used(tmp_path: Path) -> str:
    """A store in which Ada has talked on two days, and Bob on the second."""
    url = f"sqlite:///{tmp_path}/used.db"

    async def main() -> None:
        async with open_store(url, analytics=True) as store:
            assert isinstance(store, Store)
            for user, days in (("ada", DAYS), ("bob", DAYS[1:])):
                session = await store.create(user_id=user, agent="helper")
                for day in days:
                    store._core.usage.today = date.fromisoformat(day).isoformat  # type: ignore[union-attr, method-assign]
                    answer = Message.assistant("hi", usage={"input_tokens": 1000, "output_tokens": 20})
                    await store.append(session.id, Message.user("hello"), answer)

    asyncio.run(main())
    return url


def test_usage_is_shown_by_day_and_by_user(used: str) -> None:
    result = run("usage", store=used)

    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["2030-01-01", "2", "1", "1,000", "20", "1,020"] in lines
    assert ["2030-01-02", "4", "2", "2,000", "40", "2,040"] in lines
    assert ["ada", "4", "2", "2,000", "40", "2,040"] in lines
    assert ["6", "3", "3,000", "60", "3,060"] in lines
    assert "█" not in result.stdout


def test_usage_of_one_user_since_a_day_as_json(used: str) -> None:
    document = run_json("usage", "--user", "ada", "--since", "2030-01-02", store=used)

    (row,) = document["rows"]
    assert (row["day"], row["user_id"], row["agent"], row["turns"]) == ("2030-01-02", "ada", "helper", 1)
    assert document["total"]["tokens"] == 1020
    assert run_json("usage", "--until", "2029-12-31", store=used)["rows"] == []


def test_a_terminal_shows_bars(used: str) -> None:
    code, shown = terminal("usage", store=used, keys=[])

    assert code == 0
    assert "█" * 24 in shown


def test_no_usage_is_said_on_stderr(tmp_path: Path) -> None:
    result = run("usage", store=f"sqlite:///{tmp_path}/empty.db")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "analytics=true" in result.stderr


def test_a_day_that_is_none_is_refused(used: str) -> None:
    result = run("usage", "--since", "yesterday", store=used)

    assert result.exit_code == 1
    assert "2030-01-31" in result.stderr


def test_a_bar_is_as_long_as_its_share() -> None:
    assert [bar(value, 8, width=4) for value in (8, 4, 1, 0)] == ["████", "██", "▌", ""]
