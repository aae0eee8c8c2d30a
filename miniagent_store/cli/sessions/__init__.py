"""``miniagent-store sessions``: look at what is stored, and tidy up."""

from __future__ import annotations

import click

from miniagent_store.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    homes={
        "list": "miniagent_store.cli.sessions.listing",
        "show": "miniagent_store.cli.sessions.show",
        "history": "miniagent_store.cli.sessions.history",
        "tail": "miniagent_store.cli.sessions.tail",
        "search": "miniagent_store.cli.sessions.search",
        "fork": "miniagent_store.cli.sessions.fork",
        "rewind": "miniagent_store.cli.sessions.rewind",
        "touch": "miniagent_store.cli.sessions.touch",
        "clear": "miniagent_store.cli.sessions.clear",
        "delete": "miniagent_store.cli.sessions.delete",
    },
    epilog="""\b
Examples:
  miniagent-store sessions list --user ada
  miniagent-store sessions history 3f9c
  miniagent-store sessions tail 3f9c -f
  miniagent-store sessions search refund --since 7d
  miniagent-store sessions delete 3f9c21ab --yes

A session may be given by the first characters of its id, as long as they fit only one.""",
)
def command() -> None:
    """List, show, follow, search, copy, take back, renew, clear and delete sessions."""
