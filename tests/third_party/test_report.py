"""The report that a conformance run ends with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HELD = """
from miniagent_store.testing import StoreConformance
import pytest

class TestHeld(StoreConformance):
    @pytest.fixture
    def store_url(self):
        return "memory://"
"""
BROKEN = """
from miniagent_store import Provider, hookimpl
from miniagent_store.backend import Capabilities
from miniagent_store.document_backend import DocumentBackend
from miniagent_store.testing import StoreConformance
import pytest

class Forgetful(DocumentBackend):
    name = "forgetful"
    capabilities = Capabilities(durable=True, shared=False)

    async def open(self):
        self.documents = {}

    async def transact(self, key, change):
        return change(self.documents.get(key))[1]

    async def keys(self, prefix):
        return []

class Plugin:
    @hookimpl
    def provide_backends(self):
        return [Provider("forgetful", lambda: lambda url, options: Forgetful(options))]

class TestBroken(StoreConformance):
    @pytest.fixture
    def store_url(self):
        return "forgetful://"

    @pytest.fixture
    def store_options(self):
        return {"plugins": [Plugin()]}
"""


def ran(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "miniagent_store.testing.report"),
            *("-p", "no:cacheprovider", "--timeout", "60", *arguments),
        ],
        cwd=folder,
        env={"COLUMNS": "200", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    ).stdout


@pytest.mark.parametrize("beside", [(), ("-n", "2")], ids=["alone", "in-workers"])
def test_it_tells_what_is_held_what_is_broken_and_what_does_not_apply(
    tmp_path: Path, beside: tuple[str, ...]
) -> None:
    (tmp_path / "test_both.py").write_text(HELD + BROKEN)

    said = ran(tmp_path, "-k", "one_caller_pops or keys_are_set_once or shards_are_fixed", *beside)

    report = said.partition("promises of a session store")[2]
    assert "TestHeld (memory): " in report
    assert "promises held" in report
    assert "does not declare: durable, shared" in report
    assert "TestBroken (forgetful): " in report
    assert "declares: durable" in report
    assert "BROKEN, " in report


def test_it_says_nothing_without_the_suite(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text("def test_a(): pass")

    assert "promises" not in ran(tmp_path)
