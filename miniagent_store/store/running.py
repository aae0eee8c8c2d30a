"""How a store is and what it holds; a sick server is told, not raised."""

from __future__ import annotations

import time
from dataclasses import replace

from miniagent_store.errors import StoreClosedError, StoreError, WrongLoopError
from miniagent_store.store.cache_place import CachePlace
from miniagent_store.store.core import StoreCore
from miniagent_store.store.examining import SAMPLE, examine
from miniagent_store.store.observing import measured
from miniagent_store.values import Finding, Health, Stats


async def health(core: StoreCore, *, deep: bool = False) -> Health:
    """See `SessionStore.health`."""
    name = core.backend.name
    try:
        await core.ready()
        started = time.perf_counter()
        details = await core.backend.ping()
        latency = time.perf_counter() - started
        findings = tuple(await (examine(core, SAMPLE) if deep else core.backend.findings()))
    except (StoreClosedError, WrongLoopError):
        raise
    except StoreError as error:
        finding = Finding.of(error, "connection")
        return Health(False, name, problems=(str(error),), findings=(finding,))
    problems = tuple(str(finding) for finding in findings if finding.level == "error")
    return Health(not problems, name, latency, problems, details, findings)


async def stats(core: StoreCore, place: CachePlace) -> Stats:
    """See `SessionStore.stats`."""
    own = Stats(
        commits=core.commits,
        retries=core.retrying.retries,
        cache_hits=place.hits,
        cache_misses=place.misses,
        **measured(core),
    )
    try:
        await core.ready()
        held = await core.backend.stats()
    except (StoreClosedError, WrongLoopError):
        raise
    except StoreError as error:
        return replace(own, problem=str(error))
    return replace(
        own,
        sessions=dict(held.sessions),
        messages=held.messages,
        size=held.size,
        users=held.users,
        agents=dict(held.agents),
    )
