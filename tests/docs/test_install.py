"""The first commands of the README work as they stand, in a checkout of their own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
@pytest.mark.timeout(600)
def test_the_readme_installs_and_shows_it(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
    first = next(block for block in blocks(ROOT / "README.md") if block.language == "bash")
    # As one who has nothing of ours: no PYTHONPATH, and a home of their own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", first.code],
        cwd=checkout,
        env=environment | {"HOME": str(tmp_path), "PIP_CACHE_DIR": os.path.expanduser("~/.cache/pip")},
        capture_output=True,
        text=True,
        timeout=500,
    )

    assert done.returncode == 0, done.stderr
    assert "That was it." in done.stdout
