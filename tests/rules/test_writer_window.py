"""The last outcomes of a writer."""

from __future__ import annotations

from miniagent_store.backend import OUTCOME_WINDOW, Outcome
from miniagent_store.rules import WriterWindow


def window(*counters: int) -> WriterWindow:
    made = WriterWindow(0, ())
    for counter in counters:
        made = made.with_outcome(counter, Outcome(counter), stamp_ms=1_000 + counter)
    return made


def test_an_outcome_is_found_by_its_counter() -> None:
    some = window(1, 2, 5)

    assert some.outcome(2) == Outcome(2)
    assert some.outcome(3) is None


def test_the_last_32_are_remembered() -> None:
    full = window(*range(1, OUTCOME_WINDOW + 1))
    assert full.outcome(1) == Outcome(1)

    more = full.with_outcome(OUTCOME_WINDOW + 1, Outcome(99), 0)

    assert more.outcome(1) is None
    assert more.outcome(2) == Outcome(2)
    assert len(more.outcomes) == OUTCOME_WINDOW


def test_nothing_is_below_a_window_that_has_forgotten_nothing() -> None:
    assert not window().is_below(1)
    assert not window(7, 9).is_below(1)
    assert not window(*range(7, 7 + OUTCOME_WINDOW - 1)).is_below(1)


def test_what_is_older_than_a_full_window_is_below_it() -> None:
    full = window(*range(7, 7 + OUTCOME_WINDOW))

    assert full.is_below(6)
    assert not full.is_below(7)
    assert not full.is_below(99)


def test_outcomes_that_come_out_of_order_are_kept_by_counter() -> None:
    assert [number for number, _ in window(5, 1, 9, 3).outcomes] == [1, 3, 5, 9]
    full = window(*range(100, 100 + OUTCOME_WINDOW))

    late = full.with_outcome(115, Outcome(1), 0)

    assert late.outcomes[0][0] == 101


def test_the_stamp_is_the_latest_not_after() -> None:
    assert window(5, 1).stamp_ms == 1_005
