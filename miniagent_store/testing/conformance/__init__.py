"""Every promise of a session store, as a test that any backend can be pointed at."""

from __future__ import annotations

import pytest

from miniagent_store.testing.conformance.base import ConformanceBase, backend_of, eventually
from miniagent_store.testing.conformance.cache_bounds import CacheBoundPromises
from miniagent_store.testing.conformance.cached_functions import CachedFunctionPromises
from miniagent_store.testing.conformance.caching import CachePromises
from miniagent_store.testing.conformance.changes import ChangePromises
from miniagent_store.testing.conformance.commits import CommitPromises
from miniagent_store.testing.conformance.concurrency import ConcurrencyPromises
from miniagent_store.testing.conformance.conditions import ConditionPromises
from miniagent_store.testing.conformance.counters import CounterPromises
from miniagent_store.testing.conformance.data_keys import DataKeyPromises
from miniagent_store.testing.conformance.expiry import ExpiryPromises
from miniagent_store.testing.conformance.forking import ForkPromises
from miniagent_store.testing.conformance.identity import IdentityPromises
from miniagent_store.testing.conformance.kv import KeyValuePromises
from miniagent_store.testing.conformance.leases import LeasePromises
from miniagent_store.testing.conformance.limits import LimitPromises
from miniagent_store.testing.conformance.lines import LinePromises
from miniagent_store.testing.conformance.listing import ListingPromises
from miniagent_store.testing.conformance.locks import LockPromises
from miniagent_store.testing.conformance.logs import LogPromises
from miniagent_store.testing.conformance.message_ids import MessageIdPromises
from miniagent_store.testing.conformance.positions import PositionPromises
from miniagent_store.testing.conformance.ranges import RangePromises
from miniagent_store.testing.conformance.replacing import ReplacePromises
from miniagent_store.testing.conformance.rewriting import RewritingPromises
from miniagent_store.testing.conformance.rewriting_beside import RewriteBesidePromises
from miniagent_store.testing.conformance.rewriting_bytes import RewriteBytesPromises
from miniagent_store.testing.conformance.running import RunningPromises
from miniagent_store.testing.conformance.sessions import SessionPromises
from miniagent_store.testing.conformance.staging import StagingPromises
from miniagent_store.testing.conformance.state import StatePromises
from miniagent_store.testing.conformance.tenants import TenantPromises
from miniagent_store.testing.conformance.turns import TurnPromises
from miniagent_store.testing.conformance.usage import UsagePromises
from miniagent_store.testing.conformance.walking import WalkPromises
from miniagent_store.testing.conformance.watching import WatchPromises

__all__ = ["ConformanceBase", "StoreConformance", "backend_of", "eventually"]


# The loop's scope is fixed: a store belongs to one loop, and the author's settings may say another.
@pytest.mark.asyncio(loop_scope="function")
class StoreConformance(
    SessionPromises,
    LogPromises,
    RangePromises,
    RewritingPromises,
    ReplacePromises,
    PositionPromises,
    StatePromises,
    CounterPromises,
    KeyValuePromises,
    ConditionPromises,
    CommitPromises,
    IdentityPromises,
    MessageIdPromises,
    TurnPromises,
    LockPromises,
    LeasePromises,
    LinePromises,
    ListingPromises,
    ExpiryPromises,
    WatchPromises,
    ChangePromises,
    ForkPromises,
    StagingPromises,
    CachePromises,
    CacheBoundPromises,
    CachedFunctionPromises,
    LimitPromises,
    RewriteBytesPromises,
    RewriteBesidePromises,
    DataKeyPromises,
    WalkPromises,
    ConcurrencyPromises,
    TenantPromises,
    RunningPromises,
    UsagePromises,
):
    """All promises. Subclass it as ``Test…`` and give a fixture `store_url`.

    What a backend declares in its `capabilities` decides which tests apply; the others are skipped.
    Each test has a namespace of its own, so one server may serve them all.

    Example:
        >>> class TestMyBackend(StoreConformance):
        ...     @pytest.fixture
        ...     def store_url(self, tmp_path):
        ...         return f"folder://{tmp_path}"
    """
