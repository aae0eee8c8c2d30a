"""``miniagent-store plugins``: who brought what, and how to bring something yourself."""

from __future__ import annotations

import click

from miniagent_store.cli.lazy import LazyGroup
from miniagent_store.cli.settings import json_option, store_options


@click.group(
    "plugins",
    cls=LazyGroup,
    homes={
        "list": "miniagent_store.cli.plugins.listing",
        "new": "miniagent_store.cli.plugins.new",
    },
    invoke_without_command=True,
    short_help="Show who brought what, and what is broken; write a new one.",
    epilog="""\b
Examples:
  miniagent-store plugins
  miniagent-store plugins --json | jq '.plugins[] | select(.problem)'
  miniagent-store plugins new backend etcd

A plugin is a module under the entry-point group "miniagent_store"; `pip install` is all it takes.""",
)
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show the plugins: backends, serializers, layers, models, and what is wrong with broken ones."""
    if ctx.invoked_subcommand is None:
        from miniagent_store.cli.plugins.listing import command as listing

        ctx.invoke(listing, as_json=as_json)
