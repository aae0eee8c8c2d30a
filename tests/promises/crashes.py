"""What the crash tests share: start an appender, kill it, and look at what is stored."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from miniagent_store import SessionStore
from miniagent_store.values import Entry

APPENDER = Path(__file__).with_name("appender.py")


def start_appender(
    url: str, session_id: str, *, tasks: int, turns: int | None = None
) -> subprocess.Popen[str]:
    """A process that appends and prints what was acknowledged."""
    arguments = [sys.executable, str(APPENDER), url, session_id, str(tasks)]
    if turns is not None:
        arguments.append(str(turns))
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_in_full_flight(process: subprocess.Popen[str], chance: random.Random) -> list[str]:
    """SIGKILL after a random number of acknowledgements; what was acknowledged."""
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(chance.randint(1, 120))]
    process.kill()
    # Not by communicate, which passes over the lines that readline has read ahead.
    rest = process.stdout.read()
    _, errors = process.communicate()
    assert acknowledged[-1], errors
    return [*acknowledged, *rest.split()]


async def read_all(store: SessionStore, session_id: str, after: int = 0) -> list[Entry]:
    """All entries after a sequence."""
    return await store.entries(session_id, after=after)


def check_turns(entries: list[Entry], acknowledged: set[str], *, first_seq: int = 1) -> None:
    """Every acknowledged turn is there, whole and once; sequences have no holes."""
    assert [entry.seq for entry in entries] == [*range(first_seq, first_seq + len(entries))]
    questions = [entry.value["content"] for entry in entries[::2]]
    answers = [entry.value["content"] for entry in entries[1::2]]
    assert [f"{text[:-1]}!" for text in questions] == answers, "a turn is torn or interleaved"
    names = [text[:-1] for text in questions]
    assert len(names) == len(set(names)), "a turn is stored twice"
    assert acknowledged <= set(names), "an acknowledged turn is lost"
