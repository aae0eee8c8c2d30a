"""What `demo` promises."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cli_support import ADA_1, ESCAPE, in_store, run, run_json, run_process, terminal

from miniagent_store.cli import demo


def test_the_tour_needs_no_input_and_shows_a_second_process_remembering(tmp_path: Path) -> None:
    started = time.monotonic()

    result = run_process("demo", TMPDIR=str(tmp_path))

    assert result.returncode == 0, result.stderr
    assert time.monotonic() - started < 10
    assert result.stderr == ""
    assert ESCAPE not in result.stdout
    lines = result.stdout.splitlines()
    asked = next(
        number
        for number, line in enumerate(lines)
        if line.split()[:1] == ["user"] and demo.QUESTION in line
    )
    assert "I take my tea without milk." in lines[asked + 1]
    for code in (
        "await agent.initialize()",
        "await manager.chat(session_id",
        "await manager.end_session(session_id)",
    ):
        assert code in result.stdout
    assert list(tmp_path.iterdir()) == [], "the temporary store is removed"


def test_the_tour_tidies_up_on_a_store_of_yours(store: str) -> None:
    before = run_json("sessions", "list", store=store)

    result = run_process("demo", store=store)

    assert result.returncode == 0, result.stderr
    assert f'url = "{store}"' in result.stdout
    assert run_json("sessions", "list", store=store) == before


def test_the_tour_goes_on_where_a_second_process_could_see_nothing() -> None:
    result = run("demo", store="memory://")

    assert result.exit_code == 0
    assert "No second process" in result.stdout
    assert "await manager.end_session(session_id)" in result.stdout


def test_the_tour_fails_in_one_line_on_a_store_that_is_none() -> None:
    result = run("demo", store="foo://ada:secret@x")

    assert result.exit_code == 1
    assert result.stderr.startswith("error: unknown URL scheme 'foo'")
    assert "secret" not in result.output


@pytest.mark.parametrize(
    "step",
    [demo.open_agent, demo.create, demo.talk, demo.list_sessions, demo.history, demo.clear, demo.end],
)
def test_the_code_shown_is_code_without_its_wrapping(step: object) -> None:
    shown = demo._body(step)  # type: ignore[arg-type]

    assert "await " in shown
    assert "def " not in shown
    assert '"""' not in shown
    assert "return" not in shown


def test_the_menu_is_the_seeds(store: str) -> None:
    result = run(
        "demo",
        "--interactive",
        store=store,
        stdin="\nhelp\nMy name is Eve\nWhat did I just say?\nhistory\nlist\nnew\nhistory\nquit\n",
    )

    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[3:6]] == ["bbbb3333", "aaaa2222", "aaaa1111"]
    assert "resume <prefix>" in result.stdout
    assert 'You said: "My name is Eve"' in result.stdout or "My name is Eve" in result.stdout
    newest = run_json("sessions", "list", "--limit", "1", store=store)["items"][0]
    assert newest["message_count"] == 4
    assert newest["user_id"] == "demo"
    assert f"{newest['id'][:8]}    4 messages" in result.stdout
    assert "nothing was said yet" in result.stdout


def test_the_menu_resumes_by_prefix_and_clears(store: str) -> None:
    result = run("demo", "-i", store=store, stdin="resume aaaa1\nhistory\nclear\nhistory\nexit\n")

    assert result.exit_code == 0, result.stderr
    assert "Resumed aaaa1111" in result.stdout
    assert "Hello" in result.stdout
    assert "Come back with: resume aaaa1111" in result.stderr
    assert run_json("sessions", "show", ADA_1, store=store)["session"]["message_count"] == 0


def test_a_mistake_in_the_menu_is_told_and_the_menu_goes_on(store: str) -> None:
    result = run("demo", "-i", store=store, stdin="resume zzzz\nresume aaaa\nlist\nquit\n")

    assert result.exit_code == 0
    assert result.stderr.splitlines()[0].startswith("error: no session 'zzzz'")
    assert result.stderr.splitlines()[1].startswith("error: 'aaaa' fits 2 sessions")
    assert result.stdout.count("The last sessions:") == 2


def test_the_menu_ends_where_its_input_ends(empty: str) -> None:
    result = run("demo", "-i", store=empty, stdin="")

    assert result.exit_code == 0
    assert "No sessions yet." in result.stdout
    assert in_store(empty, lambda opened: opened.list()).items == []


def test_ctrl_c_in_the_menu_loses_nothing(empty: str) -> None:
    code, shown = terminal(
        "demo",
        "-i",
        store=empty,
        keys=[("new session: ", "\n"), ("You: ", "Hello there\n"), ("You: ", "\x03")],
    )

    assert code == 130, shown
    assert "Saved." in shown
    assert "Traceback" not in shown
    assert run_json("sessions", "list", store=empty)["items"][0]["message_count"] == 2
