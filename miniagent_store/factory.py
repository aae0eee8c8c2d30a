"""From a URL to a store: everything is found through plugins, the built-ins like anyone's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import platformdirs

from miniagent_store.backend import BackendOptions
from miniagent_store.codec.chain import Chain
from miniagent_store.codec.codec import Codec
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.codec.unsafe import ListedClass, allow_unsafe, check_not_in_url, legacy_reader
from miniagent_store.errors import ConfigurationError
from miniagent_store.hookspecs import BackendFactory
from miniagent_store.keys.data_keys import DataKeys
from miniagent_store.keys.keyring import DEFAULT_VARIABLE, Keyring
from miniagent_store.keys.opening import open_keys
from miniagent_store.keys.provider import KeyProvider
from miniagent_store.options import StoreOptions, read_options
from miniagent_store.plugins import Plugins, shared_plugins
from miniagent_store.store.core import StoreCore
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.url import StoreURL

URL_VARIABLE = "MINIAGENT_STORE_URL"


def open_store(
    url: str | StoreURL | None = None,
    *,
    plugins: Iterable[Any] = (),
    types: TypeRegistry | None = None,
    keyring: Keyring | KeyProvider | None = None,
    allow_pickle: bool = False,
    pickle_classes: Iterable[ListedClass] = (),
    **options: Any,
) -> SessionStore:
    """A store for a URL. No I/O until it is entered or first used.

    Args:
        url: such as ``sqlite:///sessions.db``, ``memory://`` or ``redis://localhost:6379/0``; by default
            `MINIAGENT_STORE_URL`, else the Redis of `REDIS_HOST`, else a SQLite file in the user's data
            folder.
        plugins: plugin objects for this store, besides the installed ones.
        types: where your classes are registered; a new registry unless given.
        keyring: keys, or a key service, instead of the place of keys that ``keys=`` names.
        allow_pickle: leave to use serializers that may run code that stored bytes name, and the reader
            ``legacy=pickle-thread``. Never given by a URL or the environment.
        pickle_classes: classes whose objects pickle writes and reads, or their modules and names.
        **options: the same as in the URL's query, and stronger.

    Raises:
        ConfigurationError: scheme, option or serializer is unknown or cannot be used; says what to do.
        MissingExtraError: an optional package is not installed.
        PluginError: a plugin that is needed is broken, or clashes with another.

    Example:
        >>> import asyncio
        >>> from miniagent_store import Message, open_store
        >>> async def main():
        ...     async with open_store("memory://") as store:
        ...         session = await store.create(user_id="ada")
        ...         await store.append(session.id, Message.user("Hello"))
        ...         return await store.history(session.id)
        >>> asyncio.run(main())
        [Message(role='user', content='Hello')]
    """
    parsed = url if isinstance(url, StoreURL) else StoreURL.parse(url or default_url())
    own = tuple(plugins)
    found = Plugins(own) if own else shared_plugins()
    provider = found.find("backend", parsed.scheme)
    check_not_in_url(parsed.options)
    store_options, extra = read_options(
        parsed.options, options, backend_options=provider.options, scheme=parsed.scheme
    )
    observers = [found.load("observer", name)() for name in store_options.observe]
    if observers:
        found = Plugins((*own, *observers))
    registry = types if types is not None else TypeRegistry()
    classes = tuple(pickle_classes)
    chain, *accept = (
        allow_unsafe(_chain(each, found), allow_pickle=allow_pickle, classes=classes)
        for each in (store_options.serializer, *store_options.accept)
    )
    legacy = [legacy_reader(name, found, allow_pickle=allow_pickle) for name in store_options.legacy]
    keys = _keys([chain, *accept], store_options, keyring, found)
    codec = Codec(chain, registry=found, accept=accept, types=registry, keys=keys, legacy=legacy)
    factory: BackendFactory = found.load("backend", parsed.scheme)
    backend = factory(
        parsed.without_options(),
        BackendOptions(
            store_options.namespace, store_options.deadline, store_options.connect_timeout, extra
        ),
    )
    return Store(StoreCore(backend, codec, store_options, found, keys), parsed, registry)


def _keys(
    chains: list[Chain], options: StoreOptions, keyring: Keyring | KeyProvider | None, plugins: Plugins
) -> DataKeys | None:
    """The keys of a store; None if none of its chains needs any.

    Raises:
        ConfigurationError: a chain needs keys and there are none, or there is nothing to shred.
    """
    if options.shred and not chains[0].encrypted:
        raise ConfigurationError(
            f"shred=true needs encryption, and serializer={chains[0]} has none; add '+encrypted'"
        )
    keyed = next((chain for chain in chains if chain.keyed), None)
    if keyed is None and keyring is None and options.keys is None:
        return None
    keys = keyring if keyring is not None else open_keys(options.keys, plugins)
    if keys is None:
        raise ConfigurationError(
            f"{keyed} needs keys: make one with 'miniagent-store keys generate', put it into the variable "
            f"{DEFAULT_VARIABLE} or a file, and name it with keys=env:{DEFAULT_VARIABLE} or keys=file:/path"
        )
    return DataKeys(keys, options.namespace, per_session=options.shred)


def _chain(serializer: Any, plugins: Plugins) -> Chain:
    if isinstance(serializer, Chain):
        return serializer
    if isinstance(serializer, str):
        return Chain.parse(serializer, plugins)
    return Chain.of(serializer, plugins)


def default_url() -> str:
    """`MINIAGENT_STORE_URL`, else the Redis of `REDIS_HOST`, else a SQLite file of the user's."""
    url = os.environ.get(URL_VARIABLE)
    if url:
        return url
    if os.environ.get("REDIS_HOST"):
        return _url_of_redis_variables(os.environ)
    folder = platformdirs.user_data_path("miniagent-store")
    return f"sqlite:///{folder / 'sessions.db'}"


def _url_of_redis_variables(environment: Mapping[str, str]) -> str:
    port = environment.get("REDIS_PORT") or "6379"
    if not port.isdecimal():
        raise ConfigurationError(f"REDIS_PORT must be a number, not {port!r}")
    return StoreURL(
        "redis",
        environment.get("REDIS_USERNAME") or None,
        environment.get("REDIS_PASSWORD") or None,
        ((environment["REDIS_HOST"], int(port)),),
        f"/{environment.get('REDIS_DB') or '0'}",
    ).render()
