"""Slots of a Cluster: where keys are, and what keeps those of one session together."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.routing.slots import slot_of
from miniagent_store.testing.cluster import ClusterGroup

BRACES = st.text(alphabet="{}ab%:", min_size=1, max_size=8)


def keys_of(session_id: str) -> list[str]:
    keys = Keys("n")
    parts = keys.parts(session_id)
    stage = keys.stage(session_id, "1")
    return [keys.record(session_id), *parts.values(), parts["log"] + "main", stage + "log:main"]


@settings(deadline=None)
@given(BRACES)
def test_all_keys_of_a_session_are_in_one_slot(session_id: str) -> None:
    assert len({slot_of(key) for key in keys_of(session_id)}) == 1


@settings(deadline=None)
@given(BRACES, BRACES)
def test_two_sessions_share_no_key(one: str, other: str) -> None:
    if one != other:
        assert not set(keys_of(one)) & set(keys_of(other))


@settings(deadline=None)
@given(st.text(alphabet="{}a", max_size=6))
def test_slots_are_those_of_the_specification(key: str) -> None:
    assert slot_of(key) == ClusterGroup.slot_of(key)


@pytest.mark.parametrize(("key", "slot"), [("foo", 12182), ("{foo}bar", 12182), ("x{foo}", 12182)])
def test_known_slots(key: str, slot: int) -> None:
    assert slot_of(key) == slot
