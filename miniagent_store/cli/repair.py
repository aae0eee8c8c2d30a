"""``miniagent-store repair``: find and mend what a crash or an eviction left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.output import counted, emit_json, show_table
from miniagent_store.cli.settings import json_option, opened_store, store_options

if TYPE_CHECKING:
    from miniagent_store.cli.settings import OpenedStore
    from miniagent_store.repair_report import RepairReport
    from miniagent_store.store.protocol import SessionStore

SORTS = {
    "index": "what listings, counts and sweeps go by",
    "expiry": "parts that would vanish before their session, or stay",
    "part": "parts made anew from others",
    "stage": "left by copies that were cut short",
    "orphan": "parts of sessions that are not there",
    "lost": "parts that are gone",
}


@click.command(
    "repair",
    short_help="Find and mend what a crash or an eviction left.",
    epilog="""\b
Examples:
  miniagent-store repair --dry-run         what is wrong
  miniagent-store repair                   mend all that loses nothing
  miniagent-store repair --salvage         and make damaged sessions readable, with what is left of them

Others may read and write meanwhile. Parts of no session are removed: nobody can read them any more.
A session that lacks messages or values raises SessionDamagedError until it is restored from a backup,
salvaged or deleted. Salvaged, its entries that are left are its last ones. What was cut short is finished
by running it again.

Exit codes: 0 nothing is wrong now, 1 something is.""",
)
@click.option("--dry-run", is_flag=True, help="Only tell what is wrong.")
@click.option("--salvage", is_flag=True, help="Let damaged sessions go on with what is left of them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --salvage.")
@json_option
@store_options()
@click.pass_context
def command(ctx: click.Context, dry_run: bool, salvage: bool, yes: bool, as_json: bool) -> None:
    """Find and mend orphans, wrong expiries and drift of indexes."""
    if dry_run and salvage:
        raise click.UsageError("--dry-run changes nothing: leave out --salvage.")
    with opened_store() as opened:
        if salvage:
            from miniagent_store.cli.sessions.confirm import confirmed

            question = "Give up what damaged sessions have lost, and go on with the rest?"
            if not confirmed(question, yes=yes):
                ctx.exit(1)
        report = _repair(opened, salvage=salvage, dry_run=dry_run)
    if as_json:
        emit_json({"dry_run": dry_run, **report.to_dict()})
    else:
        _tell(report, dry_run=dry_run)
    ctx.exit(1 if report.left else 0)


def _repair(opened: OpenedStore, *, salvage: bool, dry_run: bool) -> RepairReport:
    async def run(store: SessionStore) -> RepairReport:
        from miniagent_store.cli.progress_bar import progress_bar

        total = sum((await store.stats()).sessions.values())
        with progress_bar("looking" if dry_run else "repairing", total) as tell:
            return await store.repair(salvage=salvage, dry_run=dry_run, progress=tell)

    try:
        return opened.run(run(opened.store))
    except KeyboardInterrupt:
        told = "nothing was changed" if dry_run else "what is mended is mended: run it again for the rest"
        click.echo(f"stopped; {told}", err=True)
        raise


def _tell(report: RepairReport, *, dry_run: bool) -> None:
    found = report.found.total()
    click.echo(f"looked at {counted(report.sessions, 'session')}: {counted(found, 'fault')} found")
    if not found:
        return
    show_table(
        ["sort", "found", "mended", ""],
        [
            (sort, f"{report.found[sort]:,}", f"{report.mended[sort]:,}", meaning)
            for sort, meaning in SORTS.items()
            if report.found[sort]
        ],
        right=["found", "mended"],
        keep=["sort", "found", "mended"],
    )
    click.echo()
    show_table(
        ["sort", "where", "what", ""],
        [(each.sort, each.where, each.what, "mended" if each.mended else "") for each in report.damages],
        keep=["sort"],
    )
    if found > len(report.damages):
        click.echo(f"… and {found - len(report.damages):,} more", err=True)
    lost = report.found["lost"] - report.mended["lost"]
    if dry_run and found > lost:
        click.echo("`miniagent-store repair` mends it", err=True)
    if lost:
        click.echo(
            "what is lost: restore it from a backup; or `repair --salvage` keeps what is left; "
            "or `sessions delete`",
            err=True,
        )
