"""Tenants: views of a store that share its connections, each in a namespace of its own."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Mapping
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakSet

from miniagent_store.errors import ConfigurationError, StoreClosedError, WrongLoopError
from miniagent_store.ids import tenant_namespace
from miniagent_store.rules.namespaces import start_of_tenants

if TYPE_CHECKING:
    from miniagent_store.backend import Backend
    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.keys.provider import KeyProvider
    from miniagent_store.options import StoreOptions
    from miniagent_store.store.core import StoreCore
    from miniagent_store.store.store import Store
    from miniagent_store.store.tenant_limits import TenantLimits

T = TypeVar("T")
# So many views are remembered, the last used ones.
KNOWN_TENANTS = 1024
PAGE = 500


@dataclass(frozen=True, slots=True)
class TenantDeletion:
    """What the deletion of a tenant has removed.

    Attributes:
        tenants: which ones: the tenant, and with ``nested=True`` those below it.
        sessions: records of all kinds: sessions, collections and what else stands under an id.
        removed: how many items of which sort, the sessions among them; what an item is, and which sorts
            there are, is the backend's: a key, a row, a document.
    """

    tenants: tuple[str, ...] = ()
    removed: Mapping[str, int] = field(default_factory=dict)

    @property
    def sessions(self) -> int:
        return self.removed.get("sessions", 0)

    @property
    def items(self) -> int:
        """All that was removed."""
        return sum(self.removed.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"tenants": list(self.tenants), "sessions": self.sessions, "removed": dict(self.removed)}


Progress = Callable[[TenantDeletion], None]


@dataclass(frozen=True)
class ViewOptions:
    """What a view is told that its parent is not.

    Attributes:
        options: of the store, the namespace among them.
        keyring: keys of its own; None for the parent's.
        limits: to be held; None for none.
    """

    options: StoreOptions
    keyring: Keyring | KeyProvider | None = None
    limits: TenantLimits | None = None


class ViewMaker(Protocol):
    """How a store makes views of its tenants."""

    def read(self, namespace: str, given: Mapping[str, Any]) -> StoreOptions:
        """The parent's options with a namespace, and with others that were given.

        Raises:
            ConfigurationError: one is unknown, cannot be read, or belongs to the connections.
        """
        ...

    def make(self, parent: StoreCore, view: ViewOptions) -> tuple[Store, bool]:
        """A view, and whether it shares the parent's connections. No I/O."""
        ...

    def again(self, limits: TenantLimits | None, backend: Backend | None = None) -> Store:
        """Another store that is opened in the same way, on `backend` if one is given. No I/O."""
        ...


