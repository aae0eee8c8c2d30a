"""From the option ``keys=`` to keys."""

from __future__ import annotations

import os
from typing import Protocol

from miniagent_store.errors import ConfigurationError
from miniagent_store.keys.keyring import DEFAULT_VARIABLE, Keyring
from miniagent_store.keys.provider import KeyProvider


class FindsProviders(Protocol):
    """Where key providers are found by name; `Plugins` is one."""

    def key_provider(self, name: str) -> KeyProvider:
        """A key provider; raises `ConfigurationError` saying which names there are."""
        ...


def open_keys(place: str | None, providers: FindsProviders) -> Keyring | KeyProvider | None:
    """The keys at a place.

    Args:
        place: ``env:NAME``, ``file:/path`` or ``provider:name``; None: the variable
            `MINIAGENT_STORE_KEYS`, if it is set.
        providers: for ``provider:``.

    Raises:
        ConfigurationError: there are no keys, or `place` is of another form. It is not shown then, since it
            might be a key.
    """
    if place is None:
        return Keyring.from_env() if os.environ.get(DEFAULT_VARIABLE, "").strip() else None
    kind, _, name = place.partition(":")
    if name and kind == "env":
        return Keyring.from_env(name)
    if name and kind == "file":
        return Keyring.from_file(name)
    if name and kind == "provider":
        return providers.key_provider(name)
    raise ConfigurationError(
        "keys= names the place of keys: env:NAME, file:/path or provider:name; keys themselves never "
        "stand in a URL (in code, pass keyring=Keyring([...]))"
    )
