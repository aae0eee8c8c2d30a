"""The contract of a backend, in one place: `contract.py` has its methods, the rest what they are given.

Plugin authors import from here.
"""

from miniagent_store.backend.caching import CacheItem
from miniagent_store.backend.commits import (
    FORGET_WRITER_MS,
    MAX_NOT_AFTER_MS,
    OUTCOME_WINDOW,
    Append,
    Clear,
    Commit,
    CommitIdentity,
    CommitResult,
    Create,
    Expected,
    ExpectedTail,
    Fence,
    LogChange,
    Outcome,
    Redact,
    Rewind,
    StateAdd,
    StateChange,
    StateDelete,
    StateDeletePrefix,
    StateSet,
    Trim,
    Truncate,
)
from miniagent_store.backend.contract import (
    Backend,
    BackendOptions,
    BackendStats,
    Capabilities,
)
from miniagent_store.backend.entry_columns import EntryColumns
from miniagent_store.backend.events import (
    ConnectionEvent,
    ConnectionEventKind,
)
from miniagent_store.backend.leases import (
    LeaseGrant,
    LeaseHeld,
    LeaseRequest,
)
from miniagent_store.backend.rates import (
    RateAlgorithm,
    RateResult,
    RateStep,
)
from miniagent_store.backend.reads import (
    ListQuery,
    ListResult,
    LogRange,
    ReadPlan,
    ReadResult,
    StateScan,
)
from miniagent_store.backend.records import (
    EMPTY_LOG,
    KEPT_EPOCHS,
    LogTail,
    NewEntry,
    Record,
    StoredEntry,
    StoredValue,
)
from miniagent_store.backend.rewriting import (
    EntryRewrite,
    Rewrite,
    RewriteResult,
    ValueRewrite,
)
from miniagent_store.backend.staging import (
    Kept,
    StagePublish,
    StageWrite,
)
from miniagent_store.backend.watching import (
    Change,
    Expired,
    Subscription,
    Topic,
)

__all__ = [
    "EMPTY_LOG",
    "FORGET_WRITER_MS",
    "KEPT_EPOCHS",
    "MAX_NOT_AFTER_MS",
    "OUTCOME_WINDOW",
    "Append",
    "Backend",
    "BackendOptions",
    "BackendStats",
    "CacheItem",
    "Capabilities",
    "Change",
    "Clear",
    "Commit",
    "CommitIdentity",
    "CommitResult",
    "ConnectionEvent",
    "ConnectionEventKind",
    "Create",
    "EntryColumns",
    "EntryRewrite",
    "Expected",
    "ExpectedTail",
    "Expired",
    "Fence",
    "Kept",
    "LeaseGrant",
    "LeaseHeld",
    "LeaseRequest",
    "ListQuery",
    "ListResult",
    "LogChange",
    "LogRange",
    "LogTail",
    "NewEntry",
    "Outcome",
    "RateAlgorithm",
    "RateResult",
    "RateStep",
    "ReadPlan",
    "ReadResult",
    "Record",
    "Redact",
    "Rewind",
    "Rewrite",
    "RewriteResult",
    "StagePublish",
    "StageWrite",
    "StateAdd",
    "StateChange",
    "StateDelete",
    "StateDeletePrefix",
    "StateScan",
    "StateSet",
    "StoredEntry",
    "StoredValue",
    "Subscription",
    "Topic",
    "Trim",
    "Truncate",
    "ValueRewrite",
]
