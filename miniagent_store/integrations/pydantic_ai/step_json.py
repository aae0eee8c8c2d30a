"""The records of step persistence as their own JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from miniagent_store.errors import DecodeError, EncodeError
from miniagent_store.integrations.lacking import requires

with requires("pydantic-ai-harness", extra="pydantic-ai-harness"):
    from pydantic import TypeAdapter, ValidationError
    from pydantic_ai_harness.step_persistence import (
        ContinuableSnapshot,
        RunRecord,
        StepEvent,
        ToolEffectRecord,
    )
    from pydantic_core import PydanticSerializationError

T = TypeVar("T")


class RecordJSON(Generic[T]):
    """How a dataclass of the harness is written and read.

    Args:
        kind: the dataclass.
        what: what it is called in errors.
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._what = what

    def dump(self, record: T) -> dict[str, Any]:
        """Plain values.

        Raises:
            EncodeError: it holds something that has no JSON.
        """
        try:
            plain: dict[str, Any] = json.loads(self._adapter.dump_json(record))
            return plain
        except (PydanticSerializationError, UnicodeError):
            problem = f"{self._what} holds what cannot be written as JSON"
        # Outside the handler: the cause's text may quote the record.
        raise EncodeError("unsupported value", detail=problem)

    def load(self, plain: Mapping[str, Any]) -> T:
        """The record of plain values; fields that only a newer release knows are left out.

        Raises:
            DecodeError: they are not those of such a record.
        """
        try:
            return self._adapter.validate_python(dict(plain))
        except ValidationError:
            problem = "its fields are not those of this release"
        raise DecodeError(f"not {self._what} of pydantic-ai-harness", detail=problem)


RUN = RecordJSON(RunRecord, "a run")
EVENT = RecordJSON(StepEvent, "an event")
EFFECT = RecordJSON(ToolEffectRecord, "a tool's effect")
SNAPSHOT = RecordJSON(ContinuableSnapshot, "a snapshot")
