"""Where a chain finds serializers and layers, by the names in URLs and by what stands on the wire."""

from __future__ import annotations

from typing import Any, Protocol

from miniagent_store.provider import Provider
from miniagent_store.serializer import Layer, LegacyReader, Serializer


class CodecRegistry(Protocol):
    """What is known by name and by wire id; `Plugins` is one."""

    def serializer(self, name: str) -> Provider[Serializer]:
        """The serializer of this name; raises `ConfigurationError` saying which names there are."""
        ...

    def layer(self, name: str) -> Provider[Layer]:
        """The layer of this name; raises `ConfigurationError` saying which names there are."""
        ...

    def legacy_reader(self, name: str) -> Provider[LegacyReader]:
        """The reader of this name; raises `ConfigurationError` saying which names there are."""
        ...

    def by_wire_id(self, wire_id: int) -> Provider[Any] | None:
        """A serializer or layer that reads this id; where several do, any of them."""
        ...

    def by_wire_name(self, name: str) -> Provider[Any] | None:
        """The named codec of this name: a serializer or layer without a wire id."""
        ...
