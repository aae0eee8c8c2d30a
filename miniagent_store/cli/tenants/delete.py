"""``tenants delete``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.sessions.confirm import confirmed
from miniagent_store.cli.settings import json_option, opened_store, store_options

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.store.tenants import TenantDeletion

_LINE_EVERY = 10_000


@click.command(
    "delete",
    epilog="""\b
Examples:
  miniagent-store tenants delete acme
  miniagent-store tenants delete acme --nested --yes

Stop its writers first. Cut short, run it again.""",
)
@click.argument("tenant")
@click.option("--nested", is_flag=True, help="The tenants of this tenant too.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, tenant: str, nested: bool, yes: bool, as_json: bool) -> None:
    """Remove all that a tenant holds."""
    with opened_store() as opened:
        view = opened.store.tenant(tenant)
        if not yes:
            sessions = sum(opened.run(view.stats()).sessions.values())
            click.echo(f"{tenant}  {counted(sessions, 'session')}", err=True)
        if not confirmed(f"Delete all that tenant {tenant} holds for good?", yes=yes):
            ctx.exit(1)
        deletion = opened.run(_delete(opened.store, tenant, nested=nested))
    if as_json:
        emit_json(deletion.to_dict())
        return
    items = counted(deletion.items, "item")
    click.echo(f"deleted {tenant}: {counted(deletion.sessions, 'session')}, {items} in all")


async def _delete(store: SessionStore, tenant: str, *, nested: bool) -> TenantDeletion:
    sessions = sum((await store.tenant(tenant).stats()).sessions.values())
    with _progress(sessions) as tell:
        return await store.delete_tenant(tenant, nested=nested, progress=tell)


@contextmanager
def _progress(sessions: int) -> Iterator[Callable[[TenantDeletion], None]]:
    """A bar on a terminal; elsewhere a line now and then."""
    if not sys.stderr.isatty():
        told = 0

        def line(so_far: TenantDeletion) -> None:
            nonlocal told
            if so_far.items >= told + _LINE_EVERY:
                told = so_far.items
                click.echo(f"deleting: {so_far.sessions} sessions, {so_far.items} items", err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("sessions · {task.fields[items]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("deleting", total=sessions or None, items="0 items")
        yield lambda so_far: bar.update(
            task, completed=so_far.sessions, items=counted(so_far.items, "item")
        )
