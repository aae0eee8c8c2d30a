"""Strands' own tests of storages and session managers, with ours in the place of its files and dicts."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.integrations.upstream import fetch_sdist

FILES = [
    "tests/strands/session/test_snapshot_session_manager.py",
    "tests/strands/session/test_repository_session_manager.py",
    "tests/strands/storage/test_in_memory_storage.py",
]
_STASH = "tests/strands/session/test_snapshot_session_manager.py::TestSnapshotStashIntegration::"
_MEMORY = "tests/strands/storage/test_in_memory_storage.py::TestInMemoryStorage::"
_EPHEMERAL = (
    "expects a storage that forgets, whose stash is therefore put into each snapshot; ours does not"
)
_CLEAR = "`clear` is no part of the contract: only the storage in memory has it"
LEFT_OUT = {
    f"{_STASH}test_save_includes_inline_stash_for_ephemeral_storage": _EPHEMERAL,
    f"{_STASH}test_save_omits_stash_when_empty": _EPHEMERAL,
    f"{_STASH}test_immutable_snapshot_includes_stash": _EPHEMERAL,
    f"{_STASH}test_ephemeral_detection_survives_namespacing": _EPHEMERAL,
    f"{_MEMORY}test_clear": _CLEAR,
    f"{_MEMORY}test_namespace_clear_only_clears_prefix": _CLEAR,
}


@pytest.mark.skipif(
    tuple(map(int, version("strands-agents").split(".")[:2])) < (1, 62),
    reason="own tests of older releases store mocks, which are not JSON",
)
@pytest.mark.parametrize(
    "url",
    ["memory", *(pytest.param(each, marks=pytest.mark.slow) for each in ("sqlite", "redis", "cluster"))],
    indirect=True,
)
def test_own_suite(url: str) -> None:
    here = str(Path(__file__).parent)
    arguments = ["-p", "own_suite_plugin", "-q", "-o", "addopts=", "-p", "no:cacheprovider"]
    for name in LEFT_OUT:
        arguments += ["--deselect", name]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *FILES],
        cwd=fetch_sdist("strands-agents"),
        env={
            **os.environ,
            "STRANDS_URL": url,
            "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), here]),
        },
        capture_output=True,
        text=True,
        timeout=280,
    )
    last = ran.stdout.splitlines()[-1]
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert f"{len(LEFT_OUT)} deselected" in last
