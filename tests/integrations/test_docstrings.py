"""The examples in the docstrings of integrations are run, where the frameworks are installed."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from miniagent_store import MissingExtraError, integrations
from tests.integrations.conftest import DEMANDED

FOLDER = Path(integrations.__file__).parent
MODULES = sorted(path for path in FOLDER.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.filterwarnings("default")  # what frameworks warn of is theirs
@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_examples_of_a_module_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = path.relative_to(FOLDER).with_suffix("").parts
    try:
        module = importlib.import_module(".".join((integrations.__name__, *parts)))
    except MissingExtraError as error:
        if "all" in DEMANDED:
            raise
        pytest.skip(str(error))

    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)

    assert result.attempted > 0
    assert result.failed == 0
