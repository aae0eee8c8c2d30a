"""``miniagent-store chat``: talk, and be remembered."""

from __future__ import annotations

import sys

import click

from miniagent_store.cli.failures import tell
from miniagent_store.cli.output import emit_json
from miniagent_store.cli.settings import (
    OpenedStore,
    json_option,
    on_this_store,
    opened_store,
    store_options,
)
from miniagent_store.cli.talk import SHOWN_AT_RESUMING, Talk, answer, ask, describe, leaving, note, talking
from miniagent_store.errors import StoreError

HELP = """\
/history  what was said          /new   start another session
/clear    forget what was said   /quit  leave (so does Ctrl-D)"""


@click.command(
    "chat",
    short_help="Talk with an agent that remembers.",
    epilog="""\b
Examples:
  miniagent-store chat                               a new session
  miniagent-store chat --last                        go on where you left off
  miniagent-store chat 3f9c --once "What did I just say?"
  git diff | miniagent-store chat --model openai:gpt-4o-mini --user ada

SESSION is an id, or its first characters as long as they fit only one. The model "echo" is built in and
works offline; `miniagent-store plugins` shows the others.""",
)
@click.argument("session", required=False)
@click.option("--last", is_flag=True, help="Resume the session that was active last.")
@click.option("--user", metavar="ID", help="Whose session it is; with --last, only this user's.")
@click.option("--model", default="echo", show_default=True, help="Who answers.")
@click.option("--once", metavar="TEXT", help="Say this, print the answer, and leave.")
@json_option
@store_options()
def command(
    session: str | None, last: bool, user: str | None, model: str, once: str | None, as_json: bool
) -> None:
    """Talk with an agent; the conversation is kept, in SESSION if given.

    Without a terminal the message is read from stdin.
    """
    if session is not None and last:
        raise click.UsageError("give a SESSION or --last, not both.")
    message = _only_message(once)
    if as_json and message is None:
        raise click.UsageError("--json needs --once TEXT, or a message on stdin.")
    with opened_store() as opened, talking(opened, model=model, name="chat", user_id=user) as talk:
        _choose(talk, opened, session, last=last, user=user, loudly=message is None)
        if message is None:
            _converse(talk)
            return
        new = talk.session_id is None
        reply = talk.say(message, quiet=as_json)
        if as_json:
            emit_json({"session_id": talk.session_id, "message": message, "answer": reply})
        elif new:
            note(f"session {talk.session_id}")


def _only_message(once: str | None) -> str | None:
    """What to say once; None to converse.

    Raises:
        click.UsageError: there is nothing to say, or it is not text.
    """
    if once is None and sys.stdin.isatty():
        return None
    try:
        text = (sys.stdin.read() if once is None else once).strip()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"what stands on stdin is not text: {error}.") from None
    if not text:
        raise click.UsageError("there is nothing to say: stdin is empty; use --once TEXT.")
    return text


def _choose(
    talk: Talk, opened: OpenedStore, session: str | None, *, last: bool, user: str | None, loudly: bool
) -> None:
    """Resume the session that was asked for, if one was."""
    from miniagent_store.cli.resolve import find_session, last_session

    found = None
    if session is not None:
        found = opened.run(find_session(opened.store, session))
    elif last:
        found = opened.run(last_session(opened.store, user_id=user))
        if found is None:
            note("there is no session yet; this is a new one")
    if found is not None:
        talk.resume(found)
    if not loudly:
        return
    note(f"{describe(found) if found else 'new session'}; /help for help, Ctrl-D leaves")
    if found and found.message_count:
        if found.message_count > SHOWN_AT_RESUMING:
            note(f"… {found.message_count - SHOWN_AT_RESUMING} before")
        talk.show_history(last=SHOWN_AT_RESUMING)


def _converse(talk: Talk) -> None:
    """Ask and answer until the person leaves."""
    with leaving(lambda: _say_how_to_return(talk)):
        while (text := ask("you> ")) is not None and text not in {"/quit", "/exit"}:
            if text:
                turn(talk, text)


def _say_how_to_return(talk: Talk) -> None:
    if talk.session_id is not None:
        note(f"kept; go on with: {on_this_store(f'chat {talk.session_id[:8]}')}")


def turn(talk: Talk, text: str) -> None:
    """One line of a person: a command, or something said."""
    try:
        if text == "/history":
            talk.show_history()
        elif text == "/new":
            talk.begin()
            note("new session")
        elif text == "/clear":
            talk.clear()
            note("forgotten")
        elif text.startswith("/") and " " not in text:
            click.echo(HELP)
        else:
            answer(talk, text, label="agent> ")
    except StoreError as error:
        # The next turn may do better: a server that is away for a moment must not end a conversation.
        tell(error)
