"""The tests of LangGraph's own SQLite store, with ours in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.upstream import fetch_sdist

FILES = ["tests/test_store.py", "tests/test_async_store.py", "tests/test_ttl.py"]
INSIDE = "looks into SQLite: its migrations, or how it writes patterns and conditions"
LEFT_OUT = {
    "tests/test_store.py::test_vector_store_initialization": "asks for SQLite's own name of `fields`",
    "tests/test_store.py::test_nonnull_migrations": INSIDE,
    "tests/test_store.py::test_escape_glob_literal": INSIDE,
    "tests/test_store.py::test_namespace_match_pattern": INSIDE,
    "tests/test_store.py::test_list_namespaces_prefix_uses_indexable_condition": INSIDE,
    "tests/test_store.py::test_sql_injection_vulnerability": "any text is a field here, and finds nothing",
    "tests/test_ttl.py::test_ttl_override_default": "here reads renew by default, as LangGraph says",
    "tests/test_async_store.py::test_no_running_loop": "blocking calls work here while a loop runs",
}
# Thousands of calls at once, or seconds of waiting.
LONG = ["tests/test_async_store.py::test_large_batches_async", "tests/test_ttl.py"]


def test_store_in_memory(tmp_path: Path) -> None:
    run(f"memory://{tmp_path.name}?deadline=20s", LONG)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_of_it(url: str) -> None:
    # Six thousand calls at once, of which a third reads all there is, wait for each other.
    run(url.replace("deadline=20s", "deadline=200s"), [])


def run(url: str, also_left_out: list[str]) -> None:
    left_out = [f"--deselect={test}" for test in [*LEFT_OUT, *also_left_out]]
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {
        **os.environ,
        "STORE_URL": url,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    ran = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "store_in_place_of_sqlite",
                "-p",
                "no:cacheprovider",
            ),
            *("-o", "asyncio_mode=auto", "-o", "markers=flaky: theirs", "--no-header", *left_out, *FILES),
        ],
        cwd=fetch_sdist("langgraph-checkpoint-sqlite"),
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    print(ran.stdout[-300:])
