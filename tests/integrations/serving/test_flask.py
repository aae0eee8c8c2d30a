"""The Flask application of docs/blocking.md, in threads and in a forked child."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.store.test_blocking_docs import shown

pytestmark = pytest.mark.skipif(find_spec("flask") is None, reason="flask is not installed")


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MINIAGENT_STORE_URL", f"sqlite:///{tmp_path}/sessions.db")
    found: dict[str, Any] = {"__name__": "application"}
    exec(shown("from flask import"), found)
    return found


def ask(names: dict[str, Any], user: str, content: str) -> Any:
    """The response to a question."""
    return (
        names["app"]
        .test_client()
        .post("/conversations/c/messages", json={"content": content}, headers={"X-User": user})
    )


def test_requests_of_many_threads_come_one_after_the_other(names: dict[str, Any]) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(names, "ada", str(number)), range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20
    assert answers[0].headers["RateLimit-Limit"] == "20"
    before = [message.content for message in names["store"].history("ada:c")][1::2]
    assert [int(text.split("(")[1].split()[0]) for text in before] == list(range(0, 40, 2))
    assert ask(names, "ada", "one too many").status_code == 429
    assert ask(names, "bob", "mine").status_code == 200
    names["store"].close()


def test_forked_after_it_was_loaded(names: dict[str, Any]) -> None:
    assert ask(names, "ada", "before").status_code == 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os._exit(0 if ask(names, "ada", "in the child").status_code == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask(names, "ada", "in the parent").status_code == 200
    assert names["store"].count("ada:c") == 6
    names["store"].close()