class Tenants:
    """The views of one store.

    Args:
        core: of the store.
        maker: makes them.

    Attributes:
        maker: as given; it knows how the store was opened.
    """

    maker: ViewMaker

    def __init__(self, core: StoreCore, maker: ViewMaker) -> None:
        self._core, self.maker = core, maker
        self._known: OrderedDict[Hashable, Store] = OrderedDict()
        self._living: WeakSet[Store] = WeakSet()
        # Those that have connections of their own are kept until these are closed.
        self._apart: list[Store] = []

    def view(
        self,
        name: str,
        *,
        limits: TenantLimits | None,
        keyring: Keyring | KeyProvider | None,
        options: Mapping[str, Any],
    ) -> Store:
        """See `SessionStore.tenant`."""
        if self._core.closed:
            raise StoreClosedError
        namespace = tenant_namespace(self._core.options.namespace, name)
        wanted = ViewOptions(self.maker.read(namespace, options), keyring, limits)
        # Keys by identity: a key service need not be hashable. The view holds it, and so its id.
        known_as = (wanted.options, id(keyring), limits)
        try:
            known = self._known.get(known_as)
        except TypeError:
            return self._make(wanted)  # a serializer that is not hashable either
        if known is None or known._core.closed:
            known = self._known[known_as] = self._make(wanted)
        self._known.move_to_end(known_as)
        if len(self._known) > KNOWN_TENANTS:
            self._known.popitem(last=False)
        return known

    def _make(self, wanted: ViewOptions) -> Store:
        view, shares = self.maker.make(self._core, wanted)
        self._living.add(view)
        if not shares:
            self._apart = [each for each in self._apart if not each._core.closed]
            self._apart.append(view)
        return view

    def again(self) -> Store:
        """Another store on the same data, for another event loop."""
        if self._core.closed:
            raise StoreClosedError
        backend = None
        with suppress(NotImplementedError):
            backend = self._core.backend.apart()
            if self._core.is_forked():
                raise WrongLoopError(
                    "what is in memory",
                    whose="the process that this one was forked from",
                    instead="use a place that processes share, such as sqlite:///sessions.db",
                )
        return self.maker.again(self.limits, backend)

    @property
    def limits(self) -> TenantLimits | None:
        """Those of this store, where it is a tenant's."""
        return None if self._core.limits is None else self._core.limits.limits

    async def close(self) -> None:
        """Close all views."""
        async with AsyncExitStack() as last_things:
            for view in [*self._living]:
                last_things.push_async_callback(view.close)

    async def names(self) -> list[str]:
        """See `SessionStore.tenants`."""
        start = start_of_tenants(self._core.options.namespace)
        return sorted({each[len(start) :].partition(".")[0] for each in await _namespaces(self._core)})

    async def delete(self, name: str, *, nested: bool, progress: Progress | None) -> TenantDeletion:
        """See `SessionStore.delete_tenant`."""
        tenant = self.view(name, limits=None, keyring=None, options={})
        own = tenant._core.options.namespace
        views = [tenant]
        if nested:
            for namespace in sorted(set(await _namespaces(tenant._core))):
                view = tenant
                for part in namespace[len(own) + 1 :].split("."):
                    view = view.tenant(part)
                views.append(view)
        removed: Counter[str] = Counter()
        done: list[str] = []

        def so_far() -> TenantDeletion:
            return TenantDeletion(tuple(done), dict(removed))

        # Or it would be written when all else is gone.
        await self._settle({view._core.options.namespace for view in views})
        try:
            for view in views:
                done.append(view._core.options.namespace)
                # What is cached may have a place of its own.
                for core in dict.fromkeys((view._core, view._core.place)):
                    async with aclosing(_erase(core)) as steps:
                        async for step in steps:
                            removed.update(step)
                            if progress is not None:
                                progress(so_far())
        finally:
            self._forget({*done})
        return so_far()

    async def _settle(self, namespaces: set[str]) -> None:
        """Have views of this process write what they hold back."""
        for view in [*self._living]:
            if view._core.options.namespace in namespaces:
                await view._core.settle()
            await view._tenants._settle(namespaces)

    def _forget(self, namespaces: set[str]) -> None:
        """What views of this process knew of what is gone."""
        for view in [*self._living]:
            if view._core.options.namespace in namespaces:
                view._forget()
            view._tenants._forget(namespaces)


async def _namespaces(core: StoreCore) -> list[str]:
    """All namespaces below a store's own that hold anything."""
    found: list[str] = []
    cursor: str | None = None
    await core.ready()
    try:
        while True:
            page_of = partial(core.backend.namespaces, cursor, PAGE)
            page, cursor = await _ask(core, "tenants", page_of)
            found += page
            if cursor is None:
                return found
    except NotImplementedError:
        pass
    raise ConfigurationError(f"the backend {core.backend.name!r} cannot say which tenants there are")


async def _erase(core: StoreCore) -> AsyncGenerator[Mapping[str, int], None]:
    """Remove all that stands in a namespace; what was removed, step by step."""
    await core.ready()
    cursor: str | None = None
    try:
        while True:
            # A step whose answer was lost has removed something that is not counted, and is done again.
            removed, cursor = await _ask(core, "delete_tenant", partial(core.backend.erase, cursor, PAGE))
            yield removed
            if cursor is None:
                return
    except NotImplementedError:
        pass
    raise ConfigurationError(f"the backend {core.backend.name!r} cannot delete a tenant as a whole")


async def _ask(core: StoreCore, operation: str, call: Callable[[], Awaitable[T]]) -> T:
    return await core.retrying.attempt(operation, "", lambda _: call())
