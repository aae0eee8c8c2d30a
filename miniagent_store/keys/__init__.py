"""Keys: what values are encrypted and authenticated with, where they come from, how they are wrapped."""

from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring
from miniagent_store.keys.provider import KeyProvider, WrappedKey
from miniagent_store.keys.source import KeySource

__all__ = ["Key", "KeyProvider", "KeySource", "Keyring", "WrappedKey"]
