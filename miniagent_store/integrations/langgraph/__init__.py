"""LangGraph on our stores: checkpoints, long-term memory, cached results of nodes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.integrations.langgraph.importing import ImportProgress as ImportProgress
    from miniagent_store.integrations.langgraph.importing import aimport_checkpoints as aimport_checkpoints
    from miniagent_store.integrations.langgraph.importing import import_checkpoints as import_checkpoints
    from miniagent_store.integrations.langgraph.node_cache import MiniAgentNodeCache as MiniAgentNodeCache
    from miniagent_store.integrations.langgraph.saver import MiniAgentSaver as MiniAgentSaver
    from miniagent_store.integrations.langgraph.store import MiniAgentStore as MiniAgentStore

_MODULES = {
    "ImportProgress": "importing",
    "MiniAgentNodeCache": "node_cache",
    "MiniAgentSaver": "saver",
    "MiniAgentStore": "store",
    "aimport_checkpoints": "importing",
    "import_checkpoints": "importing",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
