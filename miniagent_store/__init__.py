"""miniagent-store: the session store that AI agents run on.

Everything public is named here and imported when it is first used, so that importing this package costs
next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.agent.compaction import Compaction
    from miniagent_store.agent.config import AgentConfig
    from miniagent_store.agent.context_window import ContextWindow
    from miniagent_store.agent.memory.agent_memory import AgentMemory
    from miniagent_store.agent.tool_calls import ToolCall
    from miniagent_store.agent.tools import Tool, ToolContext, tool
    from miniagent_store.backend import Backend
    from miniagent_store.blocking import open_store_sync
    from miniagent_store.codec.chain import Chain
    from miniagent_store.errors import (
        AccessDeniedError,
        ArchiveError,
        BackendUnavailableError,
        CapacityError,
        ConfigurationError,
        ContextTooLargeError,
        CryptoError,
        DecodeError,
        DurabilityError,
        EmbedderUnavailableError,
        EmbeddingError,
        EncodeError,
        FencedError,
        IdempotencyConflictError,
        InvalidArgumentError,
        KeyNotFoundError,
        KeyProviderError,
        LockLostError,
        LockTimeoutError,
        MissingExtraError,
        OutcomeUnknownError,
        PluginError,
        RateLimitedError,
        SerializationError,
        SessionDamagedError,
        SessionExistsError,
        SessionNotFoundError,
        SessionReplacedError,
        SessionTooLargeError,
        StateTypeError,
        StoreClosedError,
        StoreError,
        TamperedError,
        TenantInUseError,
        TenantLimitError,
        ToolLoopError,
        VersionConflictError,
        VetoedError,
        WrongLoopError,
    )
    from miniagent_store.factory import open_store
    from miniagent_store.hookspecs import hookimpl, hookspec
    from miniagent_store.ids import join_id
    from miniagent_store.keys.key import Key
    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.keys.provider import KeyProvider, WrappedKey
    from miniagent_store.operation import AgentOperation, Operation
    from miniagent_store.provider import Provider
    from miniagent_store.reencryption import Reencryption, WrittenWith
    from miniagent_store.repair_report import Damage, RepairReport
    from miniagent_store.serializer import (
        Context,
        KeyedLayer,
        Layer,
        Limits,
        NamedSerializer,
        Serializer,
    )
    from miniagent_store.store.batch import Batch
    from miniagent_store.store.leases import Lease
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.store.tenant_limits import TenantLimits
    from miniagent_store.store.tenants import TenantDeletion
    from miniagent_store.store.turn import Turn
    from miniagent_store.usage_report import Usage, UsageReport, UsageRow
    from miniagent_store.values import (
        BatchResult,
        Entry,
        Finding,
        Health,
        Latency,
        Memory,
        MemoryPage,
        MemorySource,
        Message,
        Page,
        Position,
        RateLimit,
        Session,
        SessionEvent,
        Snapshot,
        StateItem,
        Stats,
    )

    __version__: str

_HOMES = {
    "miniagent_store.agent.compaction": ("Compaction",),
    "miniagent_store.agent.config": ("AgentConfig",),
    "miniagent_store.agent.context_window": ("ContextWindow",),
    "miniagent_store.agent.memory.agent_memory": ("AgentMemory",),
    "miniagent_store.agent.tool_calls": ("ToolCall",),
    "miniagent_store.agent.tools": ("Tool", "ToolContext", "tool"),
    "miniagent_store.backend": ("Backend",),
    "miniagent_store.blocking": ("open_store_sync",),
    "miniagent_store.codec.chain": ("Chain",),
    "miniagent_store.errors": (
        "AccessDeniedError",
        "ArchiveError",
        "BackendUnavailableError",
        "CapacityError",
        "ConfigurationError",
        "ContextTooLargeError",
        "CryptoError",
        "DecodeError",
        "DurabilityError",
        "EmbedderUnavailableError",
        "EmbeddingError",
        "EncodeError",
        "FencedError",
        "IdempotencyConflictError",
        "InvalidArgumentError",
        "KeyNotFoundError",
        "KeyProviderError",
        "LockLostError",
        "LockTimeoutError",
        "MissingExtraError",
        "OutcomeUnknownError",
        "PluginError",
        "RateLimitedError",
        "SerializationError",
        "SessionDamagedError",
        "SessionExistsError",
        "SessionNotFoundError",
        "SessionReplacedError",
        "SessionTooLargeError",
        "StateTypeError",
        "StoreClosedError",
        "StoreError",
        "TamperedError",
        "TenantInUseError",
        "TenantLimitError",
        "ToolLoopError",
        "VersionConflictError",
        "VetoedError",
        "WrongLoopError",
    ),
    "miniagent_store.factory": ("open_store",),
    "miniagent_store.provider": ("Provider",),
    "miniagent_store.reencryption": ("Reencryption", "WrittenWith"),
    "miniagent_store.repair_report": ("Damage", "RepairReport"),
    "miniagent_store.hookspecs": (
        "hookimpl",
        "hookspec",
    ),
    "miniagent_store.ids": ("join_id",),
    "miniagent_store.keys.key": ("Key",),
    "miniagent_store.keys.keyring": ("Keyring",),
    "miniagent_store.keys.provider": ("KeyProvider", "WrappedKey"),
    "miniagent_store.operation": ("AgentOperation", "Operation"),
    "miniagent_store.serializer": (
        "Context",
        "KeyedLayer",
        "Layer",
        "Limits",
        "NamedSerializer",
        "Serializer",
    ),
    "miniagent_store.store.batch": ("Batch",),
    "miniagent_store.store.leases": ("Lease",),
    "miniagent_store.store.protocol": ("SessionStore",),
    "miniagent_store.store.tenant_limits": ("TenantLimits",),
    "miniagent_store.store.tenants": ("TenantDeletion",),
    "miniagent_store.store.turn": ("Turn",),
    "miniagent_store.usage_report": ("Usage", "UsageReport", "UsageRow"),
    "miniagent_store.values": (
        "BatchResult",
        "Entry",
        "Finding",
        "Health",
        "Latency",
        "Memory",
        "MemoryPage",
        "MemorySource",
        "Message",
        "Page",
        "Position",
        "RateLimit",
        "Session",
        "SessionEvent",
        "Snapshot",
        "StateItem",
        "Stats",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccessDeniedError",
    "AgentConfig",
    "AgentMemory",
    "AgentOperation",
    "ArchiveError",
    "Backend",
    "BackendUnavailableError",
    "Batch",
    "BatchResult",
    "CapacityError",
    "Chain",
    "Compaction",
    "ConfigurationError",
    "Context",
    "ContextTooLargeError",
    "ContextWindow",
    "CryptoError",
    "Damage",
    "DecodeError",
    "DurabilityError",
    "EmbedderUnavailableError",
    "EmbeddingError",
    "EncodeError",
    "Entry",
    "FencedError",
    "Finding",
    "Health",
    "IdempotencyConflictError",
    "InvalidArgumentError",
    "Key",
    "KeyNotFoundError",
    "KeyProvider",
    "KeyProviderError",
    "KeyedLayer",
    "Keyring",
    "Latency",
    "Layer",
    "Lease",
    "Limits",
    "LockLostError",
    "LockTimeoutError",
    "Memory",
    "MemoryPage",
    "MemorySource",
    "Message",
    "MissingExtraError",
    "NamedSerializer",
    "Operation",
    "OutcomeUnknownError",
    "Page",
    "PluginError",
    "Position",
    "Provider",
    "RateLimit",
    "RateLimitedError",
    "Reencryption",
    "RepairReport",
    "SerializationError",
    "Serializer",
    "Session",
    "SessionDamagedError",
    "SessionEvent",
    "SessionExistsError",
    "SessionNotFoundError",
    "SessionReplacedError",
    "SessionStore",
    "SessionTooLargeError",
    "Snapshot",
    "StateItem",
    "StateTypeError",
    "Stats",
    "StoreClosedError",
    "StoreError",
    "TamperedError",
    "TenantDeletion",
    "TenantInUseError",
    "TenantLimitError",
    "TenantLimits",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolLoopError",
    "Turn",
    "Usage",
    "UsageReport",
    "UsageRow",
    "VersionConflictError",
    "VetoedError",
    "WrappedKey",
    "WrittenWith",
    "WrongLoopError",
    "hookimpl",
    "hookspec",
    "join_id",
    "open_store",
    "open_store_sync",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        # Written in pyproject.toml only, and read from what was installed.
        return version("miniagent-store")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
