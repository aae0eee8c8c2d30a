"""Where the keys are that a command is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from miniagent_store.cli.settings import current

if TYPE_CHECKING:
    from miniagent_store.keys.keyring import Keyring

Command = TypeVar("Command", bound=Callable[..., Any])


def keys_option(command: Command) -> Command:
    """``--keys``."""
    return click.option(
        "--keys",
        "place",
        metavar="PLACE",
        help="env:NAME or file:PATH; by default that of --store, else env:MINIAGENT_STORE_KEYS.",
    )(command)


def keyring_of(place: str | None) -> Keyring:
    """The keyring at `place`, or at the place that the store's URL names.

    Raises:
        ConfigurationError: there is none.
    """
    from miniagent_store.errors import ConfigurationError
    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.keys.opening import open_keys
    from miniagent_store.plugins import shared_plugins
    from miniagent_store.url import StoreURL

    if place is None:
        url = current().url
        place = None if url is None else StoreURL.parse(url).options.get("keys")
    keys = open_keys(place, shared_plugins()) if place else Keyring.from_env()
    if not isinstance(keys, Keyring):
        raise ConfigurationError(
            f"the keys are kept by the key service {place!r}, which does not list them; "
            "'miniagent-store keys check' tells which ones are in use"
        )
    return keys
