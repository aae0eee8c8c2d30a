"""An item of LangGraph's store as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.langgraph.places import Namespace, name_of, place_of
from miniagent_store.values import StateItem

with requires("langgraph-checkpoint", extra="langgraph"):
    from langgraph.store.base import Item, SearchItem

# The share of a TTL within which a read does not renew it, so that not every read is a write.
SLACK = 0.01


@dataclass(frozen=True)
class StoredItem:
    """An item.

    Attributes:
        ttl: seconds without a read or a write after which it expires.
        vectors: of its texts.
        version: where it was read, its version and when it expires.
    """

    namespace: Namespace
    key: str
    value: dict[str, Any]
    created: str
    updated: str
    ttl: float | None = None
    vectors: list[bytes] = field(default_factory=list)
    version: int = 0
    expires_at: datetime | None = None

    @classmethod
    def read(cls, item: StateItem) -> StoredItem:
        """The item that stands under a name."""
        namespace, key = place_of(item.name)
        kept: Mapping[str, Any] = item.value
        return cls(
            namespace,
            key,
            kept["value"],
            kept["created"],
            kept["updated"],
            kept.get("ttl"),
            kept.get("vectors", []),
            item.version,
            item.expires_at,
        )

    def stored(self) -> dict[str, Any]:
        """What is stored under its name."""
        kept: dict[str, Any] = {"value": self.value, "created": self.created, "updated": self.updated}
        if self.ttl is not None:
            kept["ttl"] = self.ttl
        if self.vectors:
            kept["vectors"] = self.vectors
        return kept

    @property
    def name(self) -> str:
        return name_of(self.namespace, self.key)

    @property
    def is_due(self) -> bool:
        """Whether a read renews its expiry."""
        if self.ttl is None or self.expires_at is None:
            return False
        return (self.expires_at - datetime.now(UTC)).total_seconds() < self.ttl * (1 - SLACK)

    def item(self) -> Item:
        """As `get` returns it."""
        return Item(**self._shown())

    def search_item(self, score: float | None) -> SearchItem:
        """As `search` returns it."""
        return SearchItem(**self._shown(), score=score)

    def _shown(self) -> dict[str, Any]:
        return {
            "namespace": self.namespace,
            "key": self.key,
            "value": self.value,
            "created_at": datetime.fromisoformat(self.created),
            "updated_at": datetime.fromisoformat(self.updated),
        }


def ttl_seconds(minutes: float | None) -> float | None:
    """LangGraph's minutes in seconds.

    Raises:
        InvalidArgumentError: they are not above zero.
    """
    if minutes is None:
        return None
    if not minutes > 0:
        raise InvalidArgumentError(f"a TTL is above zero minutes, not {minutes!r}")
    return minutes * 60
