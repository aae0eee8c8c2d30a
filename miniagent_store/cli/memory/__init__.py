"""``miniagent-store memory``: what is remembered, and found by meaning."""

from __future__ import annotations

import click

from miniagent_store.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    homes={
        "search": "miniagent_store.cli.memory.search",
        "list": "miniagent_store.cli.memory.listing",
        "stats": "miniagent_store.cli.memory.stats",
        "forget": "miniagent_store.cli.memory.forget",
        "reindex": "miniagent_store.cli.memory.reindex",
    },
    epilog="""\b
Examples:
  miniagent-store memory list                                  the scopes there are
  miniagent-store memory search ada 'what is the dog called?'
  miniagent-store memory stats ada
  miniagent-store memory forget ada --yes
  miniagent-store memory reindex ada --embedder openai:text-embedding-3-small

A SCOPE is what `store.memory(scope)` was given: a user, an agent, or several joined.""",
)
def command() -> None:
    """Search, list, count and forget memories, and give them vectors of another model."""
