"""What `sessions` promises of searching, copying, taking back, and of what it would do."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from cli_support import ADA_1, ADA_2, BOB, ESCAPE, in_store, run, run_json

from miniagent_store import Message, SessionStore


def lines_of(*arguments: str, store: str) -> list[dict[str, object]]:
    """The documents that a command prints, one a line."""
    result = run(*arguments, "--json", store=store)
    return [json.loads(line) for line in result.stdout.splitlines()]


# search


def test_search_finds_a_text_whatever_its_case(store: str) -> None:
    result = run("sessions", "search", "HELLO", store=store)

    assert (result.exit_code, result.stdout) == (0, f"{ADA_1}     1  user: Hello\n")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["hello", "--case"], []),
        (["Hello", "--case"], [(ADA_1, 1)]),
        (["h.*o", "--regex"], [(ADA_2, 1), (ADA_1, 1)]),
        (["h.*o", "--regex", "--limit", "1"], [(ADA_2, 1)]),
        (["i", "--role", "assistant"], [(ADA_2, 4), (ADA_1, 2)]),
        (["cats"], [(ADA_2, 2)]),
        (["lines"], [(ADA_2, 3)]),
        (["4111"], []),
        (["search", "--log", "events"], [(ADA_2, 1)]),
        (["hello", "--user", "bob"], []),
        (["hello", "--tag", "urgent", "--agent", "helper"], [(ADA_1, 1)]),
        (["hello", "--since", "1h"], [(ADA_1, 1)]),
        (["hello", "--since", "2999-01-01"], []),
        (["h.*o", "--kind", "other", "--regex"], []),
    ],
)
def test_search_can_be_narrowed(store: str, arguments: list[str], found: list[tuple[str, int]]) -> None:
    documents = lines_of("sessions", "search", *arguments, store=store)

    assert [(each["session_id"], each["entry"]["seq"]) for each in documents] == found  # type: ignore[index]


def test_search_that_finds_nothing_fails(store: str) -> None:
    result = run("sessions", "search", "nobody said this", store=store)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "nothing was found\n"


@pytest.mark.parametrize("arguments", [[""], ["(", "--regex"]])
def test_search_refuses_what_cannot_be_sought(store: str, arguments: list[str]) -> None:
    assert run("sessions", "search", *arguments, store=store).exit_code == 2


def test_what_is_found_never_drives_the_terminal(store: str) -> None:
    assert ESCAPE not in run("sessions", "search", "red", store=store).stdout


def test_search_shows_what_stands_around(store: str) -> None:
    said = f"{'a' * 500} needle {'b' * 500}"
    in_store(store, lambda opened: opened.append(BOB, Message.user(said)))

    line = run("sessions", "search", "needle", store=store).stdout

    assert "…aaa" in line
    assert "bbb…" in line
    assert len(line) < 200


def test_search_reads_long_histories_page_by_page(empty: str) -> None:
    async def fill(opened: SessionStore) -> None:
        await opened.append("long", *(Message.user(f"text {n}") for n in range(1000)), create=True)

    in_store(empty, fill)

    found = lines_of("sessions", "search", "text .*99$", "--regex", store=empty)

    assert [each["entry"]["seq"] for each in found] == [100 * n for n in range(1, 11)]  # type: ignore[index]


def test_search_goes_on_after_what_cannot_be_read(store: str) -> None:
    connection = sqlite3.connect(store.removeprefix("sqlite:///"))
    with connection:
        # The newest one, and so the first that is read.
        connection.execute("UPDATE sessions SET logs = logs WHERE id = ?", (BOB,))
        connection.execute(
            "DELETE FROM entries WHERE session = (SELECT key FROM sessions WHERE id = ?) AND seq = 3",
            (ADA_2,),
        )
    connection.close()

    result = run("sessions", "search", "hello", store=store)

    assert (result.exit_code, result.stdout.split()[0]) == (1, ADA_1)
    assert result.stderr.startswith("cannot be read: session 'aaaa2222-second' is damaged")


# list


@pytest.mark.parametrize(("since", "count"), [("1h", 3), ("2000-01-01", 3), ("2999-01-01", 0)])
@pytest.mark.parametrize("more", [[], ["--all"]])
def test_a_listing_shows_those_active_since(store: str, since: str, count: int, more: list[str]) -> None:
    document = run_json("sessions", "list", "--since", since, *more, store=store)

    assert len(document["items"]) == count


def test_a_listing_stops_at_the_first_that_is_older(store: str) -> None:
    session = run_json("sessions", "show", ADA_2, store=store)["session"]

    document = run_json("sessions", "list", "--since", session["last_activity"], store=store)

    assert [each["id"] for each in document["items"]] == [BOB, ADA_2]


@pytest.mark.parametrize("since", ["yesterday", "", "-"])
def test_what_is_no_moment_is_refused(store: str, since: str) -> None:
    assert run("sessions", "list", "--since", since, store=store).exit_code == 2


# fork, rewind, delete


def test_fork_copies_up_to_a_message(store: str) -> None:
    result = run("sessions", "fork", "aaaa2", "--upto", "2", "--as", "copy", store=store)

    assert result.stdout == f"copy has 2 messages of {ADA_2}\n"
    assert run_json("sessions", "show", ADA_2, store=store)["session"]["message_count"] == 5


def test_fork_into_an_id_that_is_taken_fails(store: str) -> None:
    result = run("sessions", "fork", ADA_2, "--as", BOB, store=store)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")


def test_rewind_takes_back_what_followed(store: str) -> None:
    assert run_json("sessions", "rewind", "aaaa2", "--to", "3", "--yes", store=store)["removed"] == 2

    history = run_json("sessions", "history", ADA_2, store=store)
    assert [each["seq"] for each in history["entries"]] == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rewind", ADA_2, "--to", "3"], f"would remove 2 messages of session {ADA_2} after 3\n"),
        (["delete", ADA_1, "bbbb"], f"would delete {ADA_1}  2 messages\nwould delete {BOB}  0 messages\n"),
    ],
)
def test_a_dry_run_tells_and_changes_nothing(store: str, arguments: list[str], told: str) -> None:
    before = run("sessions", "list", "--json", store=store).stdout

    result = run("sessions", *arguments, "--dry-run", store=store)

    assert (result.exit_code, result.stdout) == (0, told)
    assert run("sessions", "list", "--json", store=store).stdout == before


def test_a_dry_run_tells_a_program(store: str) -> None:
    assert run_json("sessions", "delete", "bbbb", "--dry-run", store=store) == {
        "deleted": [],
        "would_delete": [BOB],
    }
    assert run_json("sessions", "rewind", ADA_2, "--to", "1", "--dry-run", store=store)["would_remove"] == 4


def test_rewind_asks_before(store: str) -> None:
    assert run("sessions", "rewind", ADA_2, "--to", "1", store=store).exit_code == 2
    assert run_json("sessions", "show", ADA_2, store=store)["session"]["message_count"] == 5


# completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_what_a_shell_reads(shell: str) -> None:
    result = run("completion", shell)

    assert result.exit_code == 0
    assert f"_MINIAGENT_STORE_COMPLETE={shell}_complete" in result.stdout


def completed(words: str, store: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash is told of the last word."""
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    monkeypatch.setenv("_MINIAGENT_STORE_COMPLETE", "bash_complete")
    monkeypatch.setenv("MINIAGENT_STORE_URL", store)
    from click.testing import CliRunner

    from miniagent_store.cli.root import cli

    result = CliRunner().invoke(cli, prog_name="miniagent-store")
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize("command", ["show", "tail", "delete"])
def test_ids_are_completed(store: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = f"miniagent-store sessions {command} aaaa"

    assert completed(words, store, monkeypatch) == [ADA_2, ADA_1]


def test_completing_makes_no_file_and_fails_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in (f"sqlite:///{tmp_path}/none.db", "redis://127.0.0.1:1/0", "nonsense", "sqlite://"):
        assert completed("miniagent-store sessions show a", url, monkeypatch) == []
    assert list(tmp_path.iterdir()) == []
