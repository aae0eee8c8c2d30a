"""What a release says of itself: one version, the Pythons that are tested, types for all that is public."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

import miniagent_store

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ["miniagent_store", "miniagent_backends", "miniagent_serializers"]


def test_the_version_is_that_of_the_project() -> None:
    assert miniagent_store.__version__ == PROJECT["version"]


def test_the_changelog_begins_with_what_comes_next_or_with_this_version() -> None:
    headings = re.findall(r"^## \[?([^\s\]]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] in ("Unreleased", PROJECT["version"])
    released = [tuple(map(int, each.split("."))) for each in headings if each != "Unreleased"]
    assert released == sorted(released, reverse=True)


def test_each_python_that_the_project_names_is_one_that_ci_tests() -> None:
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if "Python :: 3." in each]
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    if not workflow.exists():
        pytest.skip("an sdist has no workflows")

    (tested,) = re.findall(r"^ +python: \[(.*)\]$", workflow.read_text(), re.MULTILINE)

    assert re.findall(r'"([\d.]+)"', tested) == named
    assert PROJECT["requires-python"] == f">={named[0]}"


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_are_told_that_there_are_types(package: str) -> None:
    spec = find_spec(package)

    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").exists()


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_the_type_of_all_that_is_public_is_known(package: str) -> None:
    # Those of the integrations are known where their frameworks are installed: `nox` looks there.
    command = [
        sys.executable,
        "-m",
        "pyright",
        "--verifytypes",
        package,
        "--ignoreexternal",
        "--outputjson",
    ]

    report = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=280).stdout)

    symbols = report["typeCompleteness"]["symbols"]
    assert len(symbols) > 100
    unknown = [
        each["name"]
        for each in symbols
        if each["isExported"]
        and (not each["isTypeKnown"] or each["isTypeAmbiguous"])
        and not each["name"].startswith("miniagent_store.integrations.")
    ]
    assert unknown == []
