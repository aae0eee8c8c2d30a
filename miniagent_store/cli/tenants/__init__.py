"""``miniagent-store tenants``: which there are, and the deletion of one."""

from __future__ import annotations

import click

from miniagent_store.cli.lazy import LazyGroup


@click.group(
    cls=LazyGroup,
    homes={
        "list": "miniagent_store.cli.tenants.listing",
        "delete": "miniagent_store.cli.tenants.delete",
    },
    epilog="""\b
Examples:
  miniagent-store --store redis://localhost:6379/0 tenants list
  miniagent-store --store redis://localhost:6379/0 tenants delete acme

\b
Tenants are those of the store: with ?namespace=prod in its URL, those of prod.""",
)
def command() -> None:
    """List the tenants of a store, and delete one."""
