"""What `sessions` promises."""

from __future__ import annotations

import json

import pytest
from cli_support import ADA_1, ADA_2, BOB, ESCAPE, in_store, run, run_json


def ids(document: dict[str, list[dict[str, str]]]) -> list[str]:
    return [each["id"] for each in document["items"]]


def test_a_listing_shows_the_most_recently_active_first(store: str) -> None:
    result = run("sessions", "list", store=store)

    assert result.exit_code == 0
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["id", "user", "agent", "messages", "size", "last", "activity", "expires"]
    assert [line.split()[0] for line in lines] == [BOB, ADA_2, ADA_1]
    assert "in 2 h" in lines[1]
    assert "never" in lines[2]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--user", "ada"], [ADA_2, ADA_1]),
        (["--agent", "helper", "--limit", "1"], [ADA_2]),
        (["--tag", "team=blue"], [ADA_2]),
        (["--tag", "urgent"], [ADA_1]),
        (["--tag", "urgent", "--tag", "team=blue"], []),
        (["--kind", "other"], []),
        (["--all"], [BOB, ADA_2, ADA_1]),
    ],
)
def test_filters_narrow_a_listing(store: str, filters: list[str], expected: list[str]) -> None:
    assert ids(run_json("sessions", "list", *filters, store=store)) == expected


def test_a_cursor_goes_on_where_a_page_ended(store: str) -> None:
    first = run_json("sessions", "list", "--limit", "2", store=store)

    second = run_json("sessions", "list", "--cursor", first["next_cursor"], store=store)

    assert ids(first) + ids(second) == [BOB, ADA_2, ADA_1]
    assert second["next_cursor"] is None


def test_a_page_says_on_stderr_how_to_go_on(store: str) -> None:
    result = run("sessions", "list", "--limit", "1", store=store)

    assert len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("more: --cursor ")


def test_an_empty_listing_leaves_stdout_empty(empty: str) -> None:
    result = run("sessions", "list", store=empty)

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no sessions" in result.stderr


def test_an_empty_listing_is_still_a_document(empty: str) -> None:
    assert run_json("sessions", "list", store=empty) == {"items": [], "next_cursor": None}


def test_all_and_cursor_are_refused_together(store: str) -> None:
    assert run("sessions", "list", "--all", "--cursor", "x", store=store).exit_code == 2


def test_a_cursor_of_nowhere_fails_in_one_line(store: str) -> None:
    result = run("sessions", "list", "--cursor", "nonsense", store=store)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: not a cursor")


def test_show_tells_record_logs_and_state(store: str) -> None:
    result = run("sessions", "show", ADA_2, store=store)

    assert result.exit_code == 0
    for text in (
        ADA_2,
        "ada",
        "team=blue",
        "messages: 5 entries",
        "events: 1 entry",
        "plan",
        '"raw": "AA=="',
    ):
        assert text in result.stdout


def test_show_as_json_has_everything(store: str) -> None:
    document = run_json("sessions", "show", ADA_2, store=store)

    assert document["session"]["id"] == ADA_2
    assert document["session"]["metadata"]["since"] == "2030-01-01T00:00:00+00:00"
    assert document["logs"] == {"messages": 5, "events": 1}
    assert document["state"] == ["plan"]


def test_a_session_is_found_by_a_unique_prefix(store: str) -> None:
    assert run_json("sessions", "show", "aaaa2", store=store)["session"]["id"] == ADA_2


def test_a_whole_id_wins_over_others_that_start_with_it(store: str) -> None:
    longer = f"{BOB}-longer"
    in_store(store, lambda opened: opened.create(longer))

    assert run_json("sessions", "show", BOB, store=store)["session"]["id"] == BOB


def test_an_ambiguous_prefix_names_the_candidates(store: str) -> None:
    result = run("sessions", "show", "aaaa", store=store)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: 'aaaa' fits 2 sessions: {ADA_1}, {ADA_2}; give more characters\n"


@pytest.mark.parametrize("command", ["show", "history", "touch", "clear", "delete"])
def test_an_unknown_session_fails_in_one_line(store: str, command: str) -> None:
    yes = ["--yes"] if command in {"clear", "delete"} else []

    result = run("sessions", command, "zzzz", *yes, store=store)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: no session 'zzzz'")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["clear", "delete"])
