"""What layers with keys ask for keys."""

from __future__ import annotations

from typing import Protocol

from miniagent_store.keys.key import Key
from miniagent_store.serializer import Context


class KeySource(Protocol):
    """Finds keys without waiting; what needs I/O was fetched before. A `Keyring` is one."""

    def sealing_key(self, context: Context) -> Key:
        """The key to write a value of this place with."""
        ...

    def opening_key(self, key_id: bytes, context: Context) -> Key:
        """The key with this id, which a value of this place was written with.

        Raises:
            KeyNotFoundError: it is not here; names those that are.
        """
        ...
