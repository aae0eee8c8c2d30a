"""``miniagent-store demo --interactive``: the menu of the demo that this project grew from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from miniagent_store.cli.failures import tell
from miniagent_store.cli.output import counted
from miniagent_store.cli.settings import OpenedStore, opened_store
from miniagent_store.cli.talk import Talk, answer, ask, leaving, note, talking
from miniagent_store.errors import StoreError

if TYPE_CHECKING:
    from miniagent_store.values import Session

SHOWN = 3
HELP = """\
  new              start a new session
  list             the last sessions
  resume <prefix>  go on with a session; its first characters are enough
  history          what was said in this session
  clear            forget what was said in this session
  help             this
  quit, exit       leave; everything is saved already
Anything else is said to the agent."""


def run_menu(model: str) -> None:
    """Talk until the person leaves."""
    with opened_store() as opened, talking(opened, model=model, name="demo", user_id="demo") as talk:
        click.echo(f"Sessions are kept in {opened.store.url}\n")
        with leaving(lambda: _say_how_to_return(talk)):
            _list(opened)
            first = ask('\nType "resume <prefix>", or press Enter for a new session: ')
            if first == "":
                click.echo('A new session. Say something, or "help".')
            line = first
            while line is not None and line not in {"quit", "exit"}:
                _do(talk, opened, line)
                line = ask("\nYou: ")


def _say_how_to_return(talk: Talk) -> None:
    # Nothing is left to be saved, at Ctrl-C neither: each turn was, when its answer was complete.
    if talk.session_id is not None:
        note(f"Saved. Come back with: resume {talk.session_id[:8]}")


def _do(talk: Talk, opened: OpenedStore, line: str) -> None:
    word, _, rest = line.partition(" ")
    try:
        if not line:
            return
        if word == "resume" and rest:
            _resume(talk, opened, rest.strip())
        elif line == "new":
            talk.begin()
            click.echo("A new session. Say something.")
        elif line == "list":
            _list(opened)
        elif line == "history":
            talk.show_history()
        elif line == "clear":
            talk.clear()
            click.echo("Forgotten.")
        elif line in {"help", "?", "resume"}:
            click.echo(HELP)
        else:
            answer(talk, line, label="Agent: ")
    except StoreError as error:
        tell(error)


def _list(opened: OpenedStore) -> None:
    page = opened.run(opened.store.list(limit=SHOWN))
    if not page.items:
        click.echo("No sessions yet.")
        return
    click.echo("The last sessions:")
    for session in page:
        click.echo(f"  {_line(session)}")


def _line(session: Session) -> str:
    created = f"{session.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
    return f"{session.id[:8]}  {counted(session.message_count, 'message'):>12}  {created}"


def _resume(talk: Talk, opened: OpenedStore, prefix: str) -> None:
    from miniagent_store.cli.resolve import find_session

    session = opened.run(find_session(opened.store, prefix))
    talk.resume(session)
    click.echo(f"Resumed {_line(session)}")
    talk.show_history(last=2)
