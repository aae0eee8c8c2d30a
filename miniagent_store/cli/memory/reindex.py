"""``memory reindex``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from miniagent_store.cli.memory.scopes import find_scope, scope_argument
from miniagent_store.cli.output import counted, emit_json
from miniagent_store.cli.progress_bar import Tell, progress_bar
from miniagent_store.cli.settings import json_option, store_options, with_store

if TYPE_CHECKING:
    from miniagent_store.memory_report import Reindexing
    from miniagent_store.store.protocol import SessionStore

_LINE_EVERY = 1000
_STEPS = {
    "reading": "making vectors",
    "following": "following changes",
    "removing": "removing old vectors",
    "done": "done",
}


@click.command(
    "reindex",
    short_help="Make vectors of another model.",
    epilog="""\b
Examples:
  miniagent-store memory reindex ada --embedder openai:text-embedding-3-small
  miniagent-store memory reindex ada --embedder model2vec:./model
  miniagent-store memory reindex ada --embedder hash --again

Agents go on with the old model until all vectors are made; what they add meanwhile is taken along. Then the
new ones come into use at once, and whoever uses the old model is told to use the new one. Cut short, run it
again: it goes on from where it was.""",
)
@scope_argument()
@click.option("--embedder", metavar="NAME", required=True, help="Makes the new vectors.")
@click.option("--again", is_flag=True, help="Also where they are of this model already.")
@json_option
@store_options()
def command(scope: str, embedder: str, again: bool, as_json: bool) -> None:
    """Make vectors of another model for all that is remembered in SCOPE."""

    async def reindex(store: SessionStore) -> Reindexing:
        memory = await find_scope(store, scope)
        memories = (await memory.stats()).memories
        with progress_bar(_STEPS["reading"], memories, "memories") as bar:
            told = _Told(bar, memories)
            return await memory.reindex(embedder, again=again, progress=told)

    done = with_store(reindex)
    if as_json:
        emit_json({"scope": scope, **done.to_dict()})
    elif not done.made and not done.removed:
        click.echo(f"the vectors of {scope} are those of {done.model} already")
    else:
        made, removed = counted(done.made, "vector"), counted(done.removed, "old one")
        click.echo(f"made {made} of {done.model} for {scope}, removed {removed}")


class _Told:
    """A bar on a terminal; elsewhere a line now and then, so that a log shows it is alive."""

    def __init__(self, bar: Tell, memories: int) -> None:
        self._bar, self._memories = bar, memories
        self._line_at = _LINE_EVERY

    def __call__(self, so_far: Reindexing) -> None:
        done = so_far.removed if so_far.step == "removing" else so_far.looked
        # What is added meanwhile is more.
        self._bar(min(done, self._memories), doing=_STEPS[so_far.step], total=self._memories)
        if not sys.stderr.isatty() and so_far.looked + so_far.removed >= self._line_at:
            self._line_at += _LINE_EVERY
            click.echo(
                f"{_STEPS[so_far.step]}: {so_far.looked} of {self._memories} memories, "
                f"{so_far.made} vectors made, {so_far.removed} removed",
                err=True,
            )
