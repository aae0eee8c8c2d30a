"""Other packages that keep conversations, measured beside the store in the same run.

One file a peer; this module finds those that can be imported here.
"""

from __future__ import annotations

from miniagent_store.bench.peers.base import Peer, Where


def available(where: Where) -> list[type[Peer]]:
    """The peers on this kind of place whose packages are installed, in the order of their names."""
    return [peer for peer in _installed() if peer.where == where]


def missing() -> list[tuple[str, str]]:
    """Names of the peers that cannot be measured here, each with what pip installs for it."""
    return []


def _installed() -> list[type[Peer]]:
    return []
