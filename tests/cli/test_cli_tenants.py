"""What `tenants` promises."""

from __future__ import annotations

import pytest
from cli_support import in_store, run, run_json, terminal

from miniagent_store import Message, SessionStore


async def tenants(store: SessionStore) -> None:
    for tenant in (store.tenant("acme"), store.tenant("globex"), store.tenant("acme").tenant("eu")):
        for number in range(3):
            await tenant.append(f"s{number}", Message.user("x"), create=True)


async def names(store: SessionStore) -> list[str]:
    return await store.tenants()


@pytest.fixture
def store(empty: str) -> str:
    in_store(empty, tenants)
    return empty


def test_a_listing_says_what_each_holds(store: str) -> None:
    header, *lines = run("tenants", "list", store=store).stdout.splitlines()

    assert header.split() == ["tenant", "sessions", "messages", "bytes"]
    assert [line.split()[:3] for line in lines] == [["acme", "3", "3"], ["globex", "3", "3"]]
    first, _ = run_json("tenants", "list", store=store)
    assert (first["tenant"], first["sessions"], first["messages"]) == ("acme", {"session": 3}, 3)
    nested = run_json("tenants", "list", store=f"{store}?namespace=acme")
    assert [each["tenant"] for each in nested] == ["eu"]


def test_a_deletion_is_confirmed(store: str) -> None:
    result = run("tenants", "delete", "acme", store=store)
    assert result.exit_code == 2
    assert "add --yes" in result.stderr
    assert in_store(store, names) == ["acme", "globex"]


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, ["acme", "globex"]), ("y", 0, ["acme"])])
def test_on_a_terminal_it_asks_and_shows_a_bar(store: str, answer: str, code: int, left: list[str]) -> None:
    status, screen = terminal(
        "tenants", "delete", "globex", store=store, keys=[("for good?", f"{answer}\n")]
    )
    assert status == code
    assert "3 sessions" in screen
    assert ("deleting" in screen) == (answer == "y")
    assert in_store(store, names) == left


def test_a_deletion_takes_nested_ones_when_asked_to(store: str) -> None:
    result = run("tenants", "delete", "acme", "--yes", store=store)
    assert result.exit_code == 0
    assert result.stdout.startswith("deleted acme: 3 sessions, ")
    assert in_store(store, names) == ["acme", "globex"]

    document = run_json("tenants", "delete", "acme", "--nested", "--yes", store=store)
    assert (document["tenants"], document["sessions"]) == (["acme", "acme.eu"], 3)
    assert in_store(store, names) == ["globex"]


def test_a_name_that_none_can_have(store: str) -> None:
    result = run("tenants", "delete", "a*", "--yes", store=store)
    assert result.exit_code == 1
    assert "namespace 'a*' may hold" in result.stderr


def test_no_tenants(empty: str) -> None:
    result = run("tenants", "list", store=empty)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no tenants" in result.stderr
    assert run_json("tenants", "list", store=empty) == []
