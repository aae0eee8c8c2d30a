"""What a commit will do, in objects: what hooks see, before it is encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from miniagent_store.backend import Clear, Rewind, StateAdd, StateDelete, StateDeletePrefix, Trim, Truncate
from miniagent_store.errors import EncodeError, InvalidArgumentError, shorten
from miniagent_store.ids import MAX_ID_BYTES, check_id, check_name
from miniagent_store.values import Message


@dataclass(slots=True)
class DraftEntry:
    """An entry to append; a hook may put another mapping in the place of `value`.

    Attributes:
        log: where it goes.
        value: the mapping.
        time: the caller's, if one was given.
        caller_id: the caller's id, if one was given.
    """

    log: str
    value: Mapping[str, Any]
    time: datetime | None = None
    caller_id: str | None = None


@dataclass(slots=True)
class DraftValue:
    """A state value to set; a hook may put another in the place of `value`."""

    name: str
    value: Any
    ttl_ms: int | None = None
    if_version: int | None = None
    required: bool = True


@dataclass(slots=True)
class DraftRedaction:
    """An entry whose place a tombstone will take. `entry_id` is looked up before the commit."""

    log: str
    seq: int
    reason: str
    entry_id: bytes | None = None


DraftChange = DraftEntry | DraftRedaction | Truncate | Trim | Rewind | Clear
DraftStateChange = DraftValue | StateDelete | StateDeletePrefix | StateAdd


@dataclass(slots=True)
class CommitDraft:
    """A commit in the making.

    Attributes:
        session_id: the session.
        changes: of logs, in order.
        state: changes of state, in order.
        metadata: new metadata, None to leave it.
        tags: new tags, None to leave them.
        last_activity: what to show as last activity instead of the time of the commit.
        initial_metadata, initial_tags: of the session, where this commit makes it; None for none.
    """

    session_id: str
    changes: list[DraftChange] = field(default_factory=list)
    state: list[DraftStateChange] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    tags: tuple[str, ...] | None = None
    last_activity: datetime | None = None
    initial_metadata: dict[str, Any] | None = None
    initial_tags: tuple[str, ...] | None = None

    @property
    def entries(self) -> Iterator[DraftEntry]:
        """The entries to append."""
        return (change for change in self.changes if isinstance(change, DraftEntry))

    @property
    def values(self) -> Iterator[DraftValue]:
        """The state values to set."""
        return (change for change in self.state if isinstance(change, DraftValue))

    @property
    def is_empty(self) -> bool:
        """Whether it would change nothing."""
        return (
            not self.changes
            and not self.state
            and self.metadata is None
            and self.tags is None
            and self.last_activity is None
        )


def draft_entry(
    log: str, message: Mapping[str, Any], *, time: datetime | None = None, dedupe: bool = True
) -> DraftEntry:
    """A draft of one entry from a message or any mapping.

    Args:
        log: where it goes.
        message: the mapping; its "id", if it is a text, is the caller's id, and its "time", if it is an
            aware datetime, its time.
        time: its time, instead.
        dedupe: whether "id" is an identity; where it is only data, pass False.

    Raises:
        EncodeError: it is not a mapping.
        InvalidArgumentError: its id cannot be one.
    """
    kind = type(message)
    value: dict[str, Any]
    if kind is Message:
        value = message.to_dict()  # type: ignore[attr-defined]
    elif kind is dict or isinstance(message, Mapping):
        value = dict(message)
    else:
        raise EncodeError(
            "unsupported type",
            detail=f"a message is a Message or a mapping, not {type(message).__name__}; "
            "write Message.user(text), or {'role': 'user', 'content': text}",
        )
    given_id = value.get("id") if dedupe else None
    if isinstance(given_id, str):
        check_name(given_id, what="message id", limit=MAX_ID_BYTES)
    else:
        given_id = None
    given_time = time if time is not None else value.get("time")
    if not isinstance(given_time, datetime) or given_time.tzinfo is None:
        if time is not None:
            raise InvalidArgumentError("time must be an aware datetime, such as datetime.now(UTC)")
        given_time = None
    return DraftEntry(log, value, given_time, given_id)


def clean_tags(tags: Any) -> tuple[str, ...]:
    """Sorted unique tags from texts, or from a mapping of name to value ("name=value").

    Raises:
        InvalidArgumentError: a tag is no short printable text without braces, or there are too many.
    """
    if isinstance(tags, str):
        raise InvalidArgumentError(f"tags are several texts: pass [{shorten(tags)!r}]")
    texts = [f"{name}={value}" for name, value in tags.items()] if isinstance(tags, Mapping) else list(tags)
    if len(texts) > 64:
        raise InvalidArgumentError(f"a session has at most 64 tags, not {len(texts)}")
    return tuple(sorted({check_id(text, what="tag", limit=256) for text in texts}))


def clean_metadata(metadata: Any) -> dict[str, Any]:
    """A copy of a metadata mapping.

    Raises:
        InvalidArgumentError: it is not a mapping.
    """
    if not isinstance(metadata, Mapping):
        raise InvalidArgumentError(f"metadata is a mapping, not {type(metadata).__name__}")
    return dict(metadata)
