"""Other packages that keep conversations, measured beside the store in the same run.

One file a peer; this module finds those that can be measured here. None of their packages is imported
before a peer is opened.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from miniagent_store.bench.peers.base import Peer, Where
from miniagent_store.bench.peers.google_adk import ADKDatabase, ADKSQLite
from miniagent_store.bench.peers.key_value import KeyValueDisk, KeyValueMemory, KeyValueRedis
from miniagent_store.bench.peers.langchain import LangChainRedis, LangChainSQLite
from miniagent_store.bench.peers.langgraph import LangGraphSQLite
from miniagent_store.bench.peers.llama_index import LlamaIndexRedis, LlamaIndexSQLite
from miniagent_store.bench.peers.openai_agents import OpenAIRedis, OpenAISQLAlchemy, OpenAISQLite
from miniagent_store.bench.peers.whole_thread import WholeThread

_PEERS: tuple[type[Peer], ...] = (
    ADKDatabase,
    ADKSQLite,
    KeyValueDisk,
    KeyValueMemory,
    KeyValueRedis,
    LangChainRedis,
    LangChainSQLite,
    LangGraphSQLite,
    LlamaIndexRedis,
    LlamaIndexSQLite,
    OpenAIRedis,
    OpenAISQLAlchemy,
    OpenAISQLite,
    WholeThread,
)


def available(where: Where) -> list[type[Peer]]:
    """The peers on this kind of place whose packages are installed, in the order of their names."""
    found = [peer for peer in _PEERS if peer.where == where and _installed(peer)]
    return sorted(found, key=lambda peer: peer.name.casefold())


def missing() -> list[tuple[str, str]]:
    """Names of the peers that cannot be measured here, each with what pip installs for it."""
    return [(peer.name, peer.package) for peer in _PEERS if not _installed(peer)]


def versions(peer: type[Peer]) -> dict[str, str]:
    """The versions of a peer's packages, by name.

    Raises:
        PackageNotFoundError: one is not installed.
    """
    return {name: version(name) for name in (each.partition("[")[0] for each in peer.package.split())}


def _installed(peer: type[Peer]) -> bool:
    try:
        return bool(versions(peer)) or not peer.package
    except PackageNotFoundError:
        return False
