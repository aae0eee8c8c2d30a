"""`plugins new` writes packages that install and pass their tests as they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.cli_support import run


def python(folder: Path, *arguments: str, path: Path | None = None) -> str:
    paths = [*([str(path)] if path else []), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        pytest.param("backend", ["-k", "append"], id="backend"),
        pytest.param("backend", [], id="backend-all", marks=pytest.mark.slow),
        *(
            pytest.param(kind, [], id=kind, marks=pytest.mark.slow)
            for kind in ("serializer", "layer", "model")
        ),
    ],
)
def test_what_is_written_installs_and_passes(tmp_path: Path, kind: str, some: list[str]) -> None:
    written = run("plugins", "new", kind, "mine", "--path", str(tmp_path))
    package, installed = tmp_path / "miniagent-mine", tmp_path / "installed"
    # As in any other test here: nothing is fetched.
    pip = ["-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    python(package, *pip, "--disable-pip-version-check", "--target", str(installed), ".")

    said = python(package, "-m", "pytest", "-q", "-W", "error", *some, path=installed)
    listed = python(tmp_path, "-m", "miniagent_store", "plugins", "list", path=installed)

    assert written.exit_code == 0
    assert " passed" in said
    assert "mine" in listed
    assert "FILL IN" in (package / "miniagent_mine" / f"{kind}.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["backend", "Not-A-Name"], "lower-case letters, digits and '-'"),
        (["backend", "sqlite"], "has a backend of that name already"),
        (["nothing", "x"], "is not one of"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, arguments: list[str], why: str) -> None:
    result = run("plugins", "new", *arguments, "--path", str(tmp_path))

    assert result.exit_code == 2
    assert why in result.stderr
    assert not [*tmp_path.iterdir()]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "miniagent-mine").mkdir()

    result = run("plugins", "new", "layer", "mine", "--path", str(tmp_path))

    assert result.exit_code == 1
    assert "is there already" in result.stderr
