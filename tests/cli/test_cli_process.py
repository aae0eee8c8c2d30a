"""What the command promises as a process: exit codes, pipes, what stands on stdout and what on stderr."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from cli_support import (
    ADA_1,
    ADA_2,
    ESCAPE,
    environment_for,
    in_store,
    run,
    run_json,
    run_process,
    terminal,
)

from miniagent_store import Message


def test_help_teaches_and_imports_no_backend() -> None:
    script = (
        "import sys\n"
        "from miniagent_store.cli.root import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'sqlite3', 'rich', 'pluggy', 'msgpack', 'orjson', 'asyncio.base_events_'}\n"
        "heavy |= {'miniagent_store.factory', 'miniagent_store.plugins', 'miniagent_store.session'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    assert "Examples:" in result.stdout
    assert "Exit codes" in result.stdout


@pytest.mark.parametrize(
    "command",
    [
        ["demo"],
        ["chat"],
        ["plugins"],
        ["sessions"],
        ["tenants"],
        *(["tenants", name] for name in ("list", "delete")),
        ["memory"],
        *(["memory", name] for name in ("search", "list", "stats", "forget", "reindex")),
        *(["sessions", name] for name in ("list", "show", "history", "touch", "clear", "delete")),
    ],
)
def test_every_command_has_examples(command: list[str]) -> None:
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert "miniagent-store " in result.stdout


def test_version_is_one_line() -> None:
    assert run("--version").stdout.startswith("miniagent-store 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["sessions", "show"],
        ["sessions", "list", "--limit", "0"],
        ["sessions", "list", "--nope"],
    ],
)
def test_misuse_is_2(store: str, arguments: list[str]) -> None:
    assert run(*arguments, store=store).exit_code == 2


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("foo://x", "error: unknown URL scheme 'foo'"),
        ("sqlit:///x.db", "did you mean 'sqlite'?"),
        ("memory://?namespce=x", "did you mean 'namespace'?"),
        ("memory://?serializer=jsn", "did you mean 'json'?"),
        ("nonsense", "error: not a store URL"),
    ],
)
def test_a_wrong_store_fails_in_one_line(url: str, message: str) -> None:
    result = run_process("sessions", "list", store=url)

    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_verbose_adds_the_traceback() -> None:
    result = run("-v", "--store", "foo://x", "sessions", "list")

    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: unknown URL scheme")


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_a_password_is_never_shown(verbose: list[str]) -> None:
    result = run(*verbose, "--store", "foo://ada:secret@host/0?password=secret", "sessions", "list")

    assert result.exit_code == 1
    assert "secret" not in result.output


def test_the_store_may_be_named_before_and_after_the_command(store: str, empty: str) -> None:
    assert run("sessions", "list", "--store", store).stdout
    # The nearer one wins.
    assert run("sessions", "list", "--store", store, store="memory://").stdout
    assert run_process("--store", "memory://", "sessions", "list", store=empty).stdout == ""


def test_no_colours_where_there_is_no_terminal(store: str) -> None:
    for arguments in (
        ["sessions", "list"],
        ["sessions", "show", ADA_2],
        ["sessions", "history", ADA_2],
        ["plugins"],
    ):
        result = run_process(*arguments, store=store)
        assert result.returncode == 0, result.stderr
        assert ESCAPE not in result.stdout + result.stderr


def test_stdout_holds_one_json_document_and_nothing_else(store: str) -> None:
    result = run_process("sessions", "list", "--limit", "1", "--json", store=store)

    assert json.loads(result.stdout)["items"]
    assert result.stderr == ""


def test_a_reader_that_leaves_early_is_no_error(store: str) -> None:
    in_store(store, lambda opened: opened.append(ADA_1, *(Message.user("x" * 2000) for _ in range(200))))

    for extra in ([], ["--json"]):
        command = " ".join([sys.executable, "-m", "miniagent_store", "sessions", "history", ADA_1, *extra])
        result = subprocess.run(
            ["sh", "-c", f"{command} | head -1"],
            capture_output=True,
            text=True,
            timeout=30,
            env=environment_for(store),
            check=False,
        )
        assert result.stdout.count("\n") == 1
        assert result.stderr == ""


def test_plugins_names_what_each_brings() -> None:
    result = run("plugins")

    assert result.exit_code == 0
    assert any(
        "msgpack" in line and "0x02" in line and "yes" in line.split()
        for line in result.stdout.splitlines()
    )
    document = run_json("plugins", store="memory://")
    backends = [
        each["name"]
        for info in document["plugins"]
        for each in info["provides"]
        if each["kind"] == "backend"
    ]
    assert {"memory", "sqlite"} <= set(backends)


@pytest.mark.usefixtures("acme")
def test_a_broken_plugin_is_shown_with_its_reason_and_harms_nobody(store: str) -> None:
    table = run_process("plugins")
    document = json.loads(run_process("plugins", "--json").stdout)
    listing = run_process("sessions", "list", store=store)

    (line,) = [line for line in table.stdout.splitlines() if line.startswith("acme-broken")]
    assert line.split()[1:4] == ["acme", "1.2", "broken"]
    assert "acme_is_not_there" in line
    (problem,) = [each["problem"] for each in document["plugins"] if each["problem"]]
    assert problem.startswith("ModuleNotFoundError")
    assert table.stderr == ""
    assert listing.returncode == 0
    assert listing.stderr.startswith("warning: plugin 'acme-broken' of acme 1.2 is broken")
    assert listing.stderr.count("\n") == 1


def test_a_terminal_gets_colours_unless_it_asked_not_to(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, coloured = terminal("sessions", "history", ADA_2, store=store, keys=[])
    monkeypatch.setenv("NO_COLOR", "1")
    _, plain = terminal("sessions", "history", ADA_2, store=store, keys=[])

    assert f"{ESCAPE}[1;36m" in coloured
    assert f"{ESCAPE}[1;36m" not in plain
    assert f"{ESCAPE}[31m" not in coloured


@pytest.mark.parametrize(("typed", "code", "left"), [("y\n", 0, 2), ("n\n", 1, 3), ("\x03", 130, 3)])
def test_deleting_asks_on_a_terminal(store: str, typed: str, code: int, left: int) -> None:
    found, shown = terminal("sessions", "delete", ADA_1, store=store, keys=[("[y/N]:", typed)])

    assert found == code
    assert "Traceback" not in shown
    assert f"{ADA_1}  2 messages" in shown
    assert len(run_json("sessions", "list", store=store)["items"]) == left
