"""``miniagent-store export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.moving.options import (
    file_failures,
    filter_options,
    filters_of,
    interruptible,
)
from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.progress_bar import progress_bar
from miniagent_store.cli.settings import json_option, store_options, with_store
from miniagent_store.errors import StoreError

if TYPE_CHECKING:
    from miniagent_store.moving.exporting import Export
    from miniagent_store.store.protocol import SessionStore


@click.command(
    "export",
    short_help="Write sessions into an archive.",
    epilog="""\b
Examples:
  miniagent-store export sessions.jsonl.gz            everything, compressed (.gz or .zst)
  miniagent-store export sessions.jsonl.gz --resume   go on after Ctrl-C or a crash
  miniagent-store export ada.jsonl --user ada --plain  readable by any program, decrypted
  miniagent-store export - --since 7d | ssh backup 'cat > week.jsonl'

Without --plain values stay the bytes that are stored: what is encrypted stays so, and no key is needed.
Each session is as of one moment; sessions that change meanwhile are in it as they were when they were read.
docs/moving.md describes the format.

Exit codes: 0 done, 1 failed, or some sessions could not be read, 2 misused, 130 interrupted.""",
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@filter_options
@click.option("--plain", is_flag=True, help="Values as JSON, decrypted with the store's keys.")
@click.option("--resume", is_flag=True, help="Go on with a file that was cut off.")
@json_option
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    file: str,
    user: str | None,
    agent: str | None,
    kind: str | None,
    tags: tuple[str, ...],
    since: str | None,
    plain: bool,
    resume: bool,
    as_json: bool,
) -> None:
    """Write all sessions, or some of them, into FILE, or to stdout ("-").

    Conversations, keys and values, and whatever else is stored under a session's id; not what is cached.
    """
    filters = filters_of(user, agent, kind, tags, since)
    to_stdout = file == "-"
    if to_stdout and (resume or as_json):
        raise click.UsageError("--resume and --json need a file to export to")

    async def export(store: SessionStore) -> Export:
        from miniagent_store.moving.exporting import Export

        total = sum((await store.stats()).sessions.values())
        job = Export(store, filters, plain=plain)
        with progress_bar("exporting", total) as tell:
            if to_stdout:
                await job.to_stream(sys.stdout.buffer, tell)
            else:
                await job.to_file(Path(file), tell, resume=resume)
        return job

    advice = "what was written is no whole archive" if to_stdout else "go on with --resume"
    with interruptible(advice), file_failures(file):
        try:
            job = with_store(export)
        except FileExistsError:
            raise StoreError(f"{file} is there already; go on with --resume, or name another") from None
    totals = job.totals
    if as_json:
        emit_json({**totals.to_dict(), "problems": job.problems})
    else:
        click.echo(
            f"exported {counted(totals.sessions, 'session')} with {totals.entries:,} entries and "
            f"{totals.values:,} values; sha256 {totals.to_dict()['sha256']}",
            err=to_stdout,
        )
        for problem in job.problems:
            click.echo(f"not exported: {problem}", err=True)
    ctx.exit(1 if job.problems else 0)
