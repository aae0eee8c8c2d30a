"""``miniagent-store migrate``."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from miniagent_store.cli.moving.options import file_failures, interruptible
from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.progress_bar import progress_bar
from miniagent_store.cli.settings import json_option, store_options

if TYPE_CHECKING:
    from miniagent_store.moving.migrating import Progress

Until = Literal["caught-up", "interrupted", "equal"]

_PROBLEMS_SHOWN = 20
_BETWEEN_SECONDS = 1.0


@click.command(
    "migrate",
    short_help="Copy all sessions to another store while they are in use.",
    epilog="""\b
Examples:
  miniagent-store migrate sqlite:///team.db redis://localhost:6379/0
  miniagent-store migrate sqlite:///team.db redis://localhost:6379/0 --follow
  miniagent-store migrate sqlite:///team.db redis://localhost:6379/0 --freeze

\b
How to move without losing a message:
  1. migrate FROM TO            copies, and catches up with what changes meanwhile; run it again at will
  2. stop all writers of FROM   or take their right to write; nothing else may be stopped for
  3. migrate FROM TO --freeze   copies the rest, and compares every session on both sides
  4. start the writers with TO

Nobody writes to TO before step 4. What stands in TO and is not this migration's is never changed. After
Ctrl-C, a crash or SIGKILL, run the same command again: its journal knows how far it came.

Exit codes: 0 done, 1 failed, or some sessions could not be copied, 2 misused, 130 interrupted.""",
)
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--until-caught-up",
    "until",
    flag_value="caught-up",
    default=True,
    help="Stop then (the default).",
)
@click.option("--follow", "until", flag_value="interrupted", help="Go on catching up until Ctrl-C.")
@click.option(
    "--freeze", "until", flag_value="equal", help="Writers are stopped: copy the rest, compare all."
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where it notes how far it is; by default a file in your data folder.",
)
@click.option("--sealed", is_flag=True, help="Copy encrypted values as they are, without their keys.")
@json_option
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    target: str,
    until: str,
    journal: Path | None,
    sealed: bool,
    as_json: bool,
) -> None:
    """Copy all sessions FROM one store TO another, both given as URLs, while the first is in use."""
    with interruptible("run the same command again to go on"), file_failures("the journal"):
        done = asyncio.run(_migrate(source, target, cast("Until", until), journal, sealed=sealed))
    if as_json:
        emit_json(done.to_dict())
    else:
        _show(done, frozen=until == "equal")
    ctx.exit(1 if done.problems else 0)


# It is told of two stores, and neither is the one that --store names.
command.params = [each for each in command.params if each.name != "url"]


async def _migrate(
    source_url: str, target_url: str, until: Until, journal_path: Path | None, *, sealed: bool
) -> Progress:
    from miniagent_store.factory import open_store
    from miniagent_store.moving.journal import Journal
    from miniagent_store.moving.migrating import Migration

    source, target = open_store(source_url), open_store(target_url)
    if source.url == target.url:
        raise click.UsageError("FROM and TO are the same store")
    path = journal_path or _default_journal(source.url, target.url)
    async with source, target:
        with Journal(path, source.url, target.url) as journal, progress_bar("copying") as tell:
            migration = Migration(
                source,
                target,
                journal,
                sealed=sealed,
                tell=lambda now: tell(now.sessions, doing=now.doing, total=now.total),
            )
            if until == "equal":
                await migration.finish()
            else:
                await migration.copy()
                await migration.catch_up()
            while until == "interrupted":
                await asyncio.sleep(_BETWEEN_SECONDS)
                await migration.catch_up()
            return migration.progress


def _default_journal(source: str, target: str) -> Path:
    import platformdirs

    name = hashlib.sha256(f"{source}\n{target}".encode()).hexdigest()[:16]
    return platformdirs.user_data_path("miniagent-store") / "migrations" / f"{name}.db"


def _show(done: Progress, *, frozen: bool) -> None:
    line = f"copied {counted(done.copied, 'session')} with {done.entries:,} entries"
    if done.deleted:
        line += f", removed {counted(done.deleted, 'copy')}"
    if frozen:
        click.echo(line)
        if not done.problems:
            click.echo(
                f"equal: {counted(done.verified, 'session')} with {done.verified_entries:,} entries; "
                f"sha256 {done.digest}"
            )
            click.echo("now start the writers with TO")
    else:
        click.echo(f"{line}; caught up")
        if not done.problems:
            click.echo("next: stop the writers of FROM, then run it with --freeze")
    problems = list(done.problems.values())
    for problem in problems[:_PROBLEMS_SHOWN]:
        click.echo(f"not copied: {problem}", err=True)
    if len(problems) > _PROBLEMS_SHOWN:
        click.echo(f"… and {len(problems) - _PROBLEMS_SHOWN} more", err=True)
