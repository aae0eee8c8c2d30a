"""Writers are forgotten when none of their commits can come again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from miniagent_store.backend import FORGET_WRITER_MS, Append, Commit, CommitIdentity, Create, NewEntry
from miniagent_store.errors import OutcomeUnknownError
from miniagent_store.rules import LeaseRow, apply_commit
from miniagent_store.rules.session_document import DocumentRows, SessionDocument

NOW = 1_000_000_000


class Place:
    """A session in a dictionary, and a clock."""

    def __init__(self) -> None:
        self.sessions: dict[str, SessionDocument] = {}
        self.turns: dict[str, LeaseRow] = {}

    def commit(self, commit: Commit, now_ms: int) -> bool:
        """Commit; whether it had been seen."""
        return apply_commit(DocumentRows(self.sessions, self.turns, "s"), commit, now_ms).replayed

    @property
    def writers(self) -> set[str]:
        return set(self.sessions["s"].writers)


def by(writer: str, now_ms: int, counter: int = 1) -> Commit:
    changes = (Append("messages", (NewEntry(b"id", now_ms, b"x"),)),)
    who = CommitIdentity(writer, counter, now_ms + 10_000)
    return Commit("s", who, now_ms, create=Create(keep_existing=True), changes=changes)


def test_a_writer_is_forgotten_a_minute_after_its_last_not_after() -> None:
    place = Place()
    place.commit(by("one", NOW), NOW)
    just_before = NOW + 10_000 + FORGET_WRITER_MS

    place.commit(by("two", just_before), just_before)
    assert place.writers == {"one", "two"}

    place.commit(by("three", just_before + 1), just_before + 1)
    assert place.writers == {"two", "three"}


def test_a_forgotten_writers_commit_is_refused_and_not_stored_again() -> None:
    place = Place()
    first = by("one", NOW)
    assert not place.commit(first, NOW)
    later = NOW + 10 * FORGET_WRITER_MS
    place.commit(by("two", later), later)

    with pytest.raises(OutcomeUnknownError):
        place.commit(replace(first, retry=True), later)

    assert len(place.sessions["s"].logs["messages"].entries) == 2


def test_a_writer_that_goes_on_is_kept() -> None:
    place = Place()
    for minute in range(10):
        now = NOW + minute * 60_000
        place.commit(by("one", now, counter=minute + 1), now)
        place.commit(by(f"other-{minute}", now), now)

    assert "one" in place.writers
    assert len(place.writers) <= 4
