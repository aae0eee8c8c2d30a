"""``miniagent-store keys``: make keys, see which are in use, and rotate them."""

from __future__ import annotations

import click

from miniagent_store.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    homes={
        "generate": "miniagent_store.cli.keys.generate",
        "list": "miniagent_store.cli.keys.listing",
        "check": "miniagent_store.cli.keys.check",
        "promote": "miniagent_store.cli.keys.promote",
        "rotate": "miniagent_store.cli.keys.rotate",
    },
    epilog="""\b
Turn encryption on:
  miniagent-store keys generate --file keys.txt
  miniagent-store --store 'sqlite:///team.db?serializer=encrypted&keys=file:keys.txt' keys check

\b
Rotate keys without downtime (running stores follow the file within a second or two):
  miniagent-store keys generate --file keys.txt --label 2027-01    reads only, for now
  miniagent-store keys promote 2027-01 --file keys.txt             now it writes
  miniagent-store --store URL keys rotate                          rewrites what older keys wrote
  miniagent-store --store URL keys check                           says which keys may go""",
)
def command() -> None:
    """Make keys, see which are in use, and rotate them."""
