"""What `chat` promises."""

from __future__ import annotations

import json
import re

import pytest
from cli_support import ADA_1, ESCAPE, run, run_json, run_process, terminal


def said(store: str, session_id: str) -> list[str]:
    document = run_json("sessions", "history", session_id, store=store)
    return [each["value"]["content"] for each in document["entries"]]


def test_what_one_process_heard_another_remembers(empty: str) -> None:
    first = run_process("chat", "--once", "My cat is called Otto", "--json", store=empty)
    session_id = json.loads(first.stdout)["session_id"]

    second = run_process("chat", session_id[:8], "--once", "What did I just say?", store=empty)

    assert second.returncode == 0, second.stderr
    assert "My cat is called Otto" in second.stdout
    assert second.stderr == ""


def test_last_goes_on_with_the_most_recent_session(empty: str) -> None:
    run("chat", "--once", "Good morning", store=empty)

    run("chat", "--last", "--once", "Good night", store=empty)

    (session,) = run_json("sessions", "list", store=empty)["items"]
    assert session["message_count"] == 4
    assert session["agent"] == "chat"


def test_last_of_a_user_leaves_those_of_others_alone(store: str) -> None:
    document = run_json("chat", "--last", "--user", "ada", "--once", "Hello again", store=store)

    assert document["session_id"].startswith("aaaa")


def test_last_without_any_session_starts_one_and_says_so(empty: str) -> None:
    result = run("chat", "--last", "--once", "Hello", store=empty)

    assert result.exit_code == 0
    assert result.stderr.startswith("there is no session yet")


def test_a_pipe_is_one_message(empty: str) -> None:
    result = run("chat", "--user", "ada", store=empty, stdin="first line\nsecond line\n")

    (session,) = run_json("sessions", "list", "--user", "ada", store=empty)["items"]
    assert result.stderr == f"session {session['id']}\n"
    assert said(store=empty, session_id=session["id"]) == [
        "first line\nsecond line",
        result.stdout.rstrip("\n"),
    ]


def test_a_pipe_gets_the_answer_and_nothing_else(store: str) -> None:
    result = run_process("chat", ADA_1, "--once", f"ring {ESCAPE}]0;title\x07", store=store)

    assert result.returncode == 0, result.stderr
    assert ESCAPE not in result.stdout
    assert "\x07" not in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [["--once", "  "], [ADA_1, "--last", "--once", "x"], []],
    ids=["nothing to say", "two sessions", "empty stdin"],
)
def test_misuse_is_2_and_stores_nothing(empty: str, arguments: list[str]) -> None:
    assert run("chat", *arguments, store=empty).exit_code == 2
    assert run_json("sessions", "list", store=empty)["items"] == []


def test_an_unknown_session_fails_and_makes_none(empty: str) -> None:
    result = run("chat", "zzzz", "--once", "Hello", store=empty)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no session 'zzzz'")
    assert run_json("sessions", "list", store=empty)["items"] == []


def test_an_unknown_model_fails_in_one_line(empty: str) -> None:
    result = run("chat", "--model", "ecko", "--once", "Hello", store=empty)

    assert (result.exit_code, result.stdout) == (1, "")
    assert re.match(r"error: unknown model 'ecko'.*did you mean 'echo'", result.stderr)
    assert result.stderr.count("\n") == 1


def test_on_a_terminal_it_converses_until_ctrl_d(empty: str) -> None:
    code, shown = terminal(
        "chat",
        store=empty,
        keys=[
            ("you> ", "Hello there\n"),
            ("you> ", "/history\n"),
            ("you> ", "/nonsense\n"),
            ("you> ", "/new\n"),
            ("you> ", "Another\n"),
            ("you> ", "\x04"),
        ],
    )

    assert code == 0, shown
    assert "Ctrl-D leaves" in shown
    assert "/quit" in shown
    assert "kept; go on with: miniagent-store chat" in shown
    assert [each["message_count"] for each in run_json("sessions", "list", store=empty)["items"]] == [2, 2]


def test_looking_in_leaves_no_session_behind(empty: str) -> None:
    code, shown = terminal("chat", store=empty, keys=[("you> ", "/history\n"), ("you> ", "/quit\n")])

    assert code == 0, shown
    assert run_json("sessions", "list", store=empty)["items"] == []


def test_ctrl_c_at_the_prompt_leaves_quietly_with_130(store: str) -> None:
    code, shown = terminal("chat", ADA_1, store=store, keys=[("you> ", "\x03")])

    assert code == 130
    assert "Traceback" not in shown
    assert "Hello" in shown, "the last messages are shown at resuming"


@pytest.mark.usefixtures("acme")
def test_ctrl_c_stops_an_answer_and_not_the_conversation(store: str) -> None:
    code, shown = terminal(
        *("chat", ADA_1, "--model", "endless"),
        store=store,
        keys=[("you> ", "Tell me everything\n"), ("Well, ", "\x03"), ("you> ", "\x04")],
    )

    assert code == 0, shown
    assert "stopped; a turn is kept only when its answer is complete" in shown
    assert said(store, ADA_1) == ["Hello", "Hi"]


@pytest.mark.usefixtures("acme")
def test_a_model_that_fails_is_one_line_and_leaves_no_empty_session(empty: str) -> None:
    result = run_process("chat", "--model", "failing", "--once", "Hello", store=empty)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        r"error: the model failed (RuntimeError: no \x1b[2Jcredit left); nothing was stored"
    )
    assert "Traceback" not in result.stderr
    assert run_json("sessions", "list", store=empty)["items"] == []


@pytest.mark.usefixtures("acme")
def test_a_conversation_goes_on_after_a_model_failed(empty: str) -> None:
    code, shown = terminal(
        "chat", "--model", "failing", store=empty, keys=[("you> ", "Hello\n"), ("you> ", "/quit\n")]
    )

    assert code == 0, shown
    assert r"no \x1b[2Jcredit left" in shown
