"""``miniagent-store import``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

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

if TYPE_CHECKING:
    from miniagent_store.moving.importing import Imported, OnConflict
    from miniagent_store.moving.whole import WholeSession
    from miniagent_store.store.protocol import SessionStore

_PROBLEMS_SHOWN = 20


@click.command(
    "import",
    short_help="Write the sessions of an archive into the store.",
    epilog="""\b
Examples:
  miniagent-store --store redis://localhost:6379/0 import sessions.jsonl.gz
  miniagent-store import sessions.jsonl --verify        read each back and compare
  miniagent-store import ada.jsonl --on-conflict skip   leave what is there
  miniagent-store import --from-seed redis://localhost:6379/0   MiniAgent's own data of old

Each session appears whole or not at all, with its ids, sequences, versions, times and expiry; its
incarnation is a new one. Cut short, run it again: what is there already, and the same, is only looked at.

Exit codes: 0 done, 1 failed, or some sessions could not be written, 2 misused, 130 interrupted.""",
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--from-seed",
    metavar="URL",
    help="Read what MiniAgent's own classes wrote to a Redis: session:, thread: and metadata: keys.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["fail", "skip", "replace"]),
    default="fail",
    show_default=True,
    help="What to do where another session has the id.",
)
@filter_options
@click.option("--verify", is_flag=True, help="Read each session back and compare it.")
@click.option("--sealed", is_flag=True, help="Take values that this store has no keys or codecs for.")
@json_option
@store_options()
@click.pass_context
def command(
    ctx: click.Context,
    file: str | None,
    from_seed: str | None,
    on_conflict: str,
    user: str | None,
    agent: str | None,
    kind: str | None,
    tags: tuple[str, ...],
    since: str | None,
    verify: bool,
    sealed: bool,
    as_json: bool,
) -> None:
    """Write the sessions of FILE, or of stdin ("-"), into the store."""
    if (file is None) == (from_seed is None):
        raise click.UsageError("name an archive, or --from-seed and a URL, and not both")
    filters = filters_of(user, agent, kind, tags, since)

    async def work(store: SessionStore) -> Imported:
        from miniagent_store.moving.importing import Import

        with _source(store, file, from_seed) as source, progress_bar("importing") as tell:
            job = Import(
                store,
                source.namespace,
                on_conflict=cast("OnConflict", on_conflict),
                sealed=sealed,
                verify=verify,
            )
            done = await job.run(source.sessions, filters, tell)
            done.problems[:0] = source.problems
            return done

    with interruptible("run it again to do the rest"), file_failures(file or "the seed's data"):
        done = with_store(work)
    if as_json:
        emit_json(done.to_dict())
    else:
        _show(done)
    ctx.exit(1 if done.problems else 0)


@dataclass(frozen=True)
class _Source:
    sessions: AsyncIterator[WholeSession]
    namespace: str
    problems: list[str]


@contextmanager
def _source(store: SessionStore, file: str | None, from_seed: str | None) -> Iterator[_Source]:
    if from_seed is not None:
        from miniagent_store.moving.seed import SeedData

        seed = SeedData(from_seed, store)
        yield _Source(seed.sessions(), "", seed.problems)
        return
    from miniagent_store.moving.archive import ArchiveReader
    from miniagent_store.moving.frames import read_lines
    from miniagent_store.moving.importing import archived

    with _opened(str(file)) as stream:
        reader = ArchiveReader(read_lines(stream))
        yield _Source(archived(reader), reader.header.namespace, [])


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    with open(file, "rb") as stream:
        yield stream


def _show(done: Imported) -> None:
    parts = [f"imported {counted(done.written, 'session')} with {done.entries:,} entries"]
    if done.replaced:
        parts.append(f"{done.replaced:,} of them in the place of another")
    if done.unchanged:
        parts.append(f"{done.unchanged:,} were there already")
    if done.skipped:
        parts.append(f"{done.skipped:,} skipped, since another has the id")
    if done.expired:
        parts.append(f"{done.expired:,} had expired")
    click.echo("; ".join(parts))
    for problem in done.problems[:_PROBLEMS_SHOWN]:
        click.echo(f"not imported: {problem}", err=True)
    if len(done.problems) > _PROBLEMS_SHOWN:
        click.echo(f"… and {len(done.problems) - _PROBLEMS_SHOWN} more", err=True)
