"""What `stats`, `report` and `repair` print."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli_support import ADA_1, ADA_2, in_store, run, run_json

from miniagent_store import Position, Session, SessionStore
from miniagent_store.measuring.activity import Activity
from miniagent_store.measuring.census import MOST, Census

NOON = datetime(2030, 1, 10, 12, tzinfo=UTC)


def by_hand(store: str, statement: str) -> None:
    connection = sqlite3.connect(store.removeprefix("sqlite:///"))
    with connection:
        connection.execute(statement)
    connection.close()


# stats


def test_stats_tell_what_is_held(store: str) -> None:
    lines = run("stats", store=store).stdout.splitlines()

    told = {line[:18].strip(): line[18:].strip() for line in lines}
    assert told["sessions"] == "3"
    assert (told["messages"], told["users"], told["agents"]) == ("7", "2", "helper: 2")
    assert told["expire within 1 h"] == "0"


def test_stats_as_json(store: str) -> None:
    document = run_json("stats", store=store)

    assert (document["sessions"], document["expiring_within_1h"]) == ({"session": 3}, 0)
    assert document["problem"] is None


@pytest.mark.parametrize("command", ["stats", "report", "repair"])
def test_a_store_that_is_away_fails_in_one_line(command: str) -> None:
    result = run(command, store="redis://user:secret@127.0.0.1:1/0")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert "secret" not in result.stderr
    assert result.stderr.count("\n") == 1


# report


def test_a_report_is_a_page(store: str) -> None:
    page = run("report", store=store).stdout

    for title in ("Health", "Sessions", "Growth, by day", "Expiries", "Sizes", "Largest sessions"):
        assert f"\n{title}\n" in page
    assert page.index(ADA_2) < page.index(ADA_1)
    assert all(line == line.rstrip() for line in page.splitlines())


def test_a_report_of_nothing_is_short(empty: str) -> None:
    page = run("report", store=empty).stdout

    assert "sessions  0" in page
    assert "Largest" not in page


def test_a_report_as_json(store: str) -> None:
    census = run_json("report", store=store)["census"]

    assert (census["sessions"], census["messages"], census["users"]) == (3, 7, 2)
    assert census["expiring"]["within 1 d"] == 1
    assert census["expiring"]["never"] == 2
    assert sum(census["created"].values()) == sum(census["active"].values()) == 3


def session(number: int, **more: Any) -> Session:
    plain: dict[str, Any] = {
        "id": f"s{number:05}",
        "kind": "session",
        "user_id": f"user{number % 3}",
        "agent": None,
        "created_at": NOON.isoformat(),
        "last_activity": NOON.isoformat(),
        "expires_at": None,
        "ttl": None,
        "version": 1,
        "epoch": 0,
        "incarnation": "a",
        "message_count": 2,
        "size": number,
        "metadata": {},
        "tags": [],
        "position": str(Position("a", 0, 1)),
    }
    return Session.from_dict({**plain, **more})


def test_a_census_keeps_little_of_many() -> None:
    census = Census(NOON)
    for number in range(2_000):
        census.add(session(number, expires_at=(NOON + timedelta(minutes=number)).isoformat()))

    assert [each.size for each in census.largest] == list(range(1_999, 1_999 - MOST, -1))
    found = census.to_dict()
    assert found["expiring"] == {
        "within 1 h": 61,
        "within 1 d": 1_380,
        "within 7 d": 559,
        "within 30 d": 0,
        "later": 0,
        "never": 0,
    }
    assert found["sizes"] == {
        "to 1 KiB": 1_025,
        "to 10 KiB": 975,
        "to 100 KiB": 0,
        "to 1 MiB": 0,
        "larger": 0,
    }
    assert found["created"]["2030-01-10"] == 2_000


# top: how commits are counted


def test_versions_tell_how_many_commits_there_were() -> None:
    activity = Activity()
    activity.rates(100.0)
    for at, name, version in (
        (100.2, "a", 7),  # seen for the first time: one
        (100.9, "a", 10),
        (101.1, "b", 1),
        (101.2, "a", 10),  # told twice
        (102.5, "a", 1),  # another life
        (103.1, "a", None),  # deleted
    ):
        activity.note(name, version, at)

    assert activity.rates(104.0) == [4, 1, 1, 1]
    assert activity.busiest(1, 104.0) == [("a", 6)]
    assert activity.busiest(5, 200.0) == []


# repair


def test_repair_of_a_whole_store_finds_nothing(store: str) -> None:
    result = run("repair", store=store)

    assert (result.exit_code, result.stdout) == (0, "looked at 3 sessions: 0 faults found\n")


def test_repair_tells_first_and_mends_then(store: str) -> None:
    by_hand(store, "DELETE FROM tags WHERE tag = 'urgent'")

    told = run("repair", "--dry-run", store=store)
    assert told.exit_code == 1
    assert ADA_1 in told.stdout
    assert "`miniagent-store repair` mends it" in told.stderr
    mended = run("repair", store=store)

    assert mended.exit_code == 0
    assert "mended" in mended.stdout
    assert run("repair", "--dry-run", store=store).exit_code == 0


def test_what_is_lost_is_given_up_only_when_asked(store: str) -> None:
    key = f"(SELECT key FROM sessions WHERE id = '{ADA_2}')"
    by_hand(store, f"DELETE FROM entries WHERE session = {key} AND log = 'messages' AND seq = 1")

    result = run("repair", store=store)
    assert result.exit_code == 1
    assert "repair --salvage" in result.stderr
    assert run("repair", "--salvage", store=store).exit_code == 2
    document = run_json("repair", "--salvage", "--yes", store=store)

    assert (document["found"]["lost"], document["left"]) == (1, 0)

    async def count(opened: SessionStore) -> int:
        return len(await opened.history(ADA_2))

    assert in_store(store, count) == 4


def test_a_dry_run_salvages_nothing(store: str) -> None:
    assert run("repair", "--dry-run", "--salvage", store=store).exit_code == 2