def test_an_empty_id_never_picks_the_only_session(empty: str, command: str) -> None:
    in_store(empty, lambda opened: opened.create("the-only-one"))

    result = run("sessions", command, "", "--yes", store=empty)

    assert result.exit_code == 1
    assert ids(run_json("sessions", "list", store=empty)) == ["the-only-one"]


def test_history_reads_as_a_conversation(store: str) -> None:
    lines = run("sessions", "history", ADA_2, store=store).stdout.splitlines()

    assert [line.split()[:2] for line in lines if line[:4].strip()] == [
        ["1", "user"],
        ["2", "assistant"],
        ["3", "tool"],
        ["4", "assistant"],
        ["5", "redacted"],
    ]
    text = "\n".join(lines)
    assert '→ search(query="cats")' in text
    assert "two" in lines[3]
    assert lines[4].strip() == "lines"
    assert "[image]" in text
    assert "a card number" in text
    assert "4111" not in text


def test_what_a_message_says_never_drives_the_terminal(store: str) -> None:
    result = run("sessions", "history", ADA_2, store=store)

    assert ESCAPE not in result.stdout
    assert r"Look [bold]here[/bold] \x1b[31mred\x1b[0m" in result.stdout


def test_history_can_be_narrowed(store: str) -> None:
    last = run_json("sessions", "history", ADA_2, "--last", "2", store=store)
    after = run_json("sessions", "history", ADA_2, "--after", "3", store=store)

    assert [each["seq"] for each in last["entries"]] == [4, 5]
    assert after["entries"] == last["entries"]
    assert [each["redacted"] for each in after["entries"]] == [False, True]


def test_history_shows_other_logs_and_times(store: str) -> None:
    result = run("sessions", "history", ADA_2, "--log", "events", "--times", store=store)

    assert '{"type": "tool_call", "name": "search"}' in result.stdout
    assert result.stdout.split()[1].count("-") == 2


def test_an_empty_history_leaves_stdout_empty(store: str) -> None:
    result = run("sessions", "history", BOB, store=store)

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing" in result.stderr


def test_touch_sets_a_new_ttl(store: str) -> None:
    result = run("sessions", "touch", "aaaa1", "--ttl", "2h", store=store)

    assert result.stdout == f"{ADA_1} expires in 2 h\n"
    assert (
        run_json("sessions", "touch", ADA_1, "--ttl", "never", store=store)["session"]["expires_at"] is None
    )


def test_touch_refuses_what_is_no_ttl(store: str) -> None:
    result = run("sessions", "touch", ADA_1, "--ttl", "soon", store=store)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: ttl 'soon' is not a duration")


def test_clear_empties_the_logs_and_keeps_the_session(store: str) -> None:
    assert (
        run("sessions", "clear", "aaaa2", "--yes", store=store).stdout == f"cleared 5 messages of {ADA_2}\n"
    )

    document = run_json("sessions", "show", ADA_2, store=store)
    assert document["session"]["message_count"] == 0
    assert document["state"] == ["plan"]


def test_delete_takes_several_and_says_which(store: str) -> None:
    document = run_json("sessions", "delete", "aaaa1", BOB, "--yes", store=store)

    assert document == {"deleted": [ADA_1, BOB]}
    assert ids(run_json("sessions", "list", store=store)) == [ADA_2]


def test_delete_with_one_wrong_id_deletes_nothing(store: str) -> None:
    assert run("sessions", "delete", ADA_1, "zzzz", "--yes", store=store).exit_code == 1

    assert len(ids(run_json("sessions", "list", store=store))) == 3


@pytest.mark.parametrize("command", ["clear", "delete"])
def test_nothing_is_lost_where_nobody_can_confirm(store: str, command: str) -> None:
    result = run("sessions", command, ADA_1, store=store)

    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert run_json("sessions", "show", ADA_1, store=store)["session"]["message_count"] == 2


def test_json_survives_text_that_the_terminal_cannot_show(store: str) -> None:
    result = run("sessions", "show", ADA_2, "--json", store=store)

    assert json.loads(result.stdout)["session"]["metadata"]["[red]"] == "é"
