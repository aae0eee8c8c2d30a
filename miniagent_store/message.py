"""A message, and the times that values carry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, Self

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_MS = timedelta(milliseconds=1)
# Below it, in the year 2096, a double is so near to a time that the nearest microsecond is the right one.
EXACT_BELOW_MS = 4_000_000_000_000
_from_timestamp = datetime.fromtimestamp


def to_ms(time: datetime) -> int:
    """Milliseconds since 1970 of an aware datetime, rounded down."""
    return (time - EPOCH) // ONE_MS


def from_ms(ms: int) -> datetime:
    """The aware UTC datetime of milliseconds since 1970."""
    if 0 <= ms < EXACT_BELOW_MS:
        return _from_timestamp(ms / 1000, UTC)
    return EPOCH + timedelta(milliseconds=ms)


class Message(Mapping[str, Any]):
    """A small typed view over a mapping. Unknown keys survive.

    A message is also a read-only mapping, so ``dict(message)`` is what model clients take, and it equals
    any mapping with the same fields.

    Args:
        role: who speaks: "system", "user", "assistant", "tool", or any other text.
        content: text, or a list of parts.
        name: of the speaker or tool.
        tool_calls: what the assistant wants called.
        tool_call_id: which call a tool's message answers.
        metadata: anything of the caller's that the value model carries.
        id: the caller's id; the same id with the same payload is stored once in a log.
        time: an aware datetime; the store's own time unless given.
        **extra: any further fields.

    Example:
        >>> Message.user("Hello").content
        'Hello'
        >>> dict(Message.assistant("Hi", mood="good"))
        {'role': 'assistant', 'content': 'Hi', 'mood': 'good'}
    """

    __slots__ = ("_fields", "_time")
    _fields: dict[str, Any]
    _time: datetime | int | None  # milliseconds until someone asks

    def __init__(
        self,
        role: str,
        content: Any = None,
        *,
        name: str | None = None,
        tool_calls: Any = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        id: str | None = None,
        time: datetime | None = None,
        **extra: Any,
    ) -> None:
        self._fields = fields = {"role": role, "content": content}
        self._time = None
        if name is not None:
            fields["name"] = name
        if tool_calls is not None:
            fields["tool_calls"] = tool_calls
        if tool_call_id is not None:
            fields["tool_call_id"] = tool_call_id
        if metadata is not None:
            fields["metadata"] = metadata
        if id is not None:
            fields["id"] = id
        if time is not None:
            fields["time"] = time
        if extra:
            fields.update(extra)

    @classmethod
    def user(cls, content: Any, **more: Any) -> Self:
        """A message of role "user"."""
        return cls("user", content, **more)

    @classmethod
    def assistant(cls, content: Any = None, **more: Any) -> Self:
        """A message of role "assistant"."""
        return cls("assistant", content, **more)

    @classmethod
    def system(cls, content: Any, **more: Any) -> Self:
        """A message of role "system"."""
        return cls("system", content, **more)

    @classmethod
    def tool(cls, content: Any, *, tool_call_id: str, **more: Any) -> Self:
        """What a tool answered."""
        return cls("tool", content, tool_call_id=tool_call_id, **more)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], *, time: datetime | None = None) -> Self:
        """A view of `mapping`; `time` is shown where the mapping has none of its own."""
        self = cls.__new__(cls)
        self._fields = dict(mapping)
        self._time = time
        return self

    @classmethod
    def of_all_stored(cls, fields: Sequence[dict[str, Any]], times_ms: Iterable[int]) -> list[Self]:
        """Views of fields that nobody else has, with the times at which they were stored."""
        # Called for whole histories: one loop, and no call of Python for each.
        made = list(map(object.__new__, repeat(cls, len(fields))))
        for message, its_fields, time_ms in zip(made, fields, times_ms, strict=True):
            message._fields = its_fields
            message._time = time_ms
        return made

    def to_dict(self) -> dict[str, Any]:
        """The fields as they were given; a new dict."""
        return dict(self._fields)

    def plain_fields(self) -> dict[str, Any]:
        """The fields themselves, for who only looks at them."""
        return self._fields

    @property
    def role(self) -> str:
        return str(self._fields.get("role", ""))

    @property
    def content(self) -> Any:
        return self._fields.get("content")

    @property
    def name(self) -> str | None:
        return self._fields.get("name")

    @property
    def tool_calls(self) -> Any:
        return self._fields.get("tool_calls")

    @property
    def tool_call_id(self) -> str | None:
        return self._fields.get("tool_call_id")

    @property
    def metadata(self) -> Any:
        return self._fields.get("metadata") or {}

    @property
    def id(self) -> str | None:
        """The caller's id, if one was given. The id that the store minted is `Entry.id`."""
        return self._fields.get("id")

    @property
    def time(self) -> datetime | None:
        """The caller's time, else the store's; None before the message is stored."""
        given = self._fields.get("time")
        if isinstance(given, datetime):
            return given
        if isinstance(self._time, int):
            self._time = from_ms(self._time)
        return self._time

    def __getitem__(self, key: str) -> Any:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Message({', '.join(f'{key}={value!r}' for key, value in self._fields.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore_message, (self._fields, self.time))


def _restore_message(fields: dict[str, Any], time: datetime | None) -> Message:
    return Message.from_dict(fields, time=time)
