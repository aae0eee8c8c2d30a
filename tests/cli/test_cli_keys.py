"""What `keys` promises."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import in_store, run, run_json, run_process, terminal

from miniagent_store import Key, Keyring, SessionStore


@pytest.fixture(autouse=True)
def no_keys_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIAGENT_STORE_KEYS", raising=False)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.txt"


@pytest.fixture
def url(tmp_path: Path, keys: Path) -> Callable[..., str]:
    def make(more: str = "") -> str:
        return f"sqlite:///{tmp_path}/team.db?serializer=encrypted&keys=file:{keys}{more}"

    return make


async def some_values(store: SessionStore) -> None:
    for number in range(3):
        await store.append(f"s{number}", {"role": "user", "content": "x"}, create=True)


def test_a_printed_key_is_what_the_variable_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("keys", "generate", "--label", "2027-01")

    assert result.exit_code == 0
    assert Key.from_text(result.stdout).label == "2027-01"
    monkeypatch.setenv("MINIAGENT_STORE_KEYS", result.stdout)
    assert Keyring.from_env().primary == Key.from_text(result.stdout)


def test_two_keys_differ() -> None:
    assert run("keys", "generate").stdout != run("keys", "generate").stdout


def test_a_file_is_made_for_its_owner_only_and_a_second_key_reads_only(keys: Path) -> None:
    made = run("keys", "generate", "--file", str(keys), "--label", "one")
    added = run("keys", "generate", "--file", str(keys), "--label", "two")

    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert f"keys=file:{keys}" in made.stdout
    assert "keys promote two" in added.stdout
    assert Keyring.from_file(keys).primary.label == "one"
    secrets = [key.to_text().partition(":")[2] for key in Keyring.from_file(keys).keys]
    assert not any(secret in made.stdout + added.stdout for secret in secrets)


def test_promote_makes_a_key_write_and_keeps_comments(keys: Path) -> None:
    for label in ("one", "two"):
        run("keys", "generate", "--file", str(keys), "--label", label)
    keys.write_text("# of the team\n" + keys.read_text())

    result = run("keys", "promote", "two", "--file", str(keys))

    assert result.exit_code == 0
    assert Keyring.from_file(keys).primary.label == "two"
    assert [key.label for key in Keyring.from_file(keys).keys] == ["two", "one"]
    assert "# of the team" in keys.read_text()
    assert [path.name for path in keys.parent.iterdir()] == ["keys.txt"], "nothing is left behind"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["promote", "nope", "--file", "KEYS"], "labelled 'nope'; there are one"),
        (["generate", "--file", "KEYS", "--label", "one"], "each label once"),
        (["generate", "--label", "not a label"], "label"),
        (["generate", "--file", "/nowhere/keys.txt"], "cannot be written"),
        (["list"], "MINIAGENT_STORE_KEYS holds no keys"),
        (["list", "--keys", "file:/nowhere"], "cannot be read"),
        (["list", "--keys", "one"], "env:NAME, file:/path or provider:name"),
        (["list", "--keys", "provider:nope"], "unknown key provider 'nope'"),
    ],
)
def test_what_is_wrong_is_said(keys: Path, arguments: list[str], told: str) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    before = keys.read_text()

    result = run("keys", *(str(keys) if each == "KEYS" else each for each in arguments))

    assert result.exit_code == 1
    assert told in result.stderr
    assert keys.read_text() == before


def test_a_file_that_others_may_read_is_refused(keys: Path) -> None:
    run("keys", "generate", "--file", str(keys))
    keys.chmod(0o640)

    result = run("keys", "list", "--keys", f"file:{keys}")

    assert result.exit_code == 1
    assert f"chmod 600 {keys}" in result.stderr


def test_the_list_shows_no_secret(keys: Path, url: Callable[..., str]) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    run("keys", "generate", "--file", str(keys), "--label", "two")

    result = run("keys", "list", store=url())

    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["one", "two"]
    document = run_json("keys", "list", store=url())
    assert [each["use"] for each in document["keys"]] == ["writes and reads", "reads"]
    for key in Keyring.from_file(keys).keys:
        assert key.to_text().partition(":")[2] not in result.stdout + json.dumps(document)


def test_the_way_from_an_old_key_to_a_new_one(keys: Path, url: Callable[..., str]) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    in_store(url(), some_values)
    assert run("keys", "check", store=url()).exit_code == 0
    run("keys", "generate", "--file", str(keys), "--label", "two")
    run("keys", "promote", "two", "--file", str(keys))

    before = run("keys", "check", store=url())
    assert before.exit_code == 1
    assert "3 values not written with the primary key two" in before.stdout
    assert "one, old" in before.stdout

    rotated = run("keys", "rotate", store=url())
    assert rotated.exit_code == 0, rotated.stderr
    assert "rewrote 3 values of 3 values" in rotated.stdout
    assert "no value needs one: remove it" in rotated.stdout

    again = run_json("keys", "rotate", store=url())
    assert (again["rewritten"], again["old"], again["done"], again["removable"]) == (0, 0, True, ["one"])


def test_values_under_a_key_that_is_gone_are_told(keys: Path, url: Callable[..., str]) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    in_store(url(), some_values)
    keys.unlink()
    run("keys", "generate", "--file", str(keys), "--label", "two")

    check, rotate = run("keys", "check", store=url()), run("keys", "rotate", store=url())

    assert (check.exit_code, rotate.exit_code) == (1, 1)
    assert "NOT IN THE KEYRING" in check.stdout
    assert "add the old key" in rotate.stderr


def test_encryption_is_turned_on(keys: Path, url: Callable[..., str], tmp_path: Path) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    in_store(f"sqlite:///{tmp_path}/team.db", some_values)

    result = run("keys", "rotate", store=url("&accept=msgpack"))

    assert result.exit_code == 0, result.stderr
    assert "msgpack+aesgcm" in result.stdout
    assert run("sessions", "history", "s1", store=url()).exit_code == 0


def test_a_terminal_sees_how_far_it_is(keys: Path, url: Callable[..., str]) -> None:
    run("keys", "generate", "--file", str(keys), "--label", "one")
    in_store(url(), some_values)

    code, shown = terminal("keys", "rotate", store=url(), keys=[])

    assert code == 0
    assert "rewriting" in shown
    assert "3/3" in shown


def test_help_teaches_the_steps() -> None:
    result = run_process("keys", "--help")

    for word in ("generate", "promote", "rotate", "check"):
        assert f"keys {word}" in result.stdout
