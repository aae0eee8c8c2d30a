"""How many sessions there are, kept with each transaction, so that nobody has to count them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from miniagent_store.backend import Record

_ADD = (
    "INSERT INTO counts (namespace, kind, scope, name, sessions, messages, size) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (namespace, kind, scope, name) DO UPDATE SET "
    "sessions = sessions + excluded.sessions, "
    "messages = messages + excluded.messages, size = size + excluded.size RETURNING sessions"
)
_DROP = "DELETE FROM counts WHERE namespace = ? AND kind = ? AND scope = ? AND name = ?"
# What is counted apart, and the count of how many of them there are.
_SCOPES = {"user": "users", "agent": "agents"}


class Difference(NamedTuple):
    """What the writing of a session changes."""

    namespace: str
    kind: str
    user_id: str | None
    agent: str | None
    sessions: int
    messages: int
    size: int


class Nothing(NamedTuple):
    """All that was in a namespace is gone."""

    namespace: str


def difference(namespace: str, before: Record | None, after: Record | None) -> Difference:
    """What it changes that a session is `after`, and was `before`; None where there is none."""
    record = after or before
    assert record is not None
    return Difference(
        namespace,
        record.kind,
        record.user_id,
        record.agent,
        (after is not None) - (before is not None),
        (after.message_count if after else 0) - (before.message_count if before else 0),
        (after.size if after else 0) - (before.size if before else 0),
    )


def save_counts(execute: Callable[..., Any], counted: Iterable[Difference | Nothing]) -> None:
    """Add what the jobs of a transaction have changed, in their order."""
    sums: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in counted:
        if isinstance(each, Nothing):
            execute("DELETE FROM counts WHERE namespace = ?", (each.namespace,))
            for place in [place for place in sums if place[0] == each.namespace]:
                del sums[place]
            continue
        of_kind = sums[each.namespace, each.kind, "all", ""]
        of_kind[0] += each.sessions
        of_kind[1] += each.messages
        of_kind[2] += each.size
        if each.sessions:
            for scope, name in (("user", each.user_id), ("agent", each.agent)):
                if name is not None:
                    sums[each.namespace, each.kind, scope, name][0] += each.sessions
    for (namespace, kind, scope, name), changed in sums.items():
        if any(changed):
            _add(execute, namespace, kind, scope, name, changed)


def _add(
    execute: Callable[..., Any], namespace: str, kind: str, scope: str, name: str, changed: Sequence[int]
) -> None:
    key = (namespace, kind, scope, name)
    (sessions,) = execute(_ADD, (*key, *changed)).fetchone()
    if sessions == 0:
        execute(_DROP, key)
    if scope in _SCOPES and (sessions == 0 or sessions == changed[0]):
        # The first of a user's, or the last.
        _add(execute, namespace, kind, _SCOPES[scope], "", (1 if sessions else -1, 0, 0))
