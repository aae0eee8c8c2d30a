"""From where a copy of a session is no longer true."""

from __future__ import annotations

from collections.abc import Mapping

from miniagent_store.backend import KEPT_EPOCHS, LogTail, Record

TAILS = {"messages": LogTail(2, 5), "events": LogTail(0, 3)}


def record(*resets: Mapping[str, int]) -> Record:
    """A record whose epochs 1, 2, … had these lowest changes; only the last 16 are kept."""
    kept = tuple((epoch, lowest) for epoch, lowest in enumerate(resets, start=1))[-KEPT_EPOCHS:]
    return Record(
        session_id="s",
        kind="session",
        user_id=None,
        agent=None,
        tags=(),
        created_ms=0,
        last_activity_ms=0,
        expires_ms=None,
        ttl_ms=None,
        sliding=True,
        version=9,
        epoch=len(resets),
        incarnation="me",
        token=b"",
        metadata=b"",
        logs=TAILS,
        size=0,
        fence=0,
        resets=kept,
    )


def test_a_copy_of_this_epoch_holds() -> None:
    assert record().changed_since("me", 0) == {}
    assert record({"messages": 4}).changed_since("me", 1) == {}


def test_a_copy_of_an_older_epoch_holds_below_the_lowest_change_since() -> None:
    changed = record({"messages": 3}, {"messages": 6, "events": 2}, {"messages": 5})

    assert changed.changed_since("me", 0) == {"messages": 3, "events": 2}
    assert changed.changed_since("me", 1) == {"messages": 5, "events": 2}
    assert changed.changed_since("me", 2) == {"messages": 5}


def test_further_behind_than_remembered_nothing_holds() -> None:
    changed = record(*[{"messages": 7}] * (KEPT_EPOCHS + 2))

    assert changed.changed_since("me", 2) == {"messages": 7}
    assert changed.changed_since("me", 1) == {"messages": 1, "events": 1}


def test_nothing_holds_of_another_incarnation_or_of_an_epoch_to_come() -> None:
    everything = {"messages": 1, "events": 1}

    assert record().changed_since("other", 0) == everything
    assert record({"messages": 5}).changed_since("me", 2) == everything
