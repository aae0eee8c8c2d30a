"""What LangChain warns of itself."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            # `RunnableWithMessageHistory` reads what it traced with a function that is in beta.
            item.add_marker(pytest.mark.filterwarnings("ignore:The function `load` is in beta"))
