"""What a walk over stored values found: what they are written with, and what was written anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DATA_KEY = "data key"
"""`WrittenWith.key_id` of values that are written with the data key of their session."""


@dataclass(frozen=True, slots=True, order=True)
class WrittenWith:
    """How stored values say they were written.

    Attributes:
        codecs: the chain, such as "msgpack+aesgcm"; "wrapped" for the data keys of sessions.
        key_id: of the key, in hex, "data key" for the session's own, or as a key service names its keys;
            "" where there is none.
    """

    codecs: str
    key_id: str = ""


@dataclass(frozen=True, slots=True)
class Reencryption:
    """A walk over everything that a store holds.

    Attributes:
        sessions: records of all kinds that were looked at.
        values: metadata, entries, state values, cached values and data keys that were looked at.
        rewritten: how many of them were written anew.
        in_use: how many values are written with what, afterwards.
        failed: how many values or sessions could not be read.
        problems: what was wrong with the first of them.
    """

    sessions: int = 0
    values: int = 0
    rewritten: int = 0
    in_use: Mapping[WrittenWith, int] = field(default_factory=dict)
    failed: int = 0
    problems: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "sessions": self.sessions,
            "values": self.values,
            "rewritten": self.rewritten,
            "in_use": [
                {"codecs": each.codecs, "key_id": each.key_id, "values": count}
                for each, count in sorted(self.in_use.items())
            ],
            "failed": self.failed,
            "problems": list(self.problems),
        }
