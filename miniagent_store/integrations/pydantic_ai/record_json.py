"""A conversation's record as it is stored: the framework's JSON, and where its entries stand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from miniagent_store.errors import DecodeError, EncodeError
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.pydantic_ai.families import Spot

with requires("pydantic-ai-slim>=2.66", extra="pydantic-ai"):
    from pydantic import TypeAdapter, ValidationError
    from pydantic_ai.conversation_store import ConversationRecord
    from pydantic_core import PydanticSerializationError

_RECORD: TypeAdapter[ConversationRecord] = TypeAdapter(ConversationRecord)
_KNOWN = {each.name for each in fields(ConversationRecord)}


@dataclass(frozen=True)
class StoredRecord:
    """A record and what is kept with it.

    Attributes:
        record: a copy that nobody else has.
        plain: its JSON, with fields that only a newer release knows.
        places: log and sequence of its head and of the ends of its branches, by id.
    """

    record: ConversationRecord
    plain: Mapping[str, Any]
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])

    @property
    def conversation_id(self) -> str:
        """Of which conversation."""
        return self.record.conversation_id

    @property
    def head_id(self) -> str | None:
        """The id of its newest entry."""
        return self.record.head_id

    def ends(self) -> Iterable[str]:
        """The ids of the last entries of its history and of its branches."""
        return [*([self.head_id] if self.head_id else []), *self.record.branches]

    def spots(self, session_id: str) -> dict[str, Spot]:
        """Where they stand, as far as that is known."""
        return {entry_id: Spot(session_id, log, seq) for entry_id, (log, seq) in self.places.items()}

    def placed(self, spots: Mapping[str, Spot], *, over: StoredRecord | None) -> dict[str, Any]:
        """What is stored, over what was before."""
        unknown = {} if over is None else {k: v for k, v in over.plain.items() if k not in _KNOWN}
        return {
            "revision": self.record.revision,
            "record": json.dumps({**unknown, **self.plain}),
            "places": {each: [spots[each].log, spots[each].seq] for each in self.ends() if each in spots},
        }


def dump_record(record: ConversationRecord) -> StoredRecord:
    """A record to be stored.

    Raises:
        EncodeError: it holds something that has no JSON.
    """
    try:
        plain = json.loads(_RECORD.dump_json(record))
        return StoredRecord(_RECORD.validate_python(plain), plain)
    except (PydanticSerializationError, ValidationError, UnicodeError):
        problem = "a conversation's record holds what cannot be written as JSON and read again"
    raise EncodeError("unsupported value", detail=problem)


def load_record(value: Mapping[str, Any]) -> StoredRecord:
    """A record as it was stored.

    Raises:
        DecodeError: it is none that this release of pydantic-ai knows.
    """
    try:
        plain = json.loads(value["record"])
        record = _RECORD.validate_python(plain)
    except (ValidationError, ValueError):
        problem = "its fields are not those of this release"
    else:
        places = {entry_id: (log, seq) for entry_id, (log, seq) in value["places"].items()}
        return StoredRecord(record, plain, places)
    raise DecodeError("not a conversation's record of pydantic-ai", detail=problem)
