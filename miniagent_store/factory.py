"""From a URL to a store: everything is found through plugins, the built-ins like anyone's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import platformdirs

from miniagent_store.backend import Backend, BackendOptions
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
from miniagent_store.options import StoreOptions, read_options, read_tenant_options
from miniagent_store.plugins import Plugins, shared_plugins
from miniagent_store.store.cache_place import PATIENCE
from miniagent_store.store.core import StoreCore
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.store.tenant_limits import TenantLimits
from miniagent_store.store.tenants import Tenants, ViewOptions
from miniagent_store.url import StoreURL

ARCHIVE_GRACE_MS = 3_600_000
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
    opening = _Opening(
        parsed,
        found,
        types if types is not None else TypeRegistry(),
        store_options,
        extra,
        keyring,
        allow_pickle,
        tuple(pickle_classes),
    )
    codec, keys = opening.codec()
    place = opening.place(codec)
    return opening.store(StoreCore(opening.backend(), codec, store_options, found, keys, place=place))


@dataclass(frozen=True)
class _Opening:
    """What a store is opened with, so that views of its tenants can be made like it."""

    url: StoreURL
    plugins: Plugins
    types: TypeRegistry
    options: StoreOptions
    extra: Mapping[str, Any]
    keyring: Keyring | KeyProvider | None
    allow_pickle: bool
    classes: tuple[ListedClass, ...]

    def store(self, core: StoreCore) -> Store:
        return Store(core, self.url, self.types, Tenants(core, self))

    @property
    def _codec_options(self) -> tuple[Any, ...]:
        options = self.options
        return options.serializer, options.accept, options.legacy, options.keys, options.shred

    def codec(self) -> tuple[Codec, DataKeys | None]:
        chain, *accept = (
            allow_unsafe(_chain(each, self.plugins), allow_pickle=self.allow_pickle, classes=self.classes)
            for each in (self.options.serializer, *self.options.accept)
        )
        legacy = [
            legacy_reader(name, self.plugins, allow_pickle=self.allow_pickle)
            for name in self.options.legacy
        ]
        keys = _keys([chain, *accept], self.options, self.keyring, self.plugins)
        codec = Codec(
            chain, registry=self.plugins, accept=accept, types=self.types, keys=keys, legacy=legacy
        )
        return codec, keys

    def backend(self) -> Backend:
        return _backend(self.url, self.options, self.extra, self.plugins)

    def place(self, codec: Codec, parent: StoreCore | None = None) -> StoreCore | None:
        """Where cached values are kept, by ``cache_url``; None for with the sessions.

        Raises:
            ConfigurationError: the URL or one of its options cannot be used.
        """
        url = self.options.cache_url
        if url is None:
            return None
        options, extra = _cache_options(url, self.options, self.plugins)
        if parent is not None:
            with suppress(NotImplementedError):
                backend = parent.backend.within(options.namespace)
                return StoreCore(backend, codec, options, self.plugins, parent=parent)
        return StoreCore(_backend(url, options, extra, self.plugins), codec, options, self.plugins)

    def again(self, limits: TenantLimits | None, backend: Backend | None = None) -> Store:
        """Another store that is opened in the same way. No I/O."""
        codec, keys = self.codec()
        place = self.place(codec)
        backend = backend or self.backend()
        return self.store(
            StoreCore(backend, codec, self.options, self.plugins, keys, limits=limits, place=place)
        )

    # Views of tenants

    def read(self, namespace: str, given: Mapping[str, Any]) -> StoreOptions:
        options = read_tenant_options(self.options, given, scheme=self.url.scheme)
        return replace(options, namespace=namespace)

    def make(self, parent: StoreCore, view: ViewOptions) -> tuple[Store, bool]:
        options = view.options
        # The parent's very keys, unless others were named: a key file is read and followed once.
        own_place = options.keys != self.options.keys
        inherited = None if own_place or parent.keys.source is None else parent.keys.source
        opening = replace(
            self,
            url=self.url.with_options(namespace=options.namespace),
            options=options,
            keyring=inherited if view.keyring is None else view.keyring,
        )
        codec, keys = parent.coding.codec, None
        if opening.keyring is not None or opening._codec_options != self._codec_options:
            codec, keys = opening.codec()
        if view.keyring is not None and not (codec.chain.keyed or options.accept):
            raise ConfigurationError(
                f"keyring= of a tenant would not be used: serializer={codec.chain} needs no keys; "
                "add '+encrypted', here or to the store"
            )
        shares = True
        try:
            backend = parent.backend.within(options.namespace)
        except NotImplementedError:
            backend, shares = opening.backend(), False
        place = opening.place(codec, None if parent.place is parent else parent.place)
        core = StoreCore(
            backend, codec, options, self.plugins, keys, parent=parent, limits=view.limits, place=place
        )
        return opening.store(core), shares


def _backend(url: StoreURL, options: StoreOptions, extra: Mapping[str, Any], plugins: Plugins) -> Backend:
    factory: BackendFactory = plugins.load("backend", url.scheme)
    return factory(
        url.without_options(),
        BackendOptions(
            options.namespace,
            options.deadline,
            options.connect_timeout,
            extra,
            options.cache_max_size,
            _grace_ms(options, plugins),
        ),
    )


def _grace_ms(options: StoreOptions, plugins: Plugins) -> int:
    """How long what expired is kept; who archives needs some time for it."""
    if options.grace is not None:
        return options.grace
    return ARCHIVE_GRACE_MS if plugins.implementations("session_archive") else 0


def _cache_options(
    url: StoreURL, options: StoreOptions, plugins: Plugins
) -> tuple[StoreOptions, Mapping[str, Any]]:
    """The options of what ``cache_url`` names, and of its backend: those of the store, but for its own.

    Raises:
        ConfigurationError: the URL or one of its options cannot be used.
    """
    provider = plugins.find("backend", url.scheme)
    own = {"deadline", "connect_timeout", "cache_max_size"}
    valid = own | set(provider.options)
    unknown = sorted(set(url.options) - valid)
    if unknown:
        raise ConfigurationError(
            f"option 'cache_url': {unknown[0]!r} is no option of a cache "
            f"(valid: {', '.join(sorted(valid))})"
        )
    found, extra = read_options(url.options, {}, backend_options=provider.options, scheme=url.scheme)
    # Nobody waits long for a cache.
    patient = replace(options, deadline=min(options.deadline, PATIENCE))
    taken = {name: getattr(found if name in url.options else patient, name) for name in own}
    return replace(options, **taken), extra


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
