"""Envelope encryption: a key service wraps the data keys of sessions and never gives its own key away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key that only the key service can unwrap.

    Attributes:
        key_id: which of the service's keys wrapped it; printable ASCII, at most 255 characters.
        data: what `KeyProvider.unwrap` needs, at most 64 KiB.
    """

    key_id: str
    data: bytes


@runtime_checkable
class KeyProvider(Protocol):
    """A key service (a KMS, a vault). Each call may take a round trip; all are awaited before encoding.

    With a provider, each session has a data key of its own, which stands wrapped beside its metadata.

    Raises:
        KeyProviderError: the service cannot be reached or refused for now; the call may be repeated.
        KeyNotFoundError: `unwrap` was asked for a key that the service does not have.
    """

    async def primary(self) -> str:
        """The id of the key that wraps now."""
        ...

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        """Wrap 32 bytes under the primary key, bound to `context`, which `unwrap` must be given too."""
        ...

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        """The 32 bytes that `wrap` was given."""
        ...
