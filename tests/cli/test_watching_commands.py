"""What `top` and `sessions tail -f` show while others write."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_support import ADA_1, ADA_2, BOB, environment_for, in_store, run, terminal

from miniagent_store import Message, SessionStore


@contextmanager
def following(*arguments: str, store: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which is interrupted at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_for(store),
        # As on a terminal, also where the tests were started in the background, which ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_tail_shows_the_last_messages(store: str) -> None:
    result = run("sessions", "tail", ADA_2, "-n", "2", store=store)

    assert [line.split()[0] for line in result.stdout.splitlines() if line[:4].strip()] == ["4", "5"]


def test_tail_follows_a_session_until_it_is_deleted(store: str) -> None:
    with following("sessions", "tail", ADA_1, "-f", "-n", "1", store=store) as process:
        assert line_of(process).split() == ["2", "assistant", "Hi"]
        in_store(store, lambda opened: opened.append(ADA_1, Message.user("One"), Message.user("Two")))
        assert [line_of(process).split()[2] for _ in range(2)] == ["One", "Two"]

        async def say_more(opened: SessionStore) -> None:
            await opened.pop(ADA_1)
            await opened.append(ADA_1, {"type": "seen"}, log="events")
            await opened.append(ADA_1, Message.user("Three"))

        in_store(store, say_more)
        assert line_of(process).split() == ["4", "user", "Three"]
        in_store(store, lambda opened: opened.delete(ADA_1))

        rest, told = process.communicate(timeout=30)

    assert (process.returncode, rest) == (0, "")
    assert told.splitlines() == ["-- the log was changed from 4 on --", "-- the session was deleted --"]


@pytest.mark.slow
def test_tail_as_json_is_a_document_a_line(store: str) -> None:
    with following("sessions", "tail", ADA_1, "-f", "--json", store=store) as process:
        first = [json.loads(line_of(process)) for _ in range(2)]
        in_store(store, lambda opened: opened.append(ADA_1, Message.user("More")))
        more = json.loads(line_of(process))

        process.send_signal(signal.SIGINT)
        rest, told = process.communicate(timeout=30)

    assert [each["entry"]["seq"] for each in (*first, more)] == [1, 2, 3]
    assert more["entry"]["value"]["content"] == "More"
    assert (process.returncode, rest, told.strip()) == (130, "", "")


@pytest.mark.slow
def test_tail_of_a_user_tells_which_sessions_change(store: str) -> None:
    with following("sessions", "tail", "-f", "--user", "ada", "--json", store=store) as process:
        # Nothing tells when it has begun: write until it sees something.
        found = None
        for number in range(100):
            in_store(store, lambda opened: opened.append(BOB, Message.user("not hers")))
            in_store(store, lambda opened, n=number: opened.append(ADA_1, Message.user(str(n))))
            if _has_output(process, 0.3):
                found = json.loads(line_of(process))
                break

    assert found is not None
    assert (found["session_id"], found["type"]) == (ADA_1, "changed")


def _has_output(process: subprocess.Popen[str], seconds: float) -> bool:
    import select

    return bool(select.select([process.stdout], [], [], seconds)[0])


@pytest.mark.parametrize("arguments", [[], [ADA_1, "-f", "--user", "ada"]])
def test_tail_needs_something_to_follow(store: str, arguments: list[str]) -> None:
    assert run("sessions", "tail", *arguments, store=store).exit_code == 2


def test_top_prints_one_frame(store: str) -> None:
    result = run("top", "--once", "--every", "0.2", store=store)

    assert result.exit_code == 0
    assert "3 of 2 users, 7 messages" in result.stdout
    assert "1 within 1d" in result.stdout
    assert all(line == line.rstrip() for line in result.stdout.splitlines())


@pytest.mark.slow
def test_top_as_json_counts_commits_of_others(store: str) -> None:
    with following("top", "--once", "--json", "--every", "1", store=store) as process:
        while process.poll() is None:
            in_store(store, lambda opened: opened.append(ADA_1, Message.user("again")))
        assert process.stdout is not None
        frame = json.load(process.stdout)

    assert frame["ok"] is True
    assert frame["busiest"][0]["id"] == ADA_1
    assert frame["busiest"][0]["commits"] > 0
    assert frame["read_seconds"]["p50"] > 0


def test_top_on_a_terminal_ends_with_q(store: str) -> None:
    code, shown = terminal(
        "top", "--every", "0.2", store=store, keys=[("sessions", "x"), ("sessions", "q")]
    )

    assert code == 0
    assert "well" in shown
    # The terminal has its own screen, cursor and lines back.
    assert shown.rindex("\x1b[?1049l") > shown.rindex("\x1b[?1049h")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


@pytest.mark.slow
def test_top_on_a_terminal_ends_with_ctrl_c(store: str) -> None:
    code, shown = terminal("top", "--every", "0.2", store=store, keys=[("sessions", "\x03")])

    assert code == 130
    assert "\x1b[?1049l" in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("arguments", [["top"], ["top", "--json"]])
def test_top_needs_a_terminal_or_once(store: str, arguments: list[str]) -> None:
    assert run(*arguments, store=store).exit_code == 2


def test_top_tells_of_a_store_that_is_away() -> None:
    result = run("top", "--once", "--every", "0.2", store="redis://127.0.0.1:1/0")

    assert result.exit_code == 1
    assert re.match("error: .*127.0.0.1:1", result.stderr)
